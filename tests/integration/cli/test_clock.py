"""What commands say of a clock that was set, and the one that helps afterwards (requirement CLK1)."""

import pytest

from mailauth.edges.cli.context import Context
from tests.integration.cli.conftest import CommandLine
from tests.world import FakeClock, Person


@pytest.fixture(autouse=True)
def _under_the_clock(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "now", lambda _: clock())


def log_in(mailauth: CommandLine, person: Person, code: int = 0) -> str:
    """Return the reason for what comes of a fresh code."""
    mailauth.clock.advance(seconds=90)
    found = mailauth.check(person.name, person.password + person.code(mailauth.clock()), code=code)
    return str(found["reason"])


def test_codes_are_taken_again_after_the_clock_was_ahead_of_one_account_or_of_all(mailauth: CommandLine) -> None:
    people = [mailauth.enrol(name) for name in ("alice", "bob", "carol")]
    mailauth.clock.jump(hours=2)
    for person in people:
        assert log_in(mailauth, person) == "second-factor-given"
    mailauth.clock.jump(hours=-2)
    assert {log_in(mailauth, person, 1) for person in people} == {"code-spent-ahead"}
    alice, *others = people
    assert "set-back alice@mailitwize.be" in mailauth.run("explain", "alice").stdout
    assert mailauth.run("totp", "set-back", "alice").stdout.startswith("1 authenticator: codes are accepted again")
    assert log_in(mailauth, alice) == "second-factor-given"
    assert {log_in(mailauth, person, 1) for person in others} == {"code-spent-ahead"}
    for words in ((), ("alice", "--all")):
        assert "give ACCOUNT, or --all" in mailauth.run("totp", "set-back", *words, code=2).stderr
    assert mailauth.run("totp", "set-back", "--all").stdout.startswith("2 authenticators: ")
    assert {log_in(mailauth, person) for person in people} == {"second-factor-given"}
    assert "nothing was changed" in mailauth.run("totp", "set-back", "--all").stdout


def test_clock_that_is_behind_the_database_is_a_warning_of_both_checks(mailauth: CommandLine) -> None:
    alice = mailauth.enrol("alice")
    assert log_in(mailauth, alice) == "second-factor-given"
    for words in (("config", "check"), ("db", "check")):
        assert mailauth.json(*words)["warnings"] == []
    mailauth.clock.jump(hours=-2)
    for words in (("config", "check"), ("db", "check")):
        assert len(mailauth.json(*words)["warnings"]) == 1
        said = mailauth.run(*words).stderr
        assert "warning: clock: The server's clock is 2.0 h behind the newest moment in the database" in said
