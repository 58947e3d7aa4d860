"""`mailauth limits` and the part of `explain` that it decides: who is blocked, until when, and what ends that."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from tests.integration.cli.conftest import NOW, CommandLine

CommandLineMaker = Callable[..., CommandLine]
HERE, ELSEWHERE = "192.0.2.7", "198.51.100.1"
THREE = ("limits.account_and_source_burst=3", "limits.account_and_source_interval_s=120")


def guess(mailauth: CommandLine, count: int, client: str | None = HERE, reason: str = "password-wrong") -> None:
    words = () if client is None else ("--ip", client)
    for number in range(count):
        code = 75 if reason == "throttled" else 1
        assert mailauth.check("alice", f"wrong {number}", *words, code=code)["reason"] == reason


def blocked_until(mailauth: CommandLine, *words: str) -> datetime | None:
    until = mailauth.json("explain", "alice", *words)["throttled_until"]
    return None if until is None else datetime.fromisoformat(until)


@pytest.fixture
def blocked(make_mailauth: CommandLineMaker) -> CommandLine:
    """Give an installation in which alice may guess wrong thrice from one address, and has."""
    mailauth = make_mailauth(*THREE)
    mailauth.run("account", "add", "alice", stdin="pw")
    guess(mailauth, 3)
    guess(mailauth, 1, reason="throttled")
    return mailauth


def test_a_mapped_address_is_the_same_client_to_explain_and_check(blocked: CommandLine) -> None:
    mapped = f"::ffff:{HERE}"
    assert blocked_until(blocked, "--ip", mapped) == blocked_until(blocked, "--ip", HERE) is not None
    assert blocked.check("alice", "guess", "--ip", mapped, code=75)["reason"] == "throttled"


def test_limits_show_says_what_is_left_and_until_when_it_blocks(blocked: CommandLine) -> None:
    found = {one["bucket"]: one for one in blocked.json("limits", "show", "alice")}
    here = found[f"account+source alice@mailitwize.be {HERE}"]
    assert (here["left"], here["burst"]) == (0, 3)
    assert here["counted"] == "wrong logins from there to the account"
    assert (datetime.fromisoformat(here["blocked_until"]) - NOW).total_seconds() == 120
    assert (datetime.fromisoformat(here["empty_at"]) - NOW).total_seconds() == 360
    everywhere = found["account alice@mailitwize.be"]
    assert (everywhere["left"], everywhere["blocked_until"]) == (everywhere["burst"] - 3, None)
    lines = blocked.run("limits", "show", "alice").stdout.splitlines()
    for header in ("BUCKET", "WHAT IS COUNTED", "LEFT", "BLOCKED UNTIL", "EMPTY AT"):
        assert header in lines[0]
    [line] = [line for line in lines if HERE in line]
    assert "0 of 3" in line
    assert f"{NOW:%Y-%m-%d} 22:02:00 UTC" in line


def test_explain_says_who_is_blocked_until_when_and_what_ends_it(blocked: CommandLine) -> None:
    said = blocked.run("explain", "alice").stdout
    until = f"{NOW:%Y-%m-%d} 22:02:00 UTC, unless password and code are both right"
    assert f"A login from {HERE} is throttled until {until}" in said
    assert "`mailauth limits clear alice@mailitwize.be` ends that" in said
    assert blocked_until(blocked, "--ip", HERE) == blocked_until(blocked)
    assert blocked_until(blocked, "--ip", ELSEWHERE) is None
    blocked.run("limits", "clear", "alice")
    assert blocked_until(blocked) is None
    assert "throttled" not in blocked.run("explain", "alice").stdout
    guess(blocked, 1)


def test_block_ends_at_the_moment_that_is_told(blocked: CommandLine) -> None:
    until = blocked_until(blocked)
    assert until is not None
    blocked.clock.now = until - timedelta(milliseconds=1)
    assert blocked_until(blocked) == until
    guess(blocked, 1, reason="throttled")
    blocked.clock.now = until
    assert blocked_until(blocked) is None
    guess(blocked, 1)


def test_code_limit_blocks_logins_with_a_code(make_mailauth: CommandLineMaker) -> None:
    mailauth = make_mailauth("limits.code_burst=2")
    alice = mailauth.enrol("alice")
    for code in ("000000", "000001"):
        mailauth.check("alice", alice.password + code, "--ip", HERE, code=1)
    said = mailauth.run("explain", "alice").stdout
    assert (
        "A login with a verification code, from an address that is not familiar to the account, is refused until"
        in said
    )


def test_account_limit_blocks_unfamiliar_addresses_alone(make_mailauth: CommandLineMaker) -> None:
    mailauth = make_mailauth("limits.account_burst=2", "cutover.date=2099-01-01T00:00 UTC")
    mailauth.run("account", "add", "alice", stdin="pw")
    mailauth.check("alice", "pw", "--ip", HERE)
    guess(mailauth, 2, ELSEWHERE)
    assert "not familiar to the account is throttled until" in mailauth.run("explain", "alice").stdout
    assert blocked_until(mailauth, "--ip", ELSEWHERE) is not None
    assert blocked_until(mailauth, "--ip", HERE) is None


def test_source_that_is_blocked_for_all_accounts_is_told_for_that_source(make_mailauth: CommandLineMaker) -> None:
    mailauth = make_mailauth("limits.source_burst=2")
    mailauth.run("account", "add", "alice", stdin="pw")
    mailauth.run("account", "add", "bob", stdin="pw")
    guess(mailauth, 2)
    said = mailauth.run("explain", "bob", "--ip", HERE).stdout
    assert f"Every login from {HERE} is throttled until" in said
    assert "limits.trusted_networks" in said
    assert "throttled" not in mailauth.run("explain", "bob").stdout


@pytest.mark.parametrize("client", [None, "127.0.0.1", "::1"])
def test_limit_of_a_trusted_source_has_the_accounts_burst(make_mailauth: CommandLineMaker, client: str | None) -> None:
    mailauth = make_mailauth(*THREE, "limits.account_burst=4")
    mailauth.run("account", "add", "alice", stdin="pw")
    guess(mailauth, 4, client)
    guess(mailauth, 1, client, reason="throttled")
    [burst] = [one["burst"] for one in mailauth.json("limits", "show", "alice") if "+source" in one["bucket"]]
    assert burst == 4
    where = "without a client address" if client is None else "from "
    assert f"A login {where}" in mailauth.run("explain", "alice").stdout
