"""Rubbish on the socket: an answer or a closed connection, and the next good login works (F6 in small)."""

import base64
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.cases import case
from tests.integration.serving import Server, Site
from tests.integration.talking import INTRODUCTION, Talk, auth, granted, plain

WORDS = {b"OK", b"FAIL", b"CONT"}


@pytest.fixture(scope="module")
def good(site: Site, server: Server) -> tuple[str, str]:
    """Give a name and a secret that are good as often as one likes."""
    alice = site.person()
    return alice.name, site.installation.app_passwords.make(alice.name, "phone").password


@pytest.fixture(autouse=True)
def still_answers(site: Site, server: Server, good: tuple[str, str]) -> Iterator[None]:
    """After each test: the server is the same process, has nothing unforeseen in its log, and lets the good one in."""
    yield
    assert server.is_running
    assert "Traceback" not in server.log
    assert "could not be decided" not in server.log
    with site.talk() as talk:
        assert granted(talk.login(*good))


def answers(site: Site, data: bytes, *, introduced: bool = True) -> list[bytes]:
    """Send bytes, end the sending side, and return the lines that came; every one has to be a protocol's line."""
    with Talk(site.socket) as talk:
        talk.greeting()
        try:
            talk.send((INTRODUCTION if introduced else b"") + data)
            talk.socket.shutdown(1)
        except ConnectionError:
            pass
        lines = talk.rest().split(b"\n")
        assert lines.pop() == b""
        for line in lines:
            assert line.split(b"\t")[0] in WORDS, line
            assert len(line) <= 8192
            assert not line.startswith(b"OK"), line
        return lines


SECRETS = {
    "nul": b"correct\x00horse",
    "control characters": bytes(range(1, 32)),
    "delete": b"\x7f",
    "10,000 bytes": b"x" * 10_000,
    "12,288 bytes": b"x" * 12_200,
    "full-width digits": "correct horse\uff11\uff12\uff13\uff14\uff15\uff16".encode(),
    "arabic digits": "correct horse\u0661\u0662\u0663\u0664\u0665\u0666".encode(),
    "not UTF-8": b"\xff\xfe\xfd",
    "surrogate": b"\xed\xa0\x80",
    "empty": b"",
    "right-to-left": "\u202ecorrect horse".encode(),
}


def test_strange_secret_is_denied(site: Site, good: tuple[str, str]) -> None:
    name, _ = good
    for what, secret in SECRETS.items():
        for mechanism in ("PLAIN", "LOGIN"):
            with case(what, mechanism), site.talk() as talk:
                if mechanism == "PLAIN":
                    talk.send(b"AUTH\t1\tPLAIN\tservice=imap\tresp=" + plain(name, secret) + b"\n")
                else:
                    talk.send(b"AUTH\t1\tLOGIN\tservice=imap\n")
                    talk.line()
                    talk.send(b"CONT\t1\t" + base64.b64encode(name.encode()) + b"\n")
                    talk.line()
                    talk.send(b"CONT\t1\t" + base64.b64encode(secret) + b"\n")
                assert not granted(talk.line())
                assert granted(talk.login(*good, 2))


REQUESTS = {
    "bad base64": b"AUTH\t1\tPLAIN\tresp=%%%%\n",
    "base64 without padding": b"AUTH\t1\tPLAIN\tresp=AGEAYg\n",
    "base64 with a line in it": b"AUTH\t1\tPLAIN\tresp=AGEA YgA=\n",
    "urlsafe base64": b"AUTH\t1\tPLAIN\tresp=AP--AGI_\n",
    "no NUL": b"AUTH\t1\tPLAIN\tresp=YWJj\n",
    "four parts": b"AUTH\t1\tPLAIN\tresp=" + base64.b64encode(b"a\x00b\x00c\x00d") + b"\n",
    "unknown mechanism": b"AUTH\t1\tSCRAM-SHA-256\tresp=biws\n",
    "no mechanism": b"AUTH\t1\n",
    "mechanism of bytes": b"AUTH\t1\t\xff\xfe\n",
    "somebody else's name": b"AUTH\t1\tPLAIN\tresp=" + plain("bob", "x", b"alice") + b"\n",
}


