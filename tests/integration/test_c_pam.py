"""pam_mailauth.so in private PAM stacks, against a scripted server; shipped and sanitized build."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pam_module.harness.applications import pamtester, python_pam
from pam_module.harness.fake_server import GREETING, Asked, FakeServer, Say, fail, ok
from pam_module.harness.helper import build
from pam_module.harness.pam_stack import PamStack
from tests.cases import case

USER = "anna@example.org"
SECRET = "correct horse123456"
GARBAGE = {
    "closes": b"",
    "half a reply": b"OK\t1\tuser=anna@exam",
    "binary": bytes(range(256)),
    "no user": b"OK\t1\n",
    "wrong id": b"OK\t2\tuser=anna\n",
    "continuation": b"CONT\t1\t\n",
    "nologin": b"OK\t1\tuser=anna\tnologin\n",
    "temporary": b"FAIL\t1\tuser=anna\tcode=temp_fail\n",
    "1 MB line": b"OK\t1\tuser=" + b"a" * 1_000_000 + b"\n",
    "1 MB without an end": b"FAIL\t1\treason=" + b"a" * 1_000_000,
}


@pytest.fixture(scope="module", params=["shipped", "sanitized"])
def built(request: pytest.FixtureRequest) -> Path:
    return build("all", "test-parts", sanitize=request.param == "sanitized")


@pytest.fixture
def stack(built: Path, tmp_path: Path) -> PamStack:
    stack = PamStack(built, tmp_path)
    stack.service("imap", "auth required MODULE", "account required MODULE")
    return stack


@pytest.fixture(scope="module")
def shipped() -> Path:
    return build("all", "test-parts")


def results(stack: PamStack, *options: str, secret: str = SECRET, **how: str) -> str:
    """The result of authenticate with these module options; account must agree with it."""
    stack.service("imap", f"auth required MODULE {' '.join(options)}", "account required MODULE")
    outcome = stack.auth(secret, **how)  # type: ignore[arg-type]
    assert outcome.account == ("SUCCESS" if outcome.authenticate == "SUCCESS" else "AUTH_ERR")
    return outcome.authenticate


# The verdicts


def test_granted_is_success_throughout(stack: PamStack) -> None:
    with FakeServer(stack.socket, ok(USER)) as server:
        outcome = stack.auth(SECRET, options=("-r", "2001:db8::7"))
    assert (outcome.authenticate, outcome.account, outcome.setcred) == ("SUCCESS",) * 3
    assert outcome.user == USER
    assert outcome.prompts == ("Password and verification code: ",)
    [asked] = server.asked
    assert (asked.user, asked.secret) == (USER, SECRET)
    assert asked.parameters == {"service": "imap", "rip": "2001:db8::7", "mailauth": "1"}


@pytest.mark.parametrize("say", [fail(), fail("[ALERT] use a code"), Say.bytes(b"FAIL\t1\n")])
def test_denied_is_auth_err(stack: PamStack, say: Say) -> None:
    with FakeServer(stack.socket, say):
        outcome = stack.auth(SECRET)
    assert (outcome.authenticate, outcome.account) == ("AUTH_ERR", "AUTH_ERR")


def test_an_answer_that_is_not_clear_is_authinfo_unavail(stack: PamStack) -> None:
    for what, reply in GARBAGE.items():
        with case(what):
            with FakeServer(stack.socket, Say.bytes(reply)) as server:
                outcome = stack.auth(SECRET)
            assert (outcome.authenticate, outcome.account) == ("AUTHINFO_UNAVAIL", "AUTH_ERR")
            assert len(server.raw) == 1, "nothing is sent twice"


@pytest.mark.parametrize("say", [Say.bytes(then_hang=True), Say.bytes(b"OK\t1\tuser=a", then_hang=True)])
def test_a_server_that_never_answers_costs_the_timeout_and_no_more(stack: PamStack, say: Say) -> None:
    with FakeServer(stack.socket, say):
        started = time.monotonic()
        assert results(stack, "timeout=0.4") == "AUTHINFO_UNAVAIL"
    assert 0.35 < time.monotonic() - started < 3.0


def test_a_daemon_that_is_away_is_waited_for_briefly_and_not_for_ever(stack: PamStack) -> None:
    started = time.monotonic()
    assert results(stack) == "AUTHINFO_UNAVAIL"
    assert 2.9 < time.monotonic() - started < 5.0
    started = time.monotonic()
    assert results(stack, "timeout=0.3") == "AUTHINFO_UNAVAIL"
    assert time.monotonic() - started < 2.0


@pytest.mark.parametrize("stale_socket", [False, True])
def test_a_daemon_that_comes_back_in_time_is_asked(stack: PamStack, stale_socket: bool) -> None:
    if stale_socket:
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(stack.socket))
    outcome: list[str] = []
    login = threading.Thread(target=lambda: outcome.append(stack.auth(SECRET).authenticate))
    login.start()
    login.join(0.5)
    assert login.is_alive(), "the login waits"
    stack.socket.unlink(missing_ok=True)
    with FakeServer(stack.socket, ok(USER)) as server:
        login.join(20)
    assert outcome == ["SUCCESS"]
    assert len(server.raw) == 1


# Options


def test_service_and_realm_are_set_by_options(stack: PamStack) -> None:
    with FakeServer(stack.socket, ok(USER)) as server:
        assert results(stack, "service=smtp", "realm=example.org", user="anna") == "SUCCESS"
        assert results(stack, "realm=example.org", user="anna@other.example") == "SUCCESS"
    assert [asked.user for asked in server.asked] == ["anna@example.org", "anna@other.example"]
    assert [asked.parameters["service"] for asked in server.asked] == ["smtp", "imap"]


def test_the_prompt_is_set_by_an_option(stack: PamStack) -> None:
    stack.service("imap", "auth required MODULE [prompt=Code for 100%s mail: ]")
    with FakeServer(stack.socket, ok(USER)):
        assert stack.auth(SECRET).prompts == ("Code for 100%s mail: ",)


def test_an_option_that_is_not_understood_refuses_every_login(stack: PamStack) -> None:
    for options in (
        "nullok",
        "secondfactor_only",
        "debug=1",
        "timeout=0",
        "timeout=x",
        "timeout=",
        "socket=auth.sock",
        "socket=",
        "service=",
        "realm=@x",
        "forward_pass",
        "second_factor_only set_user",
        "use_first_pas",
    ):
        with case(options):
            with FakeServer(stack.socket, ok(USER, tail="6")) as server:
                assert results(stack, options) == "AUTHINFO_UNAVAIL"
            assert server.raw == []


def test_a_client_by_name_is_not_handed_on(stack: PamStack) -> None:
    for rhost in ("mail.example.org", "192.0.2.7.example", "192.0.2", "::1%lo", "1.2.3.4 "):
        with case(rhost):
            with FakeServer(stack.socket, ok(USER)) as server:
                assert stack.auth(SECRET, options=("-r", rhost)).authenticate == "SUCCESS"
            assert "rip" not in server.asked[0].parameters


def test_set_user_makes_the_canonical_name_pams(stack: PamStack) -> None:
    with FakeServer(stack.socket, ok(USER)):
        assert stack.auth(SECRET, user="alias").user == "alias"
        stack.service("imap", "auth required MODULE set_user", "account required MODULE")
        outcome = stack.auth(SECRET, user="alias")
    assert (outcome.user, outcome.account) == (USER, "SUCCESS")


def test_an_empty_secret_is_refused_unasked(stack: PamStack) -> None:
    with FakeServer(stack.socket, ok(USER)) as server:
        assert results(stack, secret="") == "AUTH_ERR"
    assert server.raw == []


def test_long_secrets_and_names_are_refused(stack: PamStack) -> None:
    with FakeServer(stack.socket, fail()) as server:
        assert results(stack, secret="x" * 10_000) == "AUTH_ERR"
        assert results(stack, secret="x" * 19_000) == "AUTHINFO_UNAVAIL"
        assert results(stack, user="u" * 600) == "AUTH_ERR"
        assert results(stack, "realm=" + "r" * 500, user="u" * 100) == "AUTH_ERR"
    assert len(server.raw) == 1


def test_account_alone_opens_nothing(stack: PamStack) -> None:
    outcome = stack.auth(SECRET, options=("-o",))
    assert (outcome.account, outcome.setcred) == ("AUTH_ERR", "SUCCESS")


# Stacks

SETTER = "auth required MODULE second_factor_only forward_pass"


def test_the_token_of_the_module_before_is_used(stack: PamStack) -> None:
    stack.service("imap", SETTER, "auth required MODULE use_first_pass")
    with FakeServer(stack.socket, ok(USER, tail="6")) as server:
        outcome = stack.auth("secret123456")
    assert outcome.authenticate == "SUCCESS"
    assert len(outcome.prompts) == 1
    assert [asked.secret for asked in server.asked] == ["secret123456", "secret"]


def test_use_first_pass_without_a_token_is_refused_unasked(stack: PamStack) -> None:
    with FakeServer(stack.socket, ok(USER)) as server:
        assert results(stack, "use_first_pass") == "AUTH_ERR"
    assert server.raw == []


def test_try_first_pass_without_a_token_prompts(stack: PamStack) -> None:
    with FakeServer(stack.socket, ok(USER)):
        assert results(stack, "try_first_pass") == "SUCCESS"


def test_without_either_option_the_user_is_asked_again(stack: PamStack) -> None:
    stack.service("imap", SETTER, "auth required MODULE")
    with FakeServer(stack.socket, ok(USER, tail="6")) as server:
        assert len(stack.auth("secret123456").prompts) == 2
    assert [asked.secret for asked in server.asked] == ["secret123456"] * 2


# The second factor alone


@pytest.fixture
def seen_behind(stack: PamStack) -> Iterator[Path]:
    """Puts pam_exec behind the module; the file in which it leaves the PAM_AUTHTOK that it got."""
    seen = stack.directory / "authtok"
    script = stack.directory / "behind"
    script.write_text(f"#!/bin/sh\nexec cat > {seen}\n")
    script.chmod(0o755)
    stack.service(
        "imap",
        "auth required MODULE second_factor_only forward_pass",
        f"auth required pam_exec.so expose_authtok quiet {script}",
        "account required MODULE",
    )
    return seen  # type: ignore[return-value]


def token(seen: Path) -> str:
    return seen.read_bytes().rstrip(b"\0").decode()


def test_the_password_without_the_code_is_left_to_the_modules_behind(stack: PamStack, seen_behind: Path) -> None:
    for secret, tail, head in (
        ("correct horse123456", 6, "correct horse"),
        ("correct horse123 456", 7, "correct horse"),
        ("p\u00e4ss k7qm-2xvp-9hfd-c3wn", 20, "p\u00e4ss"),
        ("x123456", 6, "x"),
        ("not enrolled 123456", 0, "not enrolled 123456"),
    ):
        with case(secret, tail, head):
            with FakeServer(stack.socket, ok(USER, tail=str(tail))) as server:
                outcome = stack.auth(secret)
            assert (outcome.authenticate, outcome.account) == ("SUCCESS", "SUCCESS")
            assert token(seen_behind) == head
            assert server.asked[0].parameters["factor"] == "second"
            assert server.asked[0].secret == secret


def test_after_a_denial_the_modules_behind_do_the_same_work(stack: PamStack, seen_behind: Path) -> None:
    with FakeServer(stack.socket, fail()):
        assert stack.auth("secret000000").authenticate == "AUTH_ERR"
    assert token(seen_behind) == "secret000000"


def test_wrong_code_and_wrong_password_look_alike(stack: PamStack) -> None:
    denier = "auth required pam_deny.so"
    stack.service("imap", SETTER, denier, "account required MODULE")
    with FakeServer(stack.socket, ok(USER, tail="6")):
        wrong_password = stack.auth("wrong123456")
    with FakeServer(stack.socket, fail()):
        wrong_code = stack.auth("right000000")
    assert wrong_password.authenticate == wrong_code.authenticate == "AUTH_ERR"
    assert wrong_password.prompts == wrong_code.prompts


def test_a_code_alone_leaves_no_empty_password_behind(stack: PamStack, seen_behind: Path) -> None:
    with FakeServer(stack.socket, ok(USER, tail="6")):
        assert stack.auth("123456").authenticate == "AUTH_ERR"
    assert token(seen_behind) == "123456"


def test_a_code_alone_passes_behind_a_password_module(stack: PamStack) -> None:
    stack.service("imap", "auth required pam_permit.so", "auth required MODULE second_factor_only")
    with FakeServer(stack.socket, ok(USER, tail="6")) as server:
        outcome = stack.auth("123456")
    assert outcome.authenticate == "SUCCESS"
    assert outcome.prompts == ("Verification code: ",)
    assert server.asked[0].parameters["factor"] == "second"


@pytest.mark.parametrize("more", [{}, {"tail": "20"}, {"tail": "9999"}, {"tail": "x"}])
def test_a_grant_that_does_not_say_how_long_the_code_was_is_unavailable(
    stack: PamStack, seen_behind: Path, more: dict[str, str]
) -> None:
    with FakeServer(stack.socket, ok(USER, **more)):
        assert stack.auth("secret123456").authenticate == "AUTHINFO_UNAVAIL"


# Other applications


@pytest.fixture
def plain(shipped: Path, tmp_path: Path) -> PamStack:
    stack = PamStack(shipped, tmp_path)
    stack.service("imap", "auth required MODULE", "account required MODULE")
    return stack


def test_pamtester_drives_it(plain: PamStack) -> None:
    with FakeServer(plain.socket, lambda asked: ok(USER) if asked.secret == SECRET else fail()) as server:
        granted, denied = pamtester(plain, USER, SECRET), pamtester(plain, USER, "wrong")
    assert granted.returncode == 0, granted
    assert denied.returncode != 0
    assert "Authentication failure" in denied.stderr
    assert [asked.secret for asked in server.asked] == [SECRET, "wrong"]


def test_python_pam_drives_it(plain: PamStack) -> None:
    with FakeServer(plain.socket, lambda asked: ok(USER) if asked.secret == SECRET else fail()):
        assert python_pam(plain, USER, SECRET) == "True 0"
        assert python_pam(plain, USER, "wrong") == "False 7"


# The module as a file


def test_the_module_exports_its_entry_points_only(shipped: Path) -> None:
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", shipped / "pam_mailauth.so"], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[2] for line in listing.splitlines()}
    assert names == {"pam_sm_authenticate", "pam_sm_setcred", "pam_sm_acct_mgmt"}


def test_the_module_has_no_static_state_and_no_getenv(shipped: Path) -> None:
    """Nothing writable in its own objects: no .data, no .bss."""
    for name in ("pam_mailauth.lo", "pam_release.lo", "wire.lo", "wire_text.lo"):
        sizes = subprocess.run(["size", "-A", shipped / name], capture_output=True, text=True, check=True).stdout
        found = dict(re.findall(r"^\.(data|bss)\s+(\d+)", sizes, re.MULTILINE))
        assert found == {"data": "0", "bss": "0"}, name
    undefined = subprocess.run(
        ["nm", "-D", "--undefined-only", shipped / "pam_mailauth.so"], capture_output=True, text=True, check=True
    ).stdout
    assert "getenv" not in undefined


@pytest.mark.parametrize("name", ["pam_mailauth.so", "mailauth-checkpassword"])
def test_binaries_are_hardened(shipped: Path, name: str) -> None:
    dump = subprocess.run(["readelf", "-Wld", shipped / name], capture_output=True, text=True, check=True).stdout
    assert "GNU_RELRO" in dump
    assert "NOW" in dump
    assert re.search(r"GNU_STACK.*RW ", dump)
    assert "TEXTREL" not in dump


# Memory


@pytest.mark.parametrize("kind", ["granted", "denied", "garbage", "second factor"])
def test_valgrind_finds_nothing(shipped: Path, tmp_path: Path, kind: str) -> None:
    stack = PamStack(shipped, tmp_path)
    options = "second_factor_only forward_pass" if kind == "second factor" else "debug"
    stack.service("imap", f"auth required MODULE {options}", "account required MODULE")
    say = {
        "granted": ok(USER),
        "denied": fail("[ALERT] no"),
        "garbage": Say.bytes(bytes(range(256))),
        "second factor": ok(USER, tail="6"),
    }[kind]
    with FakeServer(stack.socket, say):
        outcome = stack.auth(
            SECRET,
            wrapper=["valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--track-fds=yes"],
            options=("-n", "3"),
        )
    assert "lost" not in outcome.errors, outcome.errors
    assert "Invalid" not in outcome.errors, outcome.errors
    assert str(stack.socket) not in outcome.errors, "a socket is open at the end"


def test_many_logins_in_one_process_leave_memory_and_descriptors_flat(shipped: Path, tmp_path: Path) -> None:
    """PAM1: a byte lost at each login would show; MAILAUTH_PAM_LOGINS=100000 takes 20 s and is stricter."""
    count = int(os.environ.get("MAILAUTH_PAM_LOGINS", "20000"))
    stack = PamStack(shipped, tmp_path)
    stack.service("imap", "auth required MODULE", "account required MODULE")
    server = subprocess.Popen([shipped / "pam_driver", "serve", stack.socket], stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == b"ready\n"
        outcome = stack.auth(SECRET, options=("-n", str(count)), limit_s=600)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    figures = outcome.figures
    assert figures["granted"] == count
    assert figures["descriptors_late"] == figures["descriptors_early"]
    assert figures["rss_kb_late"] - figures["rss_kb_early"] <= 64, figures
    print(f"{count / outcome.seconds:.0f} logins a second, RSS {figures['rss_kb_late']} kB")


def test_parallel_logins_in_threads_and_processes_do_not_mix(shipped: Path, tmp_path: Path) -> None:
    stack = PamStack(shipped, tmp_path)
    stack.service("imap", "auth required MODULE", "account required MODULE")

    def decide(asked: Asked) -> Say:
        return ok(asked.user) if asked.secret == f"of {asked.user}" else fail()

    outcomes: dict[str, str] = {}

    def login(name: str, secret: str) -> None:
        outcomes[name + secret] = stack.auth(secret, user=name).authenticate

    names = [f"user{i}" for i in range(12)]
    pairs = [(n, f"of {n}") for n in names] + [(n, f"of {n}x") for n in names]
    with FakeServer(stack.socket, decide):
        threads = [threading.Thread(target=login, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name, secret in pairs:
        expected = "SUCCESS" if secret == f"of {name}" else "AUTH_ERR"
        assert outcomes[name + secret] == expected


def test_the_greeting_is_not_waited_for(plain: PamStack) -> None:
    with FakeServer(plain.socket, ok(USER), greeting=GREETING, reads_first=True):
        assert plain.auth(SECRET).authenticate == "SUCCESS"


def test_the_tools_of_these_tests_are_installed() -> None:
    assert [tool for tool in ("pamtester", "valgrind", "nm", "readelf") if shutil.which(tool) is None] == []
