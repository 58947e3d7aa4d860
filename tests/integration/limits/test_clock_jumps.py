"""The limiter's counters survive a clock that is set, forwards and back (requirement LIM10)."""

from datetime import timedelta

from mailauth.vocabulary.model import Granted
from tests.integration.limits.conftest import DEFAULTS, HOME, THIEF, throttled
from tests.world import CUTOVER, World, WorldMaker


async def test_clock_set_back_throttles_nobody_who_had_room(make_world: WorldMaker) -> None:
    """Right logins draw, and get their draw back: what reaches into the old future is no guess."""
    world = make_world(*DEFAULTS, now=CUTOVER - timedelta(days=9))
    world.add("alice")
    for n in range(3):
        await world.login("alice", f"typing mistake {n}", client=HOME)
    for _ in range(10):
        world.clock.jump(hours=-1)
        for _ in range(3):
            assert isinstance(await world.login("alice", "correct horse", client=HOME), Granted)


async def test_clock_set_back_gives_no_guesses(limited: World) -> None:
    limited.enrol("alice")
    told = 0
    for hour in range(12):
        for n in range(30):
            told += not throttled(await limited.login("alice", f"guess {hour} {n}", client=THIEF))
        limited.clock.jump(hours=-1)
    assert told == 20


async def test_clock_that_ran_ahead_and_is_set_right_gives_no_second_burst(limited: World) -> None:
    limited.enrol("alice")
    for n in range(20):
        assert not throttled(await limited.login("alice", f"guess {n}", client=THIEF))
    limited.clock.jump(days=3)
    limited.clock.jump(days=-3)
    assert throttled(await limited.login("alice", "guess 20", client=THIEF))


async def test_limit_used_up_by_a_clock_that_was_a_year_ahead_recovers_at_its_pace(limited: World) -> None:
    limited.enrol("alice")
    limited.clock.jump(days=365)
    for n in range(30):
        await limited.login("alice", f"guess {n}", client=THIEF)
    limited.clock.jump(days=-365)
    assert throttled(await limited.login("alice", "guess 30", client=THIEF))
    limited.clock.advance(minutes=3)
    assert not throttled(await limited.login("alice", "guess 31", client=THIEF))
