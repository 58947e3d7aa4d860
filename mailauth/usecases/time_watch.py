"""Watching the clock: a jump is told loudly and locks nobody out; a date that was seen to pass has passed.

Each process that serves looks once a minute, and once when it starts, when it compares the clock with the newest
moment in the database. What is seen is stored, so that the next start knows it.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from mailauth.core import clock_watch, otp
from mailauth.core.clock import Clock
from mailauth.core.clock_watch import ClockWatch, Jump, Reading
from mailauth.core.policy import Policy
from mailauth.effects.log_lines import FIELDS
from mailauth.effects.store import clock_marks
from mailauth.effects.store.database import Database
from mailauth.usecases.accounts import find
from mailauth.vocabulary.model import ActiveTotp

log = logging.getLogger(__name__)

EVERY_S = 60
TOLD_FOR = timedelta(hours=24)
"""For how long `explain`, `config check` and `db check` tell of a jump."""
_APART_S = 1.0
"""Both clocks are read again where reading them took longer: the process was held up in between."""


class _Noted(NamedTuple):
    """What a look at the clock came to: the database is ahead; dates passed, before and now; how much ended."""

    behind: Jump | None
    before: tuple[datetime, ...]
    new: tuple[datetime, ...]
    ended: int


class TimeWatch:
    """Watches the clock for one process, and knows what others saw."""

    def __init__(
        self, database: Database, policy: Policy, default_domain: str, clock: Clock, steady: Callable[[], float]
    ) -> None:
        self._database = database
        self._policy = policy
        self._default_domain = default_domain
        self._clock = clock
        self._steady = steady
        self._watch: ClockWatch | None = None
        self._has_compared = False

    def load(self) -> None:
        """Take note of what was seen before. Raises StoreUnavailable."""
        for date in self._database.read(self._noted):
            self._policy.see(date)

    def look(self) -> None:
        """Look at the clock; the first time, also whether it is behind what the database holds.

        Raises StoreUnavailable; what is seen is told before that.
        """
        reading = self._read()
        jump: Jump | None = None
        if self._watch is None:
            self._watch = ClockWatch.begun(reading)
        else:
            jump = self._watch.look(reading)
            if jump is not None:
                _tell(jump)
        certain = self._watch.certain()
        now = reading.wall

        def note(connection: Connection) -> _Noted:
            behind = None
            if not self._has_compared:
                clock_marks.forget_other_dates(connection, [_rule(date) for date in self._policy.dates])
                behind = clock_watch.behind(clock_marks.newest(connection), now)
            if (noticed := behind or jump) is not None:
                clock_marks.note_jump(connection, noticed)
            clock_marks.note_newest(connection, now)
            before = self._noted(connection)
            new = []
            for date in self._policy.dates:
                is_over = certain is not None and date <= certain
                if is_over and date not in before and not self._policy.has_seen(date):
                    clock_marks.note_passed(connection, _rule(date), now)
                    new.append(date)
            ended = 0 if certain is None else clock_marks.end(connection, certain)
            return _Noted(behind, before, tuple(new), ended)

        noted = self._database.write(note, durable=False)
        self._has_compared = True
        if noted.behind is not None:
            _tell(noted.behind)
        for date in noted.before + noted.new:
            self._policy.see(date)
        if noted.new:
            log.info("the cut-over was seen to have passed: no clock brings it back")
        if noted.ended:
            log.info("what had ended, no clock brings back", extra={FIELDS: {"count": noted.ended}})

    def warnings(self) -> tuple[str, ...]:
        """Return in sentences what is strange about the time now. Raises StoreUnavailable."""
        now = self._clock()
        jump, newest, seen = self._database.read(
            lambda connection: (
                clock_marks.last_jump(connection),
                clock_marks.newest(connection),
                [(date, clock_marks.seen_to_pass(connection, _rule(date))) for date in self._policy.dates],
            )
        )
        found = []
        if jump is not None and abs(now - jump.at) < TOLD_FOR:
            found.append(f"The server's clock jumped: {_words(jump)}. Look at it with timedatectl, and set NTP up.")
        behind = clock_watch.behind(newest, now)
        if behind is not None:
            found.append(
                f"The server's clock is {_span(behind.by)} behind the newest moment in the database: it was ahead "
                "then, or is behind now. Look at it with timedatectl."
            )
        found += [
            "The cut-over counts as passed though the clock says that it is to come: it was seen to have passed "
            f"(noted {seen_at:%Y-%m-%d %H:%M} UTC). Where the clock was wrong then, set another cutover.date, be "
            "it by a minute, and restart mailauth."
            for date, seen_at in seen
            if seen_at is not None and now < date
        ]
        return tuple(found)

    def set_steps_back(self, name: str | None) -> int:
        """Let fresh codes be accepted again, of one account or all, where codes of steps that lie ahead were.

        No code that may be shown now is accepted twice: those of this minute are spent. Return how many authenticators
        there were. Raises AccountUnknown, InvalidName, StoreUnavailable.
        """
        steps = otp.latest_steps(self._clock())

        def set_steps_back(connection: Connection) -> int:
            account_id = None if name is None else find(connection, name, self._default_domain).id
            return clock_marks.set_steps_back(connection, steps, account_id)

        return self._database.write(set_steps_back)

    def _noted(self, connection: Connection) -> tuple[datetime, ...]:
        """Return the dates that any process has seen to pass."""
        dates = self._policy.dates
        return tuple(date for date in dates if clock_marks.seen_to_pass(connection, _rule(date)) is not None)

    def _read(self) -> Reading:
        while True:
            began = self._steady()
            wall = self._clock()
            if self._steady() - began < _APART_S:
                return Reading(wall, began)


def _rule(date: datetime) -> str:
    """Return the name under which it is noted that a date has passed: another date is another rule."""
    return date.astimezone(UTC).isoformat()


def ahead_until(totp: ActiveTotp, now: datetime) -> datetime | None:
    """Return until when every code of an authenticator is refused because a later one was accepted; None: is not."""
    if not otp.is_ahead(totp, now):
        return None
    return datetime.fromtimestamp((totp.last_step - otp.WINDOW_STEPS + 1) * totp.parameters.period_s, UTC)


def _tell(jump: Jump) -> None:
    log.error("the clock jumped: %s; codes, dates and limits depend on it", _words(jump))


def _words(jump: Jump) -> str:
    way = "forward" if jump.by > timedelta() else "back"
    return f"{_span(jump.by)} {way}, to {jump.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _span(by: timedelta) -> str:
    seconds = round(abs(by.total_seconds()))
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds} s"
