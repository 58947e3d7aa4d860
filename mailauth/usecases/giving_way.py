"""Writing about many accounts in a row, so that logins wait for none of it longer than for one of its transactions.

Who waits for SQLite's write lock in another process looks ever more seldom whether it is free, and work that takes it
again at once would have it for minutes. So it is left alone after a while, for longer than such a look takes to come.
Knows nothing of what is written. Works on threads, not on the event loop.
"""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection

from mailauth.effects.store.database import Database

T = TypeVar("T")

HELD_BEFORE_S: Final = 0.02
"""How long the lock is held, in one transaction or several, before it is left alone."""
LEAST_PAUSE_S: Final = 0.03
"""Who has waited for less than 80 ms looks again within 25 (sqlite3.c, `sqliteDefaultBusyCallback`)."""
PAUSE_FOR_EACH_SECOND: Final = 0.5


class GivingWay:
    """Writes, and pauses. `for_each_second`: for how long, by how long the write lock was held."""

    def __init__(
        self,
        database: Database,
        for_each_second: float = PAUSE_FOR_EACH_SECOND,
        pause: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._for_each_second = for_each_second
        self._pause = pause
        self._monotonic = monotonic
        self._held_s = 0.0

    def write(self, job: Callable[[Connection], T], *, durable: bool = True, is_rehearsal: bool = False) -> T:
        """Return what a job returns, as `Database.write` does, or `rehearse`. Raises what these raise."""
        began = 0.0

        def timed(connection: Connection) -> T:
            nonlocal began
            began = self._monotonic()  # with the lock
            return job(connection)

        done = self._database.rehearse(timed) if is_rehearsal else self._database.write(timed, durable=durable)
        self._held_s += self._monotonic() - began
        if self._held_s >= HELD_BEFORE_S:
            self._pause(max(LEAST_PAUSE_S, self._for_each_second * self._held_s))
            self._held_s = 0.0
        return done
