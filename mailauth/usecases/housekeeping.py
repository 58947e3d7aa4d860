"""What has to go now and then: unused meters, old memories, old sessions and activity, mails given up long ago."""

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection

from mailauth.core.clock import Clock
from mailauth.core.clock_watch import ClockWatch, Reading
from mailauth.effects.store import (
    familiar_networks,
    login_activity,
    mail_links,
    meters,
    outbox,
    remembered_logins,
    sessions,
)
from mailauth.effects.store.database import Database
from mailauth.usecases.activity import KEPT_FOR

EVERY_S = 600
"""How often the server tidies up."""
MAX_SESSION_LIFE = timedelta(days=7)
"""What `portal.life_s` may be at most."""
LINK_KEPT_FOR = timedelta(days=7)
"""How long after its end a link still counts among those that were asked for."""


class Housekeeping:
    """Deletes rows that say nothing any more. Nothing depends on when, or whether, it has run.

    What is over is told by moments that are surely over: a clock that runs ahead deletes nothing.
    """

    def __init__(self, database: Database, clock: Clock, steady: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._steady = steady
        self._watch: ClockWatch | None = None

    def tidy(self) -> int:
        """Delete or wipe what is over; return how many rows that were. Raises StoreUnavailable."""
        reading = Reading(self._clock(), self._steady())
        if self._watch is None:
            self._watch = ClockWatch.begun(reading)
        self._watch.look(reading)
        past = self._watch.certain()
        if past is None:
            return 0

        def tidy(connection: Connection) -> int:
            return (
                meters.purge(connection, past)
                + familiar_networks.purge(connection, past)
                + remembered_logins.purge(connection, past)
                + sessions.purge(connection, past - MAX_SESSION_LIFE, past - MAX_SESSION_LIFE)
                + mail_links.purge(connection, past - LINK_KEPT_FOR)
                + login_activity.purge(connection, past - KEPT_FOR)
                + outbox.wipe_given_up(connection, past - outbox.CONTENT_KEPT_FOR)
            )

        return self._database.write(tidy, durable=False)
