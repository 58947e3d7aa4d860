"""CLK1: whatever the clock does, a date that was seen to pass has passed, and nobody is kept out untold."""

import logging
from datetime import timedelta

import pytest

from mailauth import wiring
from mailauth.core import otp
from mailauth.effects.configuration import loading
from mailauth.effects.store import mail_links
from mailauth.usecases.time_watch import TimeWatch
from mailauth.vocabulary.model import Denied, Granted
from mailauth.vocabulary.notices import NoticeKind
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted
from tests.transactions import reading, writing
from tests.world import CUTOVER, World, WorldMaker

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Steady:
    """A steady clock and the clock of a world, which go on together unless the latter is set."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seconds = 5000.0
        self.watch = self.again(world.installation)

    def __call__(self) -> float:
        return self.seconds

    def again(self, installation: wiring.Installation) -> TimeWatch:
        """Give a watch as another process has it."""
        self.watch = TimeWatch(installation.database, installation.policy, "", self.world.clock, self)
        return self.watch

    def go_on(self, span: timedelta) -> None:
        """Let time go by, looked at each minute."""
        for _ in range(round(span.total_seconds() / 60)):
            self.seconds += 60
            self.world.clock.now += timedelta(minutes=1)
            self.watch.look()


def restarted(world: World) -> wiring.Installation:
    """Give the installation as another process builds it now."""
    return wiring.build(loading.load(world.config_path), world.clock)


async def test_date_that_was_seen_to_pass_has_passed_at_every_door_whatever_the_clock_says(
    make_world: WorldMaker,
) -> None:
    world = make_world(now=CUTOVER - HOUR)
    bob = world.add("bob@mailitwize.be")
    steady = Steady(world)
    steady.watch.look()
    assert isinstance(await world.login(bob.name, bob.password), Granted)
    steady.go_on(2 * HOUR)
    world.clock.now = CUTOVER - 30 * DAY
    for installation in (world.installation, restarted(world)):
        before, world.installation = world.installation, installation
        assert await world.login(bob.name, bob.password) == Denied(WhyDenied.NOT_ENROLLED, bob.name, True)
        portal = await world.login(bob.name, bob.password, service="portal")
        assert isinstance(portal, Granted)
        assert portal.reason is WhyGranted.TO_ENROL
        explained = installation.explainer.explain(bob.name)
        assert explained.cutover_has_passed
        assert any("counts as passed though the clock says" in sentence for sentence in explained.sentences)
        world.installation = before
    installation.close()


async def test_date_is_not_seen_to_pass_by_a_clock_that_was_wrong_for_less_than_an_hour(
    make_world: WorldMaker,
) -> None:
    """However long the process has run when the clock jumps: at its start, for less than an hour, for hours."""
    for minutes in (0, 30, 300):
        world = make_world(now=CUTOVER - DAY)
        bob = world.add("bob@mailitwize.be")
        steady = Steady(world)
        steady.watch.look()
        steady.go_on(timedelta(minutes=minutes))
        world.clock.now += 3 * DAY
        steady.go_on(timedelta(minutes=60))  # the jump is seen a minute after it
        world.clock.now -= 3 * DAY
        steady.watch.look()
        assert isinstance(await world.login(bob.name, bob.password), Granted), minutes
        world.clock.now += 3 * DAY
        steady.go_on(timedelta(minutes=61))
        world.clock.now -= 3 * DAY
        assert isinstance(await world.login(bob.name, bob.password), Denied), "an hour is enough"


async def test_another_date_is_another_rule(make_world: WorldMaker) -> None:
    """Else a clock that was wrong for long could never be put right."""
    world = make_world(now=CUTOVER + DAY)
    bob = world.add("bob@mailitwize.be")
    steady = Steady(world)
    steady.watch.look()
    steady.go_on(HOUR)
    world.clock.now = CUTOVER - DAY
    text = world.config_path.read_text()
    assert isinstance(await world.login(bob.name, bob.password), Denied)
    for date in ("2025-05-05T00:01 Europe/Brussels", "2025-05-05T00:00 Europe/Brussels"):
        world.config_path.write_text(loading.with_settings(text, [f"cutover.date={date}"], "test"))
        installation = restarted(world)
        steady.again(installation).look()
        before, world.installation = world.installation, installation
        assert isinstance(await world.login(bob.name, bob.password), Granted), date
        world.installation = before
        installation.close()


async def test_what_has_ended_is_not_brought_back_by_a_clock(world: World) -> None:
    """An exemption, an app password, a link in a mail; what somebody revoked stays revoked."""
    bob, alice = world.add("bob@mailitwize.be"), world.enrol("alice@mailitwize.be")
    began = world.clock.now
    world.installation.accounts.exempt(bob.name, began + HOUR, "a scanner")
    add = world.installation.app_passwords.make
    expiring = add(alice.name, "phone", (), (), began + HOUR)
    revoked = add(alice.name, "tablet", expires_at=began + 9 * HOUR)
    lasting = add(alice.name, "printer", expires_at=began + 9 * HOUR)
    world.installation.app_passwords.revoke(alice.name, revoked.id)
    with writing(world.installation.database) as connection:
        mail_links.add(connection, 1, b"digest", "confirm-address", "x", began, began + HOUR)
    steady = Steady(world)
    steady.watch.look()
    steady.go_on(3 * HOUR)
    world.clock.now = began
    assert isinstance(await world.login(bob.name, bob.password), Denied)
    assert await world.login(alice.name, expiring.password) == Denied(WhyDenied.APP_PASSWORD_EXPIRED, alice.name)
    assert await world.login(alice.name, revoked.password) == Denied(WhyDenied.APP_PASSWORD_REVOKED, alice.name)
    assert isinstance(await world.login(alice.name, lasting.password), Granted)
    with reading(world.installation.database) as connection:
        assert mail_links.find(connection, [b"digest"], began) is None


def test_jump_is_one_loud_line_and_is_told_for_a_day(world: World, caplog: pytest.LogCaptureFixture) -> None:
    bob = world.add("bob@mailitwize.be")
    steady = Steady(world)
    steady.watch.look()
    steady.go_on(timedelta(minutes=5))
    assert not caplog.records
    world.clock.now += 2 * HOUR
    steady.go_on(timedelta(minutes=5))
    [line] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.levelno == logging.ERROR
    assert "the clock jumped: 2.0 h forward" in line.getMessage()
    sentence = world.installation.explainer.explain(bob.name).sentences[0]
    assert "clock jumped: 2.0 h forward" in sentence
    assert "timedatectl" in sentence
    world.clock.now += DAY
    assert "jumped" not in " ".join(world.installation.explainer.explain(bob.name).sentences)


def test_clock_behind_the_newest_moment_in_the_database_is_told_at_the_start(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    bob = world.add("bob@mailitwize.be")
    steady = Steady(world)
    steady.watch.look()
    world.clock.now -= 2 * HOUR
    assert "behind the newest moment" in world.installation.explainer.explain(bob.name).sentences[0]
    steady.again(world.installation).look()
    assert [record.getMessage().split(",")[0] for record in caplog.records] == ["the clock jumped: 2.0 h back"]
    caplog.clear()
    steady.again(world.installation).look()
    assert not caplog.records, "it is told once"


async def test_login_of_a_time_when_the_clock_was_ahead_is_the_newest_moment_of_an_older_database(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    bob = world.enrol("bob@mailitwize.be")
    assert isinstance(await world.login(bob.name, bob.password + bob.code(world.clock())), Granted)
    world.installation.activity.flush()
    world.clock.now -= DAY
    Steady(world).watch.look()
    assert "the clock jumped: 24.0 h back" in caplog.text


async def test_code_that_is_refused_since_a_later_one_was_accepted_is_named_and_alarms_nobody(
    world: World,
) -> None:
    alice = world.enrol("alice@mailitwize.be")
    world.clock.advance(hours=2)
    assert isinstance(await world.login(alice.name, alice.password + alice.code(world.clock())), Granted)
    ahead = alice.password + alice.code(world.clock())
    world.clock.advance(hours=-2)
    for _ in range(4):
        refused = await world.login(alice.name, alice.password + alice.code(world.clock()))
        assert refused == Denied(WhyDenied.CODE_SPENT_AHEAD, alice.name, True)
    world.installation.login_notices.flush()
    told = [mail.kind for mail in waiting(world)]
    assert NoticeKind.RIGHT_PASSWORD_WRONG_CODE not in told
    [sentence] = [s for s in world.installation.explainer.explain(alice.name).sentences if "lies ahead" in s]
    until = world.clock.now + 2 * HOUR
    assert f"until {until:%Y-%m-%d %H:}" in sentence
    assert f"`mailauth totp set-back {alice.name}`" in sentence
    assert world.installation.time_watch.set_steps_back(alice.name) == 1
    assert world.installation.time_watch.set_steps_back(None) == 0
    # What may have been spent within this minute stays so.
    assert isinstance(await world.login(alice.name, alice.password + alice.code(world.clock())), Denied)
    world.clock.advance(seconds=2 * otp.STEP_S)
    assert isinstance(await world.login(alice.name, alice.password + alice.code(world.clock())), Granted)
    assert not [s for s in world.installation.explainer.explain(alice.name).sentences if "lies ahead" in s]
    # The code that was accepted ahead comes true one day, and is refused then all the same.
    world.clock.advance(hours=2, seconds=-2 * otp.STEP_S)
    assert isinstance(await world.login(alice.name, ahead, client="198.51.100.9"), Denied)


async def test_replay_of_a_code_that_was_accepted_is_a_replay_though_the_clock_is_behind(world: World) -> None:
    alice = world.enrol("alice@mailitwize.be")
    secret = alice.password + alice.code(world.clock(), 1)
    world.clock.advance(seconds=30)
    assert isinstance(await world.login(alice.name, secret), Granted)
    replayed = await world.login(alice.name, secret, client="198.51.100.9")
    assert isinstance(replayed, Denied)
    assert replayed.reason is WhyDenied.CODE_REPLAYED


def waiting(world: World):  # type: ignore[no-untyped-def]
    from mailauth.effects.store import outbox_leases

    with writing(world.installation.database) as connection:
        return outbox_leases.lease(connection, world.clock.now + DAY, world.clock.now + 2 * DAY, 100).mails
