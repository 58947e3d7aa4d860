"""Statements on the pause that the outbox takes while the mail server refuses everybody alike. One row, or none.

In the database, so that every worker keeps to it, a restarted one as well, and `outbox retry` can end it.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, update

from mailauth.effects.store import dialects
from mailauth.effects.store.tables import outbox_pause
from mailauth.vocabulary.errors import StoreUnavailable

_ONLY = 1
_MAX_REASON_CHARACTERS = 60
_MAX_ERROR_CHARACTERS = 300


class Pause(NamedTuple):
    """For which reason everybody is refused, in which words, since when; until when nothing is tried."""

    reason: str
    error: str
    since: datetime
    until: datetime
    wait: timedelta


def load(connection: Connection) -> Pause | None:
    """Return the pause, whether its time is up or not; None where mails are taken.

    One that cannot be read is none: the server is asked, and a new one begins if it must.
    """
    try:
        row = connection.execute(select(outbox_pause)).one_or_none()
        if row is None:
            return None
        return Pause(row.reason, row.error, row.since, row.until, timedelta(seconds=row.wait_s))
    except (StoreUnavailable, TypeError, OverflowError):
        return None


def save(connection: Connection, pause: Pause) -> None:
    """Begin a pause, or go on with it."""
    new = {
        "reason": pause.reason[:_MAX_REASON_CHARACTERS],
        "error": pause.error[:_MAX_ERROR_CHARACTERS],
        "since": pause.since,
        "until": pause.until,
        "wait_s": int(pause.wait.total_seconds()),
    }
    connection.execute(dialects.statements(connection).upsert(outbox_pause, ["id"], {"id": _ONLY, **new}, new))


def end(connection: Connection) -> None:
    """End it: mails are taken."""
    connection.execute(delete(outbox_pause))


def look_again(connection: Connection, now: datetime) -> None:
    """Have the server tried now: somebody says that it is mended."""
    connection.execute(update(outbox_pause).values(until=now, wait_s=0))
