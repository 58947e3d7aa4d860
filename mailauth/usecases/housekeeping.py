"""What has to go now and then: empty buckets, old memories, old sessions and activity, mails given up long ago."""

from datetime import timedelta

from mailauth.core.clock import Clock
from mailauth.effects.store import limiter, login_activity, login_memory, mail_links, outbox, portal_sessions
from mailauth.effects.store.database import Database
from mailauth.usecases.activity import KEPT_FOR
from mailauth.usecases.delivery import CONTENT_KEPT_FOR

EVERY_S = 600
"""How often the server tidies up."""
MAX_SESSION_LIFE = timedelta(days=7)
"""What `portal.life_s` may be at most."""
LINK_KEPT_FOR = timedelta(days=7)
"""How long after its end a link still counts among those that were asked for."""


class Housekeeping:
    """Deletes rows that say nothing any more. Nothing depends on when, or whether, it has run."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def tidy(self) -> int:
        """Delete or wipe what is over; return how many rows that were. Raises StoreUnavailable."""
        now = self._clock()
        with self._database.writing(durable=False) as connection:
            return (
                limiter.purge(connection, now)
                + login_memory.purge(connection, now)
                + portal_sessions.purge(connection, now - MAX_SESSION_LIFE, now - MAX_SESSION_LIFE)
                + mail_links.purge(connection, now - LINK_KEPT_FOR)
                + login_activity.purge(connection, now - KEPT_FOR)
                + outbox.wipe_given_up(connection, now - CONTENT_KEPT_FOR)
            )
