"""What has to be thrown away now and then: empty buckets, sources that are familiar no longer, old memories."""

from mailauth.core.clock import Clock
from mailauth.effects.store import limiter, login_memory
from mailauth.effects.store.database import Database

EVERY_S = 600
"""How often the server tidies up."""


class Housekeeping:
    """Deletes rows that say nothing any more. Nothing depends on when, or whether, it has run."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def tidy(self) -> int:
        """Delete what is over; return how many rows went. Raises StoreUnavailable."""
        now = self._clock()
        with self._database.writing(durable=False) as connection:
            return limiter.purge(connection, now) + login_memory.purge(connection, now)
