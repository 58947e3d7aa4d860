"""What owners see of their logins: counted in memory, written down a moment later, never a burden to a login."""

import logging
import sqlite3
import threading
from datetime import timedelta
from ipaddress import ip_address

import pytest
from sqlalchemy import func, select

from mailauth.effects.store import login_activity, tables
from mailauth.effects.store.dialects.sqlite import dialect
from mailauth.usecases import activity as activities
from mailauth.usecases.activity import Activity, LoginSeen
from mailauth.usecases.crowds import Crowds
from mailauth.vocabulary.errors import StoreUnavailable
from mailauth.vocabulary.model import AccountName, Attempt, Credential, Denied, Granted, Unavailable
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable
from mailauth.vocabulary.secret import Secret
from tests.transactions import reading
from tests.world import World


def recent(world: World, name: str = "alice", limit: int = 100) -> tuple[LoginSeen, ...]:
    world.installation.activity.flush()
    return world.installation.activity.recent(world.installation.accounts.get(name).id, limit)


def attempt_of(name: str = "alice", agent: str = "", client: str = "192.0.2.7", service: str = "imap") -> Attempt:
    return Attempt(name, Secret(b"x"), service, ip_address(client), agent=agent)


def note(
    activity: Activity, world: World, attempt: Attempt, reason: WhyDenied | WhyUnavailable = WhyDenied.PASSWORD_WRONG
) -> None:
    account = AccountName(f"{attempt.name}@mailitwize.be")
    verdict = Denied(reason, account) if isinstance(reason, WhyDenied) else Unavailable(reason, account)
    activity.note(attempt, verdict, world.clock())


def rows(world: World) -> int:
    with reading(world.installation.database) as connection:
        return connection.execute(select(func.count()).select_from(tables.login_activity)).scalar_one()


async def test_logins_that_look_the_same_are_one_row_with_a_count(world: World) -> None:
    world.enrol("alice")
    token = world.installation.app_passwords.make("alice", "phone")
    first_at = world.clock()
    for _ in range(3):
        for _ in range(4):
            assert isinstance(await world.login("alice", token.password), Granted)
            world.clock.advance(seconds=5)
        world.installation.activity.flush()
    (seen,) = recent(world)
    assert seen == LoginSeen(
        service="imap",
        network="192.0.2.7",
        agent="",
        credential="app-password",
        outcome="granted",
        reason="app-password-given",
        app_password_id=token.id,
        count=12,
        first_at=first_at,
        last_at=first_at + timedelta(seconds=55),
    )


async def test_what_differs_is_told_apart_the_last_in_front(world: World) -> None:
    alice = world.enrol("alice")
    token = world.installation.app_passwords.make("alice", "phone", ("imap",)).password
    logins = [
        (alice.password + alice.code(world.clock()), "imap", "192.0.2.7"),
        (alice.password + alice.code(world.clock()), "imap", "192.0.2.8"),
        ("wrong", "imap", "192.0.2.7"),
        (alice.password, "portal", "2001:db8::1"),
        (alice.password, "portal", "2001:db8::2"),
        (token, "imap", "192.0.2.7"),
        (token, "smtp", "192.0.2.7"),
    ]
    for secret, service, client in logins:
        await world.login("alice", secret, service=service, client=client)
        world.clock.advance(seconds=1)
    assert [(s.service, s.network, s.outcome, s.reason, s.count) for s in recent(world)] == [
        ("smtp", "192.0.2.7", "denied", "app-password-other-service", 1),
        ("imap", "192.0.2.7", "granted", "app-password-given", 1),
        ("portal", "2001:db8::/64", "denied", "code-missing", 2),
        ("imap", "192.0.2.7", "denied", "password-wrong", 1),
        ("imap", "192.0.2.8", "denied", "code-replayed", 1),
        ("imap", "192.0.2.7", "granted", "second-factor-given", 1),
    ]
    assert [s.reason for s in recent(world, limit=2)] == ["app-password-other-service", "app-password-given"]


async def test_login_by_another_name_is_the_account_s(world: World) -> None:
    world.enrol("alice")
    world.installation.accounts.add_alias("alice", "ally")
    token = world.installation.app_passwords.make("alice", "phone").password
    await world.login("ally", token)
    await world.login("ally", "xkcd-2222-xkcd-2222-xkcd-2222")
    await world.login("Alice ", token)
    assert sum(seen.count for seen in recent(world)) == 3


async def test_names_that_are_no_account_s_are_not_kept(world: World) -> None:
    world.add("alice")
    for number in range(5):
        await world.login(f"nobody{number}", "guess")
    await world.login("\x00", "guess")
    world.installation.activity.flush()
    assert rows(world) == 0


