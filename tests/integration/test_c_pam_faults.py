"""Every call that pam_mailauth.so makes is made to fail, each in turn, and no failure opens a door.

harness/fault.c replaces the calls.  A denial stays a denial whatever fails; where the
server grants, a fault refuses the login, except for the few that cannot change the answer.
"""

from __future__ import annotations

import errno
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pam_module.harness.fake_server import Asked, FakeServer, Say, fail, ok
from pam_module.harness.helper import build
from pam_module.harness.pam_stack import Outcome, PamStack
from tests.cases import case

USER = "anna@example.org"
SECRET = "secret123456"
TOKEN = "0123456789abcdef0123456789abcdef"
REFUSED = {"AUTH_ERR", "AUTHINFO_UNAVAIL"}

# What fault.c can make fail.
FAILING = {
    "clock_gettime",
    "close",
    "connect",
    "inet_pton",
    "pam_get_data",
    "pam_get_item",
    "pam_get_user",
    "pam_prompt",
    "pam_set_data",
    "pam_set_item",
    "poll",
    "recv",
    "send",
    "setsockopt",
    "socket",
    "strdup",
}
# Allocations, which libpam makes too; "own-calloc" is the module's own.
ALLOCATING = {"calloc"}
# What pam_end() has to do with, where a code is given back.
AT_THE_END = {"clock_gettime", "close", "connect", "poll", "recv", "send", "setsockopt", "socket"}
# Calls of the module that cannot fail, and the loader's.
SAFE = {
    "__cxa_finalize",
    "__errno_location",
    "__gmon_start__",
    "__stack_chk_fail",
    "_ITM_deregisterTMCloneTable",
    "_ITM_registerTMCloneTable",
    "explicit_bzero",
    "free",
    "getpid",
    "memchr",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "pam_syslog",
    "strchr",
    "strcmp",
    "strerrordesc_np",
    "strlen",
    "strncmp",
}
# The answer is in already (close), or the request only lacks the client's address (inet_pton).
HARMLESS = {"close", "inet_pton"}


@pytest.fixture(scope="module")
def built() -> Path:
    return build("all", "test-parts")


@pytest.fixture(params=["plain", "second factor"])
def stack(request: pytest.FixtureRequest, built: Path, tmp_path: Path) -> PamStack:
    stack = PamStack(built, tmp_path)
    options = "second_factor_only forward_pass" if request.param == "second factor" else "set_user"
    stack.service("imap", f"auth required MODULE timeout=2 {options}", "account required MODULE")
    return stack


def attempt(
    stack: PamStack,
    call: str,
    nth: int,
    error: int | None = None,
    value: int | None = None,
    options: tuple[str, ...] = (),
) -> Outcome:
    environment = {
        "LD_PRELOAD": str(stack.build / "fault.so"),
        "FAULT_CALL": call,
        "FAULT_NTH": str(nth),
    }
    if error is not None:
        environment["FAULT_ERRNO"] = str(error)
    if value is not None:
        environment["FAULT_VALUE"] = str(value)
    return stack.auth(SECRET, options=("-r", "192.0.2.7", *options), environment=environment)


def each_fault(
    stack: PamStack,
    call: str,
    error: int | None = None,
    value: int | None = None,
    options: tuple[str, ...] = (),
) -> Iterator[Outcome]:
    """The outcomes with the first, second, ... of these calls failing, through the last."""
    for nth in range(1, 200):
        outcome = attempt(stack, call, nth, error, value, options)
        if outcome.calls < nth:
            return
        yield outcome
    raise AssertionError(f"{call} does not end")


def granting(stack: PamStack) -> FakeServer:
    return FakeServer(stack.socket, ok(USER, tail="6", release=TOKEN))


