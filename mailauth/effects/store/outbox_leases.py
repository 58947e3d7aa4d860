"""Statements of who delivers queued mails. Each takes a connection, in the caller's transaction.

Who delivers a row leases it first, by compare-and-set, so that two workers never send one at once; a lease that ran
out (its worker was killed) is anybody's again.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, or_, select, update

from mailauth.effects.keyring import Sealed
from mailauth.effects.store.outbox import ACCEPTED, GIVEN_UP, WAITING
from mailauth.effects.store.tables import outbox
from mailauth.vocabulary.notices import NoticeKind

_BULK = NoticeKind.ANNOUNCEMENT
_MAX_ERROR_CHARACTERS = 300


class LeasedMail(NamedTuple):
    """A mail that is ours to deliver until the lease runs out. `tries` counts this one as well."""

    id: int
    message_id: str
    recipient: str
    language: str
    kind: str
    content: Sealed
    created_at: datetime
    tries: int
    tried_since: datetime


def is_due(connection: Connection, now: datetime) -> bool:
    """Tell whether there is anything to lease, without taking the write lock."""
    return connection.execute(select(outbox.c.id).where(*_due(now)).limit(1)).first() is not None


def lease(connection: Connection, now: datetime, until: datetime, limit: int) -> tuple[LeasedMail, ...]:
    """Take up to `limit` mails that are due, until a moment; the ones that were due first in front.

    Announcements come after all others: they come in thousands, and nobody waits for them.
    """
    is_bulk = outbox.c.kind == _BULK
    rows = _first_due(connection, now, limit, ~is_bulk)
    if len(rows) < limit:
        rows += _first_due(connection, now, limit - len(rows), is_bulk)
    leased = []
    for row in rows:
        taken = connection.execute(
            update(outbox)
            .where(outbox.c.id == row.id, outbox.c.tries == row.tries, *_due(now))
            .values(leased_until=until, tries=row.tries + 1)
        )
        if taken.rowcount == 1:
            leased.append(
                LeasedMail(
                    id=row.id,
                    message_id=row.message_id,
                    recipient=row.recipient,
                    language=row.language,
                    kind=row.kind,
                    content=Sealed(row.key_id, row.content or b""),
                    created_at=row.created_at,
                    tries=row.tries + 1,
                    tried_since=row.tried_since or row.created_at,
                )
            )
    return tuple(leased)


def accept(connection: Connection, mail: LeasedMail, now: datetime) -> None:
    """Note that a server has accepted a mail, and wipe its content.

    Whoever holds the lease by now: accepted is accepted.
    """
    connection.execute(
        update(outbox)
        .where(outbox.c.id == mail.id)
        .values(state=ACCEPTED, content=None, leased_until=None, ended_at=now, last_error="")
    )


def give_up(connection: Connection, mail: LeasedMail, now: datetime, error: str) -> None:
    """Note that a mail will not be tried again, unless somebody says so: its content is kept."""
    connection.execute(
        update(outbox)
        .where(outbox.c.id == mail.id, outbox.c.state == WAITING)
        .values(state=GIVEN_UP, leased_until=None, ended_at=now, last_error=_shortened(error))
    )


def postpone(connection: Connection, mail: LeasedMail, next_at: datetime, error: str) -> None:
    """Note that a mail was not accepted, and when it is tried again. Nothing where the lease is lost to another."""
    connection.execute(
        update(outbox)
        .where(outbox.c.id == mail.id, outbox.c.state == WAITING, outbox.c.tries == mail.tries)
        .values(next_at=next_at, leased_until=None, last_error=_shortened(error))
    )


def release(connection: Connection, mail: LeasedMail) -> None:
    """Give back a mail that was leased and not tried: it is due as before."""
    connection.execute(
        update(outbox)
        .where(outbox.c.id == mail.id, outbox.c.state == WAITING, outbox.c.tries == mail.tries)
        .values(leased_until=None, tries=mail.tries - 1)
    )


def _first_due(connection: Connection, now: datetime, limit: int, which: ColumnElement[bool]) -> list[Any]:
    rows = connection.execute(
        select(
            outbox.c.id,
            outbox.c.message_id,
            outbox.c.recipient,
            outbox.c.language,
            outbox.c.kind,
            outbox.c.key_id,
            outbox.c.content,
            outbox.c.created_at,
            outbox.c.tries,
            outbox.c.tried_since,
        )
        .where(which, *_due(now))
        .order_by(outbox.c.next_at, outbox.c.id)
        .limit(limit)
    )
    return list(rows.all())


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        outbox.c.state == WAITING,
        outbox.c.next_at <= now,
        or_(outbox.c.leased_until.is_(None), outbox.c.leased_until <= now),
    )


def _shortened(error: str) -> str:
    return error[:_MAX_ERROR_CHARACTERS]
