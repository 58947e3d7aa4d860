"""What the module gives back, and when: a code that was spent before a module behind refused the password.

The server is scripted. Whatever is not certain leaves the code spent; no failure changes the verdict.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest

from pam_module.harness.fake_server import Asked, FakeServer, Say, fail, ok
from pam_module.harness.pam_stack import Outcome, PamStack
from tests.cases import case

USER = "anna@example.org"
TOKEN = "0123456789abcdef0123456789abcdef"
OTHER_TOKEN = "f" * 32

FIRST = "auth required MODULE second_factor_only forward_pass"
WRONG_PASSWORD = "auth required pam_deny.so"
RIGHT_PASSWORD = "auth required pam_permit.so"
ACCOUNT = "account required pam_permit.so"
AS_MAIL_SERVERS_DO = ("-s", "-r", "192.0.2.7")


def given_back(server: FakeServer) -> list[str]:
    """The tokens that the server was told."""
    return [a.parameters["release"] for a in server.asked if a.parameters.get("factor") == "release"]


def serving(stack: PamStack, to_release: Say | None = None, **grant: str) -> FakeServer:
    """A server that grants with a token, and answers a returned one as it is told."""
    answer = ok(USER, **({"tail": "6", "release": TOKEN} | grant))

    def decide(asked: Asked) -> Say:
        return (to_release or fail()) if asked.parameters.get("factor") == "release" else answer

    return FakeServer(stack.socket, decide)


def login(stack: PamStack, *lines: str, secret: str = "secret123456", options: Sequence[str] = ()) -> Outcome:
    stack.service("imap", *(lines or (FIRST, WRONG_PASSWORD)), ACCOUNT)
    outcome = stack.auth(secret, options=(*AS_MAIL_SERVERS_DO, *options))
    assert outcome.end == "SUCCESS"
    return outcome


def test_wrong_password_behind_gives_the_code_back(stack: PamStack) -> None:
    with serving(stack) as server:
        assert login(stack).authenticate == "AUTH_ERR"
    asked, returned = server.asked
    assert asked.parameters["factor"] == "second"
    assert returned.parameters == {
        "service": "imap",
        "rip": "192.0.2.7",
        "mailauth": "1",
        "factor": "release",
        "release": TOKEN,
    }
    assert (returned.user, returned.secret) == (USER, "-"), "no secret goes out a second time"


def test_code_is_given_back_for_the_name_and_service_that_it_was_spent_for(stack: PamStack) -> None:
    with serving(stack) as server:
        stack.service("imap", f"{FIRST} realm=example.org service=smtp debug", WRONG_PASSWORD)
        assert stack.auth("secret123456", user="anna", options=("-s", "-r", "host.example")).end == "SUCCESS"
    asked, returned = server.asked
    assert (asked.user, returned.user) == (USER, USER)
    assert returned.parameters["service"] == "smtp"
    assert "rip" not in returned.parameters


def test_right_password_gives_nothing_back(stack: PamStack) -> None:
    with serving(stack) as server:
        assert login(stack, FIRST, RIGHT_PASSWORD).authenticate == "SUCCESS"
    assert given_back(server) == []


def test_own_refusal_after_the_grant_gives_the_code_back(stack: PamStack) -> None:
    """A code alone, where a password is needed; a grant that does not say where the code is."""
    with serving(stack) as server:
        assert login(stack, secret="123456").authenticate == "AUTH_ERR"
    assert given_back(server) == [TOKEN]
    with serving(stack, tail="9999") as server:
        assert login(stack, FIRST, RIGHT_PASSWORD).authenticate == "AUTHINFO_UNAVAIL"
    assert given_back(server) == [TOKEN]


@pytest.mark.parametrize("answer", [fail(), fail(code="temp_fail"), ok(USER, tail="0"), Say.bytes(b"OK")])
def test_what_was_not_spent_is_not_given_back(plain: PamStack, answer: Say) -> None:
    with FakeServer(plain.socket, answer) as server:
        assert login(plain).authenticate in {"AUTH_ERR", "AUTHINFO_UNAVAIL"}
    assert len(server.raw) == 1


@pytest.mark.parametrize("token", ["", TOKEN[1:], TOKEN.upper(), "../" * 10])
def test_grant_with_an_odd_token_is_unavailable(plain: PamStack, token: str) -> None:
    with serving(plain, release=token) as server:
        assert login(plain, FIRST, RIGHT_PASSWORD).authenticate == "AUTHINFO_UNAVAIL"
    assert len(server.raw) == 1


def test_full_login_has_nothing_to_give_back(plain: PamStack) -> None:
    with serving(plain) as server:
        assert login(plain, "auth required MODULE", WRONG_PASSWORD).authenticate == "AUTH_ERR"
    assert given_back(server) == []


def test_prompts_of_their_own_give_the_code_back_too(plain: PamStack) -> None:
    with serving(plain) as server:
        stack = ("auth required pam_deny.so", "auth required MODULE second_factor_only")
        assert login(plain, *stack, secret="123456").authenticate == "AUTH_ERR"
    assert given_back(server) == [TOKEN]


# When it is not certain that the login failed


@pytest.mark.parametrize("status", ["success", "silent"])
def test_application_that_does_not_say_that_it_failed_leaves_the_code_spent(stack: PamStack, status: str) -> None:
    """PAM_SUCCESS in spite of a failure, and a child that ends its copy of the handle."""
    with serving(stack) as server:
        assert login(stack, options=("-x", status)).authenticate == "AUTH_ERR"
    assert given_back(server) == []


def test_further_attempt_on_the_same_handle_leaves_the_earlier_code_spent(stack: PamStack) -> None:
    """The application may have let the user in by the earlier one: nothing tells the module."""
    tokens = {"one123456": TOKEN, "two123456": OTHER_TOKEN}

    def decide(asked: Asked) -> Say:
        if asked.secret in tokens:
            return ok(USER, tail="6", release=tokens[asked.secret])
        return fail()

    with FakeServer(stack.socket, decide) as server:
        login(stack, secret="one123456\ntwo123456", options=("-a", "2"))
        assert given_back(server) == [OTHER_TOKEN]
        server.raw.clear()
        login(stack, secret="one123456\nthree000000", options=("-a", "2"))
        assert given_back(server) == []


@pytest.mark.parametrize("account", ["account required MODULE", "account required pam_permit.so"])
def test_user_who_was_let_in_gets_nothing_back_however_the_session_ends(stack: PamStack, account: str) -> None:
    """Who asks for account or credentials after authenticating has let the user in."""
    stack.service("imap", FIRST, WRONG_PASSWORD, account)
    with serving(stack) as server:  # the driver goes on in spite of the failure, and tells pam_end of it
        assert stack.auth("secret123456").authenticate == "AUTH_ERR"
    assert given_back(server) == []


def test_right_password_of_a_refused_account_leaves_the_code_spent(stack: PamStack) -> None:
    stack.service("imap", FIRST, RIGHT_PASSWORD, "account required MODULE", "account required pam_deny.so")
    with serving(stack) as server:
        outcome = stack.auth("secret123456", options=AS_MAIL_SERVERS_DO)
    assert (outcome.authenticate, outcome.account) == ("SUCCESS", "AUTH_ERR")
    assert given_back(server) == []


# When giving back fails


def test_answer_to_giving_back_changes_nothing(stack: PamStack) -> None:
    for answer in (
        ok(USER),
        fail(code="temp_fail"),
        Say.bytes(),
        Say.bytes(bytes(range(256))),
        Say.bytes(b"a" * 1_000_000),
    ):
        with case(answer):
            with serving(stack, answer) as server:
                assert login(stack).authenticate == "AUTH_ERR"
            assert given_back(server) == [TOKEN], "said once"


@pytest.mark.parametrize(("option", "least_s", "most_s"), [("", 0.95, 4.0), ("timeout=0.2", 0.15, 1.0)])
def test_server_that_hangs_holds_pam_end_up_briefly(
    plain: PamStack, option: str, least_s: float, most_s: float
) -> None:
    with serving(plain, Say.bytes(then_hang=True)) as server:
        outcome = login(plain, f"{FIRST} {option}", WRONG_PASSWORD)
    assert outcome.authenticate == "AUTH_ERR"
    assert least_s < outcome.seconds < most_s
    assert given_back(server) == [TOKEN]


def test_server_that_has_gone_is_not_waited_for(plain: PamStack) -> None:
    """No patience as at the beginning: the code stays spent."""
    goes = f"auth optional pam_exec.so quiet /bin/mv {plain.socket} {plain.directory}/gone"
    with serving(plain) as server:
        outcome = login(plain, FIRST, goes, WRONG_PASSWORD)
    assert outcome.authenticate == "AUTH_ERR"
    assert outcome.seconds < 0.9
    assert len(server.raw) == 1


# Memory


def test_valgrind_finds_nothing_in_giving_back(plain: PamStack) -> None:
    """Given back, dropped by the next attempt, and dropped by the account's question."""
    valgrind = ["valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--track-fds=yes"]
    plain.service("imap", FIRST, WRONG_PASSWORD, "account required MODULE")
    with serving(plain) as server:
        options = ("-n", "2", "-a", "2", "-r", "2001:db8::7")
        for more in (("-s",), ()):
            outcome = plain.auth("secret123456", wrapper=valgrind, options=(*options, *more))
            assert "lost" not in outcome.errors, outcome.errors
            assert "Invalid" not in outcome.errors, outcome.errors
            assert str(plain.socket) not in outcome.errors, "a socket is open at the end"
    assert given_back(server) == [TOKEN] * 2


def test_giving_back_again_and_again_leaves_memory_and_descriptors_flat(plain: PamStack) -> None:
    plain.service("imap", FIRST, WRONG_PASSWORD)
    server = subprocess.Popen([plain.build / "pam_driver", "serve", plain.socket], stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == b"ready\n"
        outcome = plain.auth("secret123456", options=("-s", "-n", "3000"))
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    figures = outcome.figures
    assert outcome.authenticate == "AUTH_ERR"
    assert figures["descriptors_late"] == figures["descriptors_early"]
    assert figures["rss_kb_late"] - figures["rss_kb_early"] <= 64, figures
