"""Statements of who delivers queued mails. Each takes a connection, in the caller's transaction.

Who delivers a row leases it first, by compare-and-set, so that two workers never send one at once; a lease that ran
out (its worker was killed) is anybody's again.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, or_, select, update

from mailauth.effects.keyring import Sealed
from mailauth.effects.store.outbox import ACCEPTED, GIVEN_UP, WAITING
from mailauth.effects.store.tables import outbox
from mailauth.vocabulary.errors import StoreUnavailable
from mailauth.vocabulary.notices import NoticeKind

LONGEST_AHEAD = timedelta(hours=2)
"""How far ahead the next try of a mail, or the end of its lease, may lie. What lies further was noted by a clock that
was ahead, and is due: else a mail with recovery codes would wait until that moment comes."""
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


class Damaged(NamedTuple):
    """A row of the queue that cannot be read, and what is wrong with it."""

    id: int
    error: str


class Leased(NamedTuple):
    """What is ours to deliver, and what was found that nobody can deliver."""

    mails: tuple[LeasedMail, ...]
    damaged: tuple[Damaged, ...]


def is_due(connection: Connection, now: datetime) -> bool:
    """Tell whether there is anything to lease, without taking the write lock."""
    return connection.execute(select(outbox.c.id).where(*_due(now)).limit(1)).first() is not None


def lease(connection: Connection, now: datetime, until: datetime, limit: int) -> Leased:
    """Take up to `limit` mails that are due, until a moment; the ones that were due first in front.

    Announcements come after all others: they come in thousands, and nobody waits for them. A row that cannot be read
    is set aside until the same moment, with a word, and keeps no other from leaving.
    """
    is_bulk = outbox.c.kind == _BULK
    due = _first_due(connection, now, limit, ~is_bulk)
    if len(due) < limit:
        due += _first_due(connection, now, limit - len(due), is_bulk)
    mails, damaged = list[LeasedMail](), list[Damaged]()
    for mail_id in due:
        try:
            mail = _read(connection, mail_id)
        except (StoreUnavailable, TypeError, OverflowError) as error:
            damaged.append(Damaged(mail_id, str(error)))
            _set_aside(connection, damaged[-1], until)
            continue
        taken = connection.execute(
            update(outbox)
            .where(outbox.c.id == mail_id, outbox.c.tries == mail.tries - 1, *_due(now))
            .values(leased_until=until, tries=mail.tries)
        )
        if taken.rowcount == 1:
            mails.append(mail)
    return Leased(tuple(mails), tuple(damaged))


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


def _first_due(connection: Connection, now: datetime, limit: int, which: ColumnElement[bool]) -> list[int]:
    due = select(outbox.c.id).where(which, *_due(now)).order_by(outbox.c.next_at, outbox.c.id).limit(limit)
    return list(connection.execute(due).scalars())


def _read(connection: Connection, mail_id: int) -> LeasedMail:
    """Load a mail as it is once it is leased. Raises StoreUnavailable, TypeError for a damaged row."""
    row = connection.execute(
        select(
            outbox.c.message_id,
            outbox.c.recipient,
            outbox.c.language,
            outbox.c.kind,
            outbox.c.key_id,
            outbox.c.content,
            outbox.c.created_at,
            outbox.c.tries,
            outbox.c.tried_since,
        ).where(outbox.c.id == mail_id)
    ).one()
    return LeasedMail(
        id=mail_id,
        message_id=row.message_id,
        recipient=row.recipient,
        language=row.language,
        kind=row.kind,
        content=Sealed(row.key_id, row.content or b""),
        created_at=row.created_at,
        tries=row.tries + 1,
        tried_since=row.tried_since or row.created_at,
    )


def _set_aside(connection: Connection, mail: Damaged, until: datetime) -> None:
    """Postpone a mail of which nothing is known but its id."""
    values = {"next_at": until, "leased_until": None, "last_error": _shortened(mail.error)}
    connection.execute(update(outbox).where(outbox.c.id == mail.id, outbox.c.state == WAITING).values(values))


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        outbox.c.state == WAITING,
        _is_past(outbox.c.next_at, now),
        or_(outbox.c.leased_until.is_(None), _is_past(outbox.c.leased_until, now)),
    )


def _is_past(moment: Column[datetime], now: datetime) -> ColumnElement[bool]:
    return or_(moment <= now, moment > now + LONGEST_AHEAD)


def _shortened(error: str) -> str:
    return error[:_MAX_ERROR_CHARACTERS]
