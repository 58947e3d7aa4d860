"""Addresses that many accounts come from: named in the log, with the line of the configuration that they need."""

import logging
from ipaddress import ip_address

import pytest

from mailauth.vocabulary.model import AccountName, Attempt, Credential, Denied, Granted, Unavailable, Verdict
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable
from mailauth.vocabulary.secret import Secret
from tests.integration.cli.conftest import CommandLine, clock, mailauth, make_mailauth  # noqa: F401 - fixtures
from tests.world import World, WorldMaker

GATEWAY = "172.17.0.1"


def log_in(world: World, name: str, verdict: Verdict, client: str = GATEWAY) -> None:
    attempt = Attempt(name, Secret(b"x"), "imap", ip_address(client))
    world.installation.activity.note(attempt, verdict, world.clock())
    world.installation.activity.flush()


def let_in(world: World, number: int, client: str = GATEWAY) -> None:
    name = AccountName(f"user{number}@mailitwize.be")
    log_in(world, name, Granted(name, Credential.APP_PASSWORD, WhyGranted.APP_PASSWORD_GIVEN), client)


def kept_waiting(world: World, number: int) -> None:
    name = AccountName(f"user{number}@mailitwize.be")
    log_in(world, name, Unavailable(WhyUnavailable.THROTTLED, name))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    fields = [(record.getMessage(), vars(record).get("fields", {})) for record in caplog.records]
    return [f"{words} {more}" for words, more in fields if "one address" in words]


def test_many_accounts_behind_one_address_are_named_once_a_day_with_what_to_set(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """LOG1: a gateway of containers, behind which all share one limit."""
    caplog.set_level(logging.WARNING)
    for number in range(9):
        let_in(world, number)
        let_in(world, 0, "192.0.2.8")
    assert warnings(caplog) == []
    for number in range(9, 30):
        let_in(world, number)
    (said,) = warnings(caplog)
    assert "limits.trusted_networks" in said
    assert GATEWAY in said
    world.clock.advance(days=1, seconds=1)
    for number in range(12):
        let_in(world, number)
    assert len(warnings(caplog)) == 2


def test_few_are_enough_where_their_shared_limit_keeps_them_waiting(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """LOG1."""
    for number in range(3):
        let_in(world, number)
    kept_waiting(world, 0)
    assert warnings(caplog) == []
    kept_waiting(world, 1)
    (said,) = warnings(caplog)
    assert "throttled" in said


def test_networks_that_are_listed_and_those_who_only_try_are_no_matter(
    make_world: WorldMaker, caplog: pytest.LogCaptureFixture
) -> None:
    world = make_world(f'limits.trusted_networks=["{GATEWAY}/32"]')
    for number in range(20):
        let_in(world, number)
        kept_waiting(world, number)
        log_in(
            world, f"x{number}", Denied(WhyDenied.PASSWORD_WRONG, AccountName(f"x{number}@mailitwize.be")), "192.0.2.8"
        )
    assert warnings(caplog) == []


def test_web_mail_whose_memories_run_out_is_named_with_its_profile(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """LOG1: its users' sessions end after ten minutes."""
    for number in range(5):
        assert warnings(caplog) == []
        name = AccountName(f"user{number}@mailitwize.be")
        log_in(world, name, Denied(WhyDenied.CODE_REPLAYED_BY_SAME_CLIENT, name, password_was_right=True))
    (said,) = warnings(caplog)
    assert "login_memory.profile" in said
    assert GATEWAY in said


def test_explain_finds_the_address_whose_limit_is_full_without_being_told_it(mailauth: CommandLine) -> None:  # noqa: F811
    """LOG1: one stale phone behind a gateway keeps everybody there waiting; nobody knows to ask with --ip."""
    for name in ("alice", "bob"):
        mailauth.run("account", "add", name, stdin="correct horse")
    mailauth.run("config", "set", "limits.source_burst=3")
    mailauth.check("alice", "x", "--ip", GATEWAY, code=1)
    for number in range(9):
        mailauth.run("check", "bob", "--ip", GATEWAY, stdin=f"guess {number}", code=1 if number < 2 else 75)
    said = mailauth.run("explain", "alice").stdout
    assert GATEWAY in said
    assert "limits.trusted_networks" in said
    assert mailauth.json("explain", "alice")["throttled_until"] is not None
    mailauth.run("account", "add", "carol", stdin="correct horse")
    assert GATEWAY not in mailauth.run("explain", "carol").stdout, "who was never there is not concerned"