def test_strange_request_is_denied(site: Site) -> None:
    for what, request in REQUESTS.items():
        with case(what):
            lines = answers(site, request)
            assert [line.split(b"\t")[:2] for line in lines] == [[b"FAIL", b"1"]]


def test_strange_continuation_is_denied_or_asked_again(site: Site) -> None:
    for response in (b"", b"!!!!", b"QQ", base64.b64encode(b"\xff")):
        with case(response):
            data = (
                b"AUTH\t1\tLOGIN\nCONT\t1\t" + response + b"\nCONT\t1\t" + response + b"\nCONT\t1\t" + response + b"\n"
            )
            words = [line.split(b"\t")[0] for line in answers(site, data)]
            assert words[0] == b"CONT"
            assert words.count(b"FAIL") == 1


def test_strange_parameter_does_no_harm(site: Site, good: tuple[str, str]) -> None:
    for parameter in (b"rip=999.1.1.1", b"rip=\xff", b"rip=fe80::1%eth0", b"rip=", b"service=\x011"):
        with case(parameter), site.talk() as talk:
            talk.send(auth(1, *good).replace(b"\tresp=", b"\t" + parameter + b"\tresp="))
            granted(talk.line())


def test_half_a_line_at_the_end_is_no_request(site: Site, good: tuple[str, str]) -> None:
    assert answers(site, auth(1, *good)[:-1]) == []


def test_a_thousand_random_byte_strings(site: Site) -> None:
    source = random.Random(20250505)
    for _ in range(1000):
        answers(site, source.randbytes(source.randrange(1, 400)), introduced=source.random() < 0.7)


def test_a_thousand_damaged_requests(site: Site) -> None:
    source = random.Random(20250506)
    begin = b"".join(
        [auth(1, "alice", "correct horse"), b"AUTH\t2\tLOGIN\n", b"CONT\t2\tYWxpY2U=\n", b"CANCEL\t2\n", b"CPID\t1\n"]
    )
    for _ in range(1000):
        data = bytearray(begin)
        for _ in range(source.randrange(1, 6)):
            place = source.randrange(len(data))
            match source.randrange(3):
                case 0:
                    data[place] = source.randrange(256)
                case 1:
                    del data[place : place + source.randrange(1, 20)]
                case _:
                    data[place:place] = source.choice([b"\t", b"\n", b"\x01", b"\x00", b"\xff", b"=", b"resp="])
        answers(site, bytes(data))


field = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"AUTH", b"CONT", b"CANCEL", b"VERSION", b"CPID", b"1", b"2", b"PLAIN", b"LOGIN", b"resp=AAAA"]),
)
line = st.lists(field, max_size=6).map(b"\t".join)


@given(lines=st.lists(line, max_size=12), end=st.binary(max_size=20))
@example(lines=[b"AUTH\t1\tPLAIN\tresp=", b"CONT\t1\tAAAA"], end=b"")
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_any_lines(site: Site, lines: list[bytes], end: bytes) -> None:
    answers(site, b"\n".join(lines) + b"\n" + end)


def test_names_that_take_long_to_read_do_not_hold_up_others(site: Site, good: tuple[str, str]) -> None:
    # CVE-2024-3651: idna was quadratic in crafted domains; names are read on the event loop.
    domains = ["\u0378" * 500, "a\u0300" * 500, "\u0627" * 500 + "a", ("x" * 63 + ".") * 15, "xn--" + "a" * 900]
    with site.talk() as busy, site.talk() as talk:
        talk.socket.settimeout(2.0)
        for number, domain in enumerate(domains * 20):
            busy.send(auth(number, f"alice@{domain}"[:1010], "x"))
        assert granted(talk.login(*good))
        assert len(busy.lines(100)) == 100
