"""Whether the clock can be believed: jumps, and moments that have been seen to pass.

A steady clock (one that nobody sets) tells how much time really went by. Where the clock of the wall went another way,
it jumped. A moment counts as seen to pass only after an hour of steady time behind it without a jump: a clock that is
wrong for minutes, after a start for instance, decides nothing for good.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

JUMP = timedelta(seconds=10)
"""What is no jump yet: a third of a step of verification codes. Clocks are stepped by fractions of a second daily."""
SEEN_AFTER = timedelta(hours=1)
BEHIND = timedelta(minutes=1)
"""How far the newest moment in the database may lie ahead: nodes' clocks differ, and moments are rounded."""


class Reading(NamedTuple):
    """Both clocks at one instant."""

    wall: datetime
    steady_s: float


class Jump(NamedTuple):
    """The clock went by this much more (or less, negative) than time did, and says `at` since."""

    at: datetime
    by: timedelta


@dataclass(slots=True)
class ClockWatch:
    """What one process has seen of the clock. Knows nothing but the readings that it is given."""

    since: Reading
    last: Reading

    @classmethod
    def begun(cls, reading: Reading) -> "ClockWatch":
        """Begin with a first reading."""
        return cls(reading, reading)

    def look(self, reading: Reading) -> Jump | None:
        """Take a reading; return the jump that there was since the one before. From then on it begins anew."""
        by = reading.wall - self.last.wall - timedelta(seconds=reading.steady_s - self.last.steady_s)
        self.last = reading
        if abs(by) <= JUMP:
            return None
        self.since = reading
        return Jump(reading.wall, by)

    def certain(self) -> datetime | None:
        """Return up to which moment all have been seen to pass; None where the clock is not known for long enough."""
        if self.last.steady_s - self.since.steady_s < SEEN_AFTER.total_seconds():
            return None
        return self.last.wall - SEEN_AFTER


def behind(newest: datetime | None, now: datetime) -> Jump | None:
    """Return by how much the clock is behind the newest moment that was noted before; None where it isn't."""
    if newest is None or newest - now <= BEHIND:
        return None
    return Jump(now, now - newest)
