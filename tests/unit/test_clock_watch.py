"""CLK1: a clock that jumps is noticed, and only an hour of a clock that does not lets a moment count as passed."""

from datetime import UTC, datetime, timedelta

from mailauth.core.clock_watch import ClockWatch, Jump, Reading, behind

NOON = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def at(wall: timedelta, steady: timedelta) -> Reading:
    return Reading(NOON + wall, 1000.0 + steady.total_seconds())


def test_jump_is_what_the_clock_went_by_more_or_less_than_time() -> None:
    for by in (timedelta(seconds=-3600), timedelta(seconds=7200), timedelta(seconds=11), -30 * DAY):
        watch = ClockWatch.begun(at(timedelta(), timedelta()))
        minute = timedelta(minutes=1)
        assert watch.look(at(minute, minute)) is None
        assert watch.look(at(2 * minute + by, 2 * minute)) == Jump(NOON + 2 * minute + by, by)
        assert watch.look(at(3 * minute + by, 3 * minute)) is None, "it is told once"


def test_small_steps_and_long_waits_are_no_jumps() -> None:
    watch = ClockWatch.begun(at(timedelta(), timedelta()))
    wall = steady = timedelta()
    for seconds, step in ((60, 0.5), (60, -9), (86400 * 30, 3), (1, 0)):
        steady += timedelta(seconds=seconds)
        wall += timedelta(seconds=seconds + step)
        assert watch.look(at(wall, steady)) is None


def test_moment_counts_as_passed_after_an_hour_behind_it_without_a_jump() -> None:
    watch = ClockWatch.begun(at(timedelta(), timedelta()))
    assert watch.certain() is None
    for minutes in range(1, 60):
        assert watch.look(at(timedelta(minutes=minutes), timedelta(minutes=minutes))) is None
        assert watch.certain() is None, "a clock that was wrong at the start would decide for good"
    watch.look(at(HOUR, HOUR))
    assert watch.certain() == NOON
    watch.look(at(2 * HOUR, 2 * HOUR))
    assert watch.certain() == NOON + HOUR


def test_jump_begins_the_hour_anew() -> None:
    watch = ClockWatch.begun(at(timedelta(), timedelta()))
    watch.look(at(2 * HOUR, 2 * HOUR))
    assert watch.look(at(2 * HOUR + DAY, 2 * HOUR))
    assert watch.certain() is None
    watch.look(at(3 * HOUR + DAY, 3 * HOUR))
    assert watch.certain() == NOON + 2 * HOUR + DAY


def test_clock_is_behind_where_the_newest_moment_lies_ahead() -> None:
    assert behind(None, NOON) is None
    assert behind(NOON + timedelta(seconds=30), NOON) is None
    assert behind(NOON - DAY, NOON) is None
    assert behind(NOON + HOUR, NOON) == Jump(NOON, -HOUR)
