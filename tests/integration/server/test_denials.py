"""Every refusal is the same bytes, whoever is refused and why (ENU1); nobody learns which half was right."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from mailauth.core import app_password
from tests.integration.serving import Server, Site, code_of, secret_of
from tests.integration.talking import auth, granted, plain
from tests.world import Person

TEXT = (
    b"Mail apps need an app password or password+code: https://www.mailitwize.be/2fa "
    b"(two-factor authentication since 5 May 2025)"
)


def spent(site: Site, person: Person) -> str:
    secret = secret_of(person)
    with site.talk() as talk:
        assert granted(talk.login(person.name, secret))
    return secret


def token(site: Site, person: Person, *, service: str = "", revoked: bool = False) -> str:
    made = site.installation.app_passwords.make(person.name, "phone", (service,) if service else ())
    if revoked:
        site.installation.app_passwords.revoke(person.name, made.id)
    return made.password


def forged_token() -> str:
    body = "k7qm2xvp9hfdc3wnabcde"
    return body + app_password._checksum(body.encode())


def disabled(site: Site, *, enrolled: bool) -> Person:
    person = site.person(enrolled=enrolled)
    site.installation.accounts.set_disabled(person.name, disabled=True)
    return person


def recovery_of(site: Site, person: Person) -> str:
    return site.installation.recovery_codes.issue(person.name)[1][0]


def every_denial(site: Site) -> dict[str, tuple[str | bytes, str | bytes]]:
    """Return a name and a secret for every way to be refused."""
    alice, bob = site.person(), site.person(enrolled=False)
    gone, gone_enrolled = disabled(site, enrolled=False), disabled(site, enrolled=True)
    wrong_code = f"{(int(code_of(alice)) + 7) % 10**6:06}"
    return {
        "unknown": ("nobody", "correct horse"),
        "unknown with a code": ("nobody", "correct horse123456"),
        "unknown with a recovery code": ("nobody", "correct horsek7qm-2xvp-9hfd-c3wn"),
        "unknown domain": ("alice@elsewhere.example", "correct horse"),
        "disabled": (gone.name, gone.password),
        "disabled, wrong password": (gone.name, "wrong"),
        "disabled and enrolled": (gone_enrolled.name, secret_of(gone_enrolled)),
        "not enrolled": (bob.name, bob.password),
        "not enrolled, wrong password": (bob.name, "wrong"),
        "wrong password": (alice.name, "wrong"),
        "wrong password, right code": (alice.name, "wrong" + code_of(alice)),
        "wrong code": (alice.name, alice.password + wrong_code),
        "no code": (alice.name, alice.password),
        "both wrong": (alice.name, "wrong000000"),
        "replayed": (alice.name, spent(site, alice)),
        "wrong recovery code": (alice.name, alice.password + "zzzz-2222-zzzz-2222"),
        "recovery code with wrong password": (alice.name, "wrong" + recovery_of(site, alice)),
        "malformed name": ("a b@c d", "correct horse"),
        "empty name": ("", "correct horse"),
        "name with a control character": ("ali\x07ce", "correct horse"),
        "very long name": ("a" * 1000, "correct horse"),
        "empty secret": (alice.name, ""),
        "control character in the secret": (alice.name, "correct\x01horse"),
        "long secret": (alice.name, "x" * 10_000),
        "app password unknown": (alice.name, forged_token()),
        "app password of somebody else": (bob.name, token(site, alice)),
        "app password revoked": (alice.name, token(site, alice, revoked=True)),
        "app password for another service": (alice.name, token(site, alice, service="sieve")),
    }


def without_names(reply: bytes, number: int, name: str | bytes) -> bytes:
    """Return a reply without its number and the presented name."""
    escaped = (name.encode() if isinstance(name, str) else name).replace(b"\x01", b"\x011")
    start = b"FAIL\t%d\tuser=%s" % (number, escaped)
    assert reply.startswith(start), reply
    return reply.removeprefix(start)


@pytest.mark.parametrize(("service", "prefix"), [("imap", b"[ALERT] "), ("smtp", b""), ("pop3", b""), ("", b"")])
def test_every_denial_is_the_same_bytes(site: Site, server: Server, service: str, prefix: bytes) -> None:
    denials = every_denial(site)
    with site.talk() as talk:
        seen = {}
        for number, (why, (name, secret)) in enumerate(denials.items()):
            reply = talk.login(name, secret, number, service=service)
            seen[why] = without_names(reply, number, name)
    assert seen == dict.fromkeys(denials, b"\treason=" + prefix + TEXT)


def test_request_that_cannot_be_read_gets_the_same_text(site: Site, server: Server) -> None:
    requests = {
        b"PLAIN\tservice=imap\tresp=!!!!": b"",
        b"PLAIN\tservice=imap\tresp=" + base64.b64encode(b"one part"): b"",
        b"PLAIN\tservice=imap\tresp=" + base64.b64encode(b"\x00a\x00b\x00c"): b"",
        b"PLAIN\tservice=imap\tresp=" + plain(b"\xff\xfe", "x"): b"",
        b"PLAIN\tservice=imap\tresp=" + plain("alice", "x", b"somebody"): b"alice",
        b"CRAM-MD5\tservice=imap\tresp=AAAA": b"",
        b"\tservice=imap": b"",
    }
    with site.talk() as talk:
        for number, (request, name) in enumerate(requests.items()):
            talk.send(b"AUTH\t%d\t%s\n" % (number, request))
            expected = b"FAIL\t%d\tuser=%s\treason=[ALERT] %s" % (number, name, TEXT)
            assert talk.line() == expected


@pytest.mark.parametrize("parameter", ["service=portal", "service=Portal", "protocol=portal"])
def test_login_to_the_portal_does_not_come_by_a_socket(site: Site, server: Server, parameter: str) -> None:
    """There, a password alone lets in whoever has yet to enrol; that is for our own pages."""
    alice, bob = site.person(), site.person(enrolled=False)
    with site.talk() as talk:
        for number, (name, secret) in enumerate([(alice.name, secret_of(alice)), (bob.name, bob.password)]):
            request = f"AUTH\t{number}\tPLAIN\t{parameter}\trip=192.0.2.7\tresp=".encode()
            talk.send(request + plain(name, secret) + b"\n")
            assert talk.line() == b"FAIL\t%d\tuser=%s\treason=%s" % (number, name.encode(), TEXT)
        # Neither secret was looked at, so that this code is not spent.
        assert granted(talk.login(alice.name, secret_of(alice)))
    server.wait_for(f"reason=request-malformed name_bytes={len(bob.name)} service=portal")


def test_link_stands_within_the_first_eighty_characters(site: Site, server: Server) -> None:
    assert TEXT.index(b"https://") + len(b"https://www.mailitwize.be/2fa") <= 80


def test_name_comes_back_escaped_and_cannot_add_a_field(site: Site, server: Server) -> None:
    with site.talk() as talk:
        reply = talk.login("x\tcode=temp_fail\nOK\t1\tuser=root\r\x00".replace("\x00", ""), "secret")
        assert reply.split(b"\t")[2] == b"user=x\x01tcode=temp_fail\x01nOK\x01t1\x01tuser=root\x01r"
        assert len(reply.split(b"\t")) == 4


def test_text_before_the_cutover_tells_nothing_either(make_site: object) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%MZ")
    early: Site = make_site(f"cutover.date={tomorrow}")  # type: ignore[operator]
    early.serve()
    alice, bob = early.person(), early.person(enrolled=False)
    with early.talk() as talk:
        assert granted(talk.login(bob.name, bob.password))
        seen = {
            without_names(talk.login(name, secret, 1), 1, name)
            for name, secret in (
                (alice.name, alice.password),
                (alice.name, "wrong"),
                (alice.name, alice.password + "000000"),
                (bob.name, "wrong"),
                ("nobody", "wrong"),
                ("a b", "wrong"),
            )
        }
    assert len(seen) == 1
    assert seen.pop().startswith(b"\treason=[ALERT] Wrong password, or password+code needed: https://")


def test_reply_is_never_longer_than_a_line_that_clients_accept(site: Site, server: Server) -> None:
    with site.talk() as talk:
        for name in ("a" * 9000, "\x01" * 9000, "\U0001f600" * 2500):
            talk.send(auth(1, name, "x"))
            assert len(talk.line()) <= 8192
