"""What a real Dovecot 2.3 makes of mailauth-checkpassword's answers, told by a scripted server.

Proves the traps around a checkpassword passdb: the text of a refusal needs the last passdb
that always fails, and a daemon that is away is a temporary failure, not a wrong password.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pam_module.harness.fake_server import Asked, Say, fail, ok
from tests.integration.dovecot23 import DENY, WHY_NOT, Dovecot, answering, running
from tests.integration.serving import until

CHECKPASSWORD = """
passdb {{
  driver = checkpassword
  args = {dir}/mailauth-checkpassword --socket {dir}/auth.sock --timeout 3
}}
"""
PAM = """
passdb {{
  driver = pam
  args = %s
}}
"""


pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with running(CHECKPASSWORD + DENY) as instance:
        yield instance


def test_granted_logs_in_and_the_server_learns_the_client(dovecot: Dovecot) -> None:
    with answering(dovecot, ok("anna@example.org")) as server:
        assert dovecot.imap().startswith("a OK [CAPABILITY")
        assert dovecot.pop3() == "+OK Logged in."
    imap, pop3 = server.asked
    assert (imap.user, imap.secret) == ("anna", "secret123456")
    assert imap.parameters["service"] == "imap"
    assert imap.parameters["rip"] == imap.parameters["lip"] == "127.0.0.1"
    assert imap.parameters["lport"] == str(dovecot.imap_port)
    assert int(imap.parameters["rport"]) > 1024
    assert imap.parameters["session"] != ""
    assert imap.parameters["orig_user"] == "anna"
    assert imap.parameters["secured"] == ""
    assert pop3.parameters["service"] == "pop3"
    dovecot.wait_for_line_with("user=<anna@example.org>")


def test_a_refusal_shows_its_text(dovecot: Dovecot) -> None:
    with answering(dovecot, fail("[ALERT] Mail apps need password+code: https://x.example")):
        assert dovecot.imap() == "a NO [ALERT] Mail apps need password+code: https://x.example"
    with answering(dovecot, fail("Mail apps need password+code: https://x.example")):
        assert dovecot.pop3() == "-ERR [AUTH] Mail apps need password+code: https://x.example"
        # Without a response code of its own, 2.3.19 puts [ALERT] before it.
        assert dovecot.imap() == "a NO [ALERT] Mail apps need password+code: https://x.example"
    with answering(dovecot, fail("[AUTHENTICATIONFAILED] no")):
        assert dovecot.imap() == "a NO [AUTHENTICATIONFAILED] no"


def test_escapes_in_a_text_are_undone_by_dovecot(dovecot: Dovecot) -> None:
    text = "[ALERT] 100% = \u00fc \u20ac \"quoted\" \\ 'x' user=admin {} (now)"
    with answering(dovecot, fail(text)):
        assert dovecot.imap() == f"a NO {text}"
    # A text cannot become a field of its own.
    with answering(dovecot, fail("[ALERT] one\tuser=admin\tnologin\r\nb OK two\001t")):
        assert dovecot.imap() == "a NO [ALERT] one user=admin nologin  b OK two t"


def test_a_text_of_the_greatest_length_arrives_whole(dovecot: Dovecot) -> None:
    text = "[ALERT] " + "x" * 992
    with answering(dovecot, fail(text)):
        assert dovecot.imap() == f"a NO {text}"


def test_a_refusal_without_a_text_is_a_wrong_password(dovecot: Dovecot) -> None:
    with answering(dovecot, fail()):
        assert dovecot.imap() == "a NO [AUTHENTICATIONFAILED] Authentication failed."
        assert dovecot.pop3() == "-ERR [AUTH] Authentication failed."


@pytest.mark.parametrize("say", [fail(code="temp_fail"), Say.bytes(), Say.bytes(b"OK\t1\n")])
def test_unavailable_is_a_temporary_failure(dovecot: Dovecot, say: Say) -> None:
    with answering(dovecot, say):
        assert dovecot.imap().startswith("a NO [UNAVAILABLE] ")
        assert dovecot.pop3().startswith("-ERR [SYS/TEMP] ")


def test_a_daemon_that_is_away_is_a_temporary_failure_and_recovers(dovecot: Dovecot) -> None:
    assert dovecot.imap().startswith("a NO [UNAVAILABLE] ")
    dovecot.wait_for_line_with("mailauth-checkpassword: cannot connect to the socket: No such file")
    with answering(dovecot, ok("anna@example.org")):
        assert dovecot.imap().startswith("a OK ")


def test_a_hung_daemon_is_a_temporary_failure(dovecot: Dovecot) -> None:
    with answering(dovecot, Say.bytes(then_hang=True)):
        assert dovecot.imap().startswith("a NO [UNAVAILABLE] ")


def test_quotes_spaces_and_percent_signs_reach_the_server(dovecot: Dovecot) -> None:
    with answering(dovecot, ok("anna@example.org")) as server:
        reply = dovecot.imap(secret='a b\\"c\\\\d%u$(x);\u00fc 123 456')
        assert reply.startswith("a OK "), reply + dovecot.log()[-3000:]
    assert server.asked[0].secret == 'a b"c\\d%u$(x);\u00fc 123 456'


def test_the_canonical_name_is_the_mailbox(dovecot: Dovecot) -> None:
    name = "o'neil=x y@example.org"
    with answering(dovecot, ok(name)):
        reply = dovecot.imap(user="O-Neil")
        assert reply.startswith("a OK "), reply + dovecot.log()[-3000:]
    dovecot.wait_for_line_with(f"user=<{name}>")


def test_too_long_a_login_is_refused_before_the_helper(dovecot: Dovecot) -> None:
    with answering(dovecot, ok("anna@example.org")) as server:
        assert "NO" in dovecot.imap(secret="x" * 600)
    assert server.raw == []


def test_a_look_up_without_a_password_is_answered(dovecot: Dovecot) -> None:
    """`doveadm auth lookup` asks the passdb with AUTHORIZED set; the deny passdb behind changes nothing."""
    command = ["doveadm", "-c", str(dovecot.dir / "dovecot.conf"), "auth", "lookup", "info"]
    answers = [(ok("anna@example.org"), 0), (fail(code="unknown"), 67), (fail(), 75), (fail(code="temp_fail"), 75)]
    for answer, status in answers:
        with answering(dovecot, answer) as server:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == status, done.stdout + done.stderr
        assert [(each.user, each.secret, each.parameters["mailauth"]) for each in server.asked] == [
            ("info", "", "lookup")
        ]


def auth_test(dovecot: Dovecot, service: str = "imap") -> subprocess.CompletedProcess[str]:
    """What `doveadm auth test` says of anna."""
    command = ["doveadm", "-c", str(dovecot.dir / "dovecot.conf"), "auth", "test", "-x", f"service={service}"]
    return subprocess.run(
        [*command, "-x", "rip=192.0.2.7", "anna", "secret123456"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_doveadm_auth_test_agrees(dovecot: Dovecot) -> None:
    with answering(dovecot, ok("anna@example.org")) as server:
        assert auth_test(dovecot).returncode == 0
    assert server.asked[0].parameters["rip"] == "192.0.2.7"
    with answering(dovecot, fail("[ALERT] no")):
        assert auth_test(dovecot).returncode == 77
    assert "code=temp_fail" in auth_test(dovecot).stdout


def test_a_burst_of_logins_is_served_without_loss(dovecot: Dovecot) -> None:
    """Descriptor 3 is drained whatever happens, or some logins would fail at random."""

    def decide(asked: Asked) -> Say:
        return ok("anna@example.org") if asked.secret == "good" else fail("[ALERT] no")

    before = dovecot.log().count("Broken pipe")
    secrets = ["good", "bad"] * 20
    with answering(dovecot, decide), ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda secret: dovecot.imap(secret=secret), secrets))
    for secret, reply in zip(secrets, replies, strict=True):
        assert reply.startswith("a OK ") if secret == "good" else reply == "a NO [ALERT] no"
    assert dovecot.log().count("Broken pipe") == before


def test_without_the_last_passdb_a_refusal_is_still_no_login() -> None:
    with running(CHECKPASSWORD) as dovecot, answering(dovecot, fail("[ALERT] no")):
        reply = dovecot.imap()
    assert re.match(r"a NO \[UNAVAILABLE\] ", reply), reply


def test_several_passdbs_that_know_nobody_do_no_harm() -> None:
    with running(CHECKPASSWORD + DENY + DENY) as dovecot, answering(dovecot, fail("[ALERT] no")):
        assert dovecot.imap() == "a NO [ALERT] no"


# The PAM module


@pytest.fixture(scope="module")
def dovecot_pam() -> Iterator[Dovecot]:
    with running(PAM) as instance:
        yield instance


def test_pam_logs_in_as_the_canonical_name_and_hands_on_service_and_address(dovecot_pam: Dovecot) -> None:
    with answering(dovecot_pam, ok("anna@example.org")) as server:
        assert dovecot_pam.imap(user="alias").startswith("a OK [CAPABILITY")
        assert dovecot_pam.pop3(user="alias") == "+OK Logged in."
    assert [asked.parameters for asked in server.asked] == [
        {"service": service, "rip": "127.0.0.1", "mailauth": "1"} for service in ("imap", "pop3")
    ]
    assert [(asked.user, asked.secret) for asked in server.asked] == [("alias", "secret123456")] * 2
    until(lambda: dovecot_pam.log().count("Login: user=<anna@example.org>") == 2, "Dovecot has logged both")


@pytest.mark.parametrize("say", [fail("[ALERT] no"), fail(), fail(code="temp_fail"), Say.bytes()])
def test_pam_has_one_answer_for_every_failure(dovecot_pam: Dovecot, say: Say) -> None:
    with answering(dovecot_pam, say):
        assert dovecot_pam.imap() == "a NO [AUTHENTICATIONFAILED] Authentication failed."


def test_pam_waits_for_a_daemon_that_restarts(dovecot_pam: Dovecot) -> None:
    with ThreadPoolExecutor(1) as pool:
        login = pool.submit(dovecot_pam.imap)
        with pytest.raises(TimeoutError):
            login.result(0.5)
        with answering(dovecot_pam, ok("anna@example.org")):
            assert login.result(10).startswith("a OK ")


def test_pam_reports_a_wrong_password_with_a_code_and_without(dovecot_pam: Dovecot) -> None:
    """Dovecot passes the last status to pam_end."""
    token = "0123456789abcdef0123456789abcdef"
    for tail in ("6", "0"):

        def decide(asked: Asked, tail: str = tail) -> Say:
            return ok("anna", tail=tail, release=token) if asked.parameters["factor"] == "second" else fail()

        with answering(dovecot_pam, decide) as server:
            assert auth_test(dovecot_pam, "sieve").returncode == 0
            assert auth_test(dovecot_pam, "smtp").returncode == 77
        assert [(asked.parameters["service"], asked.parameters["factor"]) for asked in server.asked] == [
            ("sieve", "second"),
            ("smtp", "second"),
            ("smtp", "release"),
        ]