def test_every_call_of_the_module_is_known_to_these_tests(built: Path) -> None:
    listing = subprocess.run(
        ["nm", "-D", "--undefined-only", built / "pam_mailauth.so"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = {line.split()[-1].split("@")[0] for line in listing.splitlines()}
    called = {re.fullmatch(r"__(\w+)_chk", name) for name in names}
    plain = {match.group(1) for match in called if match is not None}
    names = {name for name in names if not re.fullmatch(r"__\w+_chk", name)} | plain
    assert names - SAFE - ALLOCATING <= FAILING
    source = (built.parent / "harness" / "fault.c").read_text()
    for call in FAILING | {f"own-{name}" for name in ALLOCATING}:
        assert f'"{call}"' in source


def test_without_a_fault_the_stacks_grant_and_deny(stack: PamStack) -> None:
    with granting(stack):
        assert attempt(stack, "recv", 99).authenticate == "SUCCESS"
    with FakeServer(stack.socket, fail()):
        assert attempt(stack, "recv", 99).authenticate == "AUTH_ERR"


def test_a_failing_call_refuses_a_login_that_would_be_granted(stack: PamStack) -> None:
    for call in sorted(FAILING):
        with case(call):
            with granting(stack):
                outcomes = list(each_fault(stack, call))
            assert outcomes, f"{call} is never called"
            for outcome in outcomes:
                assert {outcome.authenticate, outcome.account} <= REFUSED | {"SUCCESS"}
                let_in = {outcome.authenticate, outcome.account} == {"SUCCESS"}
                # Of pam_get_item, only the one that reads PAM_RHOST: see the next test.
                assert not let_in or call in HARMLESS | {"pam_get_item"}


def test_only_the_clients_address_may_be_missing(stack: PamStack) -> None:
    with granting(stack) as server:
        outcomes = [(o.authenticate, o.account) for o in each_fault(stack, "pam_get_item")]
    assert outcomes.count(("SUCCESS", "SUCCESS")) == 1
    granted_without_address = [asked for asked in server.asked if "rip" not in asked.parameters]
    assert len(granted_without_address) == 1


def test_no_failing_call_turns_a_denial_into_anything_else(stack: PamStack) -> None:
    for call in sorted(FAILING | {"malloc", "calloc", "realloc"}):
        with case(call), FakeServer(stack.socket, fail("[ALERT] no")):
            for outcome in each_fault(stack, call):
                assert not {outcome.authenticate, outcome.account} & {"SUCCESS", "IGNORE"}


@pytest.mark.parametrize("call", ["malloc", "calloc", "realloc"])
def test_without_memory_nothing_is_ignored(stack: PamStack, call: str) -> None:
    """libpam itself allocates too, and then answers for itself; but never that we have no opinion."""
    with granting(stack):
        for outcome in each_fault(stack, call):
            assert outcome.authenticate != "IGNORE"


@pytest.mark.parametrize("call", ["connect", "send", "recv", "poll"])
def test_an_interrupted_call_is_made_again(stack: PamStack, call: str) -> None:
    with granting(stack) as server:
        outcomes = [outcome.authenticate for outcome in each_fault(stack, call, errno.EINTR)]
        asked = len(server.raw)
    assert set(outcomes) == {"SUCCESS"}
    assert asked == len(outcomes) + 1, "one request a login, and the last run without a fault"


@pytest.mark.parametrize("error", [errno.ECONNREFUSED, errno.ENOENT, errno.EAGAIN])
def test_a_daemon_missing_for_a_moment_is_found_again(stack: PamStack, error: int) -> None:
    with granting(stack):
        assert attempt(stack, "connect", 1, error).authenticate == "SUCCESS"


@pytest.mark.parametrize("call", ["send", "recv", "poll"])
def test_a_call_that_would_block_is_waited_for(stack: PamStack, call: str) -> None:
    value = 0 if call == "poll" else None
    with granting(stack):
        for outcome in each_fault(stack, call, errno.EAGAIN, value):
            assert outcome.authenticate == "SUCCESS"


@pytest.mark.parametrize("length", [1, 20, 100])
def test_a_short_send_is_continued(stack: PamStack, length: int) -> None:
    with granting(stack) as server:
        assert attempt(stack, "send", 1, value=length).authenticate == "SUCCESS"
    assert server.asked[0].secret == SECRET


def test_an_early_end_of_the_stream_is_unavailable(stack: PamStack) -> None:
    with granting(stack):
        for outcome in each_fault(stack, "recv", value=0):
            assert outcome.authenticate == "AUTHINFO_UNAVAIL"


def test_a_reply_in_every_pair_of_pieces_is_the_same_reply(stack: PamStack) -> None:
    whole = f"OK\t1\tuser={USER}\ttail=6\trelease={TOKEN}\n".encode()
    for cut in range(1, len(whole)):
        with FakeServer(stack.socket, Say.bytes(whole[:cut], whole[cut:], pause_s=0.001)):
            assert stack.auth(SECRET).authenticate == "SUCCESS"
        with FakeServer(stack.socket, Say.bytes(whole[:cut])):
            assert stack.auth(SECRET).authenticate == "AUTHINFO_UNAVAIL"


# Giving a code back


@pytest.fixture
def refusing(built: Path, tmp_path: Path) -> PamStack:
    """A stack whose next module refuses the password, so that the code is given back at pam_end()."""
    stack = PamStack(built, tmp_path)
    stack.service(
        "imap", "auth required MODULE timeout=2 second_factor_only forward_pass", "auth required pam_deny.so"
    )
    return stack


def decide(asked: Asked) -> Say:
    return ok(USER, tail="6", release=TOKEN) if asked.parameters["factor"] == "second" else fail()


def test_without_memory_for_the_token_the_login_is_refused(refusing: PamStack) -> None:
    with FakeServer(refusing.socket, decide) as server:
        outcomes = list(each_fault(refusing, "own-calloc", options=("-s",)))
        assert [outcome.authenticate for outcome in outcomes] == ["AUTHINFO_UNAVAIL"]
    assert [asked.parameters["factor"] for asked in server.asked] == ["second", "second", "release"]


def test_no_failing_call_at_the_end_changes_the_verdict_or_asks_twice(refusing: PamStack) -> None:
    for error in (None, errno.EINTR):
        for call in sorted(AT_THE_END):
            with case(error, call):
                with FakeServer(refusing.socket, decide) as server:
                    outcomes = list(each_fault(refusing, call, error, options=("-s", "-e")))
                    assert outcomes, f"{call} is never called"
                    assert {(outcome.authenticate, outcome.end) for outcome in outcomes} == {("AUTH_ERR", "SUCCESS")}
                    factors = [asked.parameters["factor"] for asked in server.asked]
                assert factors.count("second") == len(outcomes) + 1
                assert 1 <= factors.count("release") <= len(outcomes) + 1
                if error == errno.EINTR and call in {"connect", "poll", "recv", "send"}:
                    assert factors.count("release") == len(outcomes) + 1, "an interrupted call is made again"
