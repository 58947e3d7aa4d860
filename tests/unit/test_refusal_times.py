"""Which moments refusals leave at: the same ones, however long what was computed for them took."""

from itertools import pairwise

import pytest

from mailauth.core.refusal_times import MAX_KEYS, RefusalTimes

FLOOR_S, LONGEST_S = 0.3, 10.0


def left_at(took_s: float, attempts: int, threads: int = 2, *keys: str) -> list[float]:
    """Return when each of some attempts that came at once is refused, where so many are checked at a time."""
    times, ready_at = RefusalTimes(FLOOR_S, LONGEST_S), [0.0] * threads
    found = []
    for number in range(attempts):
        thread = number % threads
        ready_at[thread] += took_s
        found.append(max(ready_at[thread], times.next(0.0, keys or ("client 192.0.2.1",))))
    return found


@pytest.mark.parametrize("attempts", [1, 8, 30])
def test_many_at_once_leave_at_the_same_moments_whatever_each_took(attempts: int) -> None:
    assert left_at(0.25, attempts) == left_at(0.03, attempts)


def test_those_of_one_name_leave_apart_wherever_they_come_from() -> None:
    times = RefusalTimes(FLOOR_S, LONGEST_S)
    moments = [times.next(0.0, ("name anna", f"client 192.0.2.{number}")) for number in range(5)]
    assert all(later - sooner == pytest.approx(FLOOR_S) for sooner, later in pairwise(moments))


def test_others_do_not_wait_for_them() -> None:
    times = RefusalTimes(FLOOR_S, LONGEST_S)
    for _ in range(10):
        times.next(0.0, ("name anna", "client 192.0.2.1"))
    assert times.next(0.0, ("name bob", "client 192.0.2.2")) == FLOOR_S


def test_nobody_waits_longer_than_the_longest() -> None:
    times = RefusalTimes(FLOOR_S, LONGEST_S)
    assert max(times.next(0.0, ("name anna",)) for _ in range(1000)) == LONGEST_S
    assert times.next(LONGEST_S, ("name anna",)) == pytest.approx(LONGEST_S + FLOOR_S), "and it is over with them"


def test_without_a_floor_nothing_waits() -> None:
    times = RefusalTimes(0.0, LONGEST_S)
    assert {times.next(5.0, ("name anna",)) for _ in range(10)} == {5.0}


def test_names_that_nobody_has_do_not_fill_the_memory() -> None:
    times = RefusalTimes(FLOOR_S, LONGEST_S)
    for number in range(MAX_KEYS + 10):
        times.next(0.0, (f"name {number}",))
    assert times.next(0.0, ("name 0",)) == FLOOR_S, "forgotten"
    assert times.next(0.0, (f"name {MAX_KEYS + 9}",)) > FLOOR_S