async def test_last_use_of_an_app_password_is_the_last_that_it_opened(world: World) -> None:
    world.enrol("alice")
    activity = world.installation.activity
    one, two, unused = (world.installation.app_passwords.make("alice", name, ("imap", "pop3")) for name in "abc")
    await world.login("alice", one.password, client="192.0.2.1")
    world.clock.advance(minutes=1)
    await world.login("alice", one.password, service="pop3", client="192.0.2.2")
    await world.login("alice", two.password, client="192.0.2.3")
    used_at = world.clock()
    world.clock.advance(minutes=1)
    await world.login("alice", one.password, service="smtp", client="192.0.2.4")
    activity.flush()
    last = activity.last_use([one.id, two.id, unused.id])
    assert {key: (seen.service, seen.network, seen.last_at) for key, seen in last.items()} == {
        one.id: ("pop3", "192.0.2.2", used_at),
        two.id: ("imap", "192.0.2.3", used_at),
    }
    assert activity.last_use([]) == {}


def test_what_is_not_flushed_is_written_when_the_installation_closes(world: World) -> None:
    world.add("alice")
    note(world.installation.activity, world, attempt_of())
    world.close()
    with sqlite3.connect(world.directory / "mailauth.db") as connection:
        assert connection.execute("SELECT count(*) FROM login_activity").fetchone() == (1,)
    connection.close()


def test_flood_of_differing_logins_is_bounded_and_the_loss_is_logged(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(activities, "MAX_WAITING", 50)
    world.add("alice")
    activity = world.installation.activity
    for number in range(80):
        note(activity, world, attempt_of(agent=f"agent {number}"))
    for _ in range(7):
        note(activity, world, attempt_of(agent="agent 3"))
    with caplog.at_level(logging.WARNING):
        assert activity.flush() == 50
    assert "30 logins" in caplog.text
    assert rows(world) == 50
    assert max(seen.count for seen in recent(world)) == 8
    note(activity, world, attempt_of(agent="later"))
    assert activity.flush() == 1


def test_words_of_a_client_are_kept_short_and_printable(world: World) -> None:
    world.add("alice")
    note(world.installation.activity, world, attempt_of(agent="Fire\x00fox\r\n" + "x" * 500, service="s" * 99))
    (seen,) = recent(world)
    assert seen.agent.startswith("Firefoxxxx")
    assert (len(seen.agent), len(seen.service)) == (100, 32)


def test_database_that_is_away_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect, "BUSY_TIMEOUT_S", 0.05)
    world.add("alice")
    activity = world.installation.activity
    note(activity, world, attempt_of())
    file = world.directory / "mailauth.db"
    file.rename(file.with_suffix(".away"))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            activity.flush()
        world.clock.advance(minutes=1)
        note(activity, world, attempt_of())
    file.with_suffix(".away").rename(file)
    (seen,) = recent(world)
    assert (seen.count, seen.last_at - seen.first_at) == (3, timedelta(minutes=2))


def test_what_another_process_counted_first_is_counted_again_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that says "taken" must not end the writing down for good."""
    world.add("alice")
    activity = world.installation.activity
    note(activity, world, attempt_of())
    activity.flush()
    note(activity, world, attempt_of())

    def add_blindly(connection: object, account_id: int, seen: login_activity.StoredActivity) -> None:
        row = seen.kind._asdict() | {"account_id": account_id, "count": seen.logins}
        connection.execute(  # type: ignore[attr-defined]
            tables.login_activity.insert().values(**row, first_at=seen.first_at, last_at=seen.last_at)
        )

    with monkeypatch.context() as patch:
        patch.setattr(login_activity, "add", add_blindly)
        with pytest.raises(StoreUnavailable):
            activity.flush()
    assert [seen.count for seen in recent(world)] == [2]


def test_logins_are_counted_while_others_are_written_down(world: World) -> None:
    world.add("alice")
    activity = world.installation.activity
    stop = threading.Event()
    failed: list[BaseException] = []

    def flush_on() -> None:
        while not stop.is_set():
            try:
                activity.flush()
            except BaseException as error:
                failed.append(error)

    flushing = threading.Thread(target=flush_on)
    flushing.start()
    for number in range(5000):
        note(activity, world, attempt_of(agent=str(number % 300)))
    stop.set()
    flushing.join()
    assert failed == []
    counted = sum(seen.count for seen in recent(world, limit=1000))
    assert 4900 <= counted <= 5000, "one that is being counted at the moment of a flush may be lost, no more"


def test_noting_touches_neither_database_nor_clock_nor_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hot path: at most one update of a dictionary."""
    world.add("alice")
    activity = Activity(None, Crowds(()))  # type: ignore[arg-type]
    granted = Granted(
        AccountName("alice@mailitwize.be"), Credential.APP_PASSWORD, WhyGranted.APP_PASSWORD_GIVEN, app_password_id=3
    )
    for _ in range(1000):
        activity.note(attempt_of(), granted, world.clock())
    assert len(activity._waiting) == 1


async def test_activity_is_kept_for_ninety_days(world: World) -> None:
    world.add("alice")
    world.add("bob")
    await world.login("alice", "guess")
    world.installation.activity.flush()
    world.clock.advance(days=1)
    await world.login("bob", "guess")
    world.installation.activity.flush()
    world.clock.advance(days=89, seconds=1)
    world.installation.housekeeping.tidy()
    world.clock.advance(hours=1)  # for which the clock must have gone steadily
    world.installation.housekeeping.tidy()
    assert recent(world) == ()
    assert len(recent(world, "bob")) == 1


async def test_activity_goes_with_its_account(world: World) -> None:
    world.add("alice")
    await world.login("alice", "guess")
    world.installation.activity.flush()
    world.installation.accounts.remove("alice")
    assert rows(world) == 0


async def test_flood_of_refused_logins_hides_none_that_was_let_in_and_fills_no_table(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ACT1: a thief who was let in cannot bury that under tries; those are counted together."""
    monkeypatch.setattr(activities, "MAX_ROWS", 40)
    thief = world.enrol("alice")
    assert isinstance(
        await world.login("alice", thief.password + thief.code(world.clock()), client="198.51.100.66"), Granted
    )
    activity = world.installation.activity
    activity.flush()
    for number in range(300):
        world.clock.advance(seconds=1)
        client, reason = f"203.0.113.{number % 250}", (WhyUnavailable.THROTTLED, WhyDenied.PASSWORD_WRONG)[number % 2]
        note(activity, world, attempt_of(agent=f"agent {number}", client=client), reason)
        if number % 60 == 59:
            activity.flush()
    assert rows(world) <= 1 + 40 + 2
    alice = world.installation.accounts.get("alice").id
    (seen,) = activity.let_in(alice, 3)
    assert (seen.network, seen.outcome) == ("198.51.100.66", "granted")
    refusals = activity.refusals(alice)
    assert len(refusals.shown) == activities.REFUSED_SHOWN
    assert refusals.shown[0].network == "203.0.113.49", "the last in front"
    assert sum(each.count for each in refusals.shown) + refusals.others == 300


def test_refused_logins_of_one_place_are_one_line(world: World) -> None:
    """ACT1."""
    world.add("alice")
    activity = world.installation.activity
    for number, reason in enumerate((WhyDenied.PASSWORD_WRONG, WhyDenied.CODE_MISSING, WhyDenied.CODE_WRONG)):
        world.clock.advance(minutes=1)
        note(activity, world, attempt_of(agent="Thunderbird"), reason)
        note(activity, world, attempt_of(agent=f"agent {number}", client="2001:db8::7"), reason)
    activity.flush()
    refusals = activity.refusals(world.installation.accounts.get("alice").id)
    shown = [(each.network, each.agent, each.count) for each in refusals.shown]
    assert sorted(shown) == [("192.0.2.7", "Thunderbird", 3), ("2001:db8::/64", "", 3)]
    assert refusals.others == 0


def test_logins_that_were_let_in_are_bounded_as_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """ACT1: the oldest go."""
    monkeypatch.setattr(activities, "MAX_ROWS", 20)
    world.add("alice")
    activity = world.installation.activity
    for number in range(50):
        world.clock.advance(seconds=1)
        granted = Granted(AccountName("alice@mailitwize.be"), Credential.APP_PASSWORD, WhyGranted.APP_PASSWORD_GIVEN)
        activity.note(attempt_of(agent=f"agent {number}"), granted, world.clock())
    activity.flush()
    assert rows(world) <= 20
    assert activity.let_in(world.installation.accounts.get("alice").id, 1)[0].agent == "agent 49"


def test_login_that_was_let_in_amid_a_flood_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """ACT1."""
    monkeypatch.setattr(activities, "MAX_WAITING", 5)
    world.add("alice")
    activity = world.installation.activity
    for number in range(9):
        note(activity, world, attempt_of(agent=f"agent {number}"))
    granted = Granted(AccountName("alice@mailitwize.be"), Credential.APP_PASSWORD, WhyGranted.APP_PASSWORD_GIVEN)
    activity.note(attempt_of(), granted, world.clock())
    activity.flush()
    assert len(activity.let_in(world.installation.accounts.get("alice").id, 9)) == 1
