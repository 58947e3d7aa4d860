"""Statements on mails that wait, or waited, to be delivered. Each takes a connection, in the caller's transaction.

A row is `waiting` until a server has accepted the mail or it is given up; its content, which is sealed, goes in the
same statement that says so. Who delivers a row leases it first, by compare-and-set, so that two workers never
send one at once; a lease that ran out (its worker was killed) is anybody's again.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from mailauth.core import mail_address
from mailauth.effects.keyring import Sealed
from mailauth.effects.store.tables import account, outbox
from mailauth.vocabulary.model import AccountName

WAITING = "waiting"
ACCEPTED = "accepted"
GIVEN_UP = "given-up"

_MAX_ERROR_CHARACTERS = 300


class Addressee(NamedTuple):
    """An account, as one writes to its owner. Its name is the address of its mailbox."""

    account: AccountName
    language: str | None
    recovery_address: str | None


class NewMail(NamedTuple):
    """A mail to be delivered, at once or from `due_at` on. `once_key`: there is never a second one with the same."""

    message_id: str
    recipient: str
    language: str
    kind: str
    content: Sealed
    created_at: datetime
    once_key: str | None = None
    due_at: datetime | None = None


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


class MailSummary(NamedTuple):
    """One line of `outbox list`: nothing of what the mail says."""

    id: int
    state: str
    recipient: str
    kind: str
    message_id: str
    tries: int
    created_at: datetime
    next_at: datetime | None
    ended_at: datetime | None
    last_error: str


def addressee(connection: Connection, account_id: int) -> Addressee | None:
    """Return how to write to an account's owner; None where there is no such account."""
    row = connection.execute(
        select(account.c.name, account.c.language, account.c.recovery_address).where(account.c.id == account_id)
    ).one_or_none()
    return None if row is None else Addressee(AccountName(row.name), row.language, row.recovery_address)


def enqueue(connection: Connection, mail: NewMail) -> bool:
    """Add a mail; False, and nothing added, where there was one with its once_key.

    Raises InvalidValue for a recipient that is no address (requirement MAIL2).
    """
    row = {
        "message_id": mail.message_id,
        "once_key": mail.once_key,
        "recipient": mail_address.checked(mail.recipient),
        "language": mail.language,
        "kind": mail.kind,
        "content": mail.content.blob,
        "key_id": mail.content.key_id,
        "state": WAITING,
        "created_at": mail.created_at,
        "next_at": mail.due_at or mail.created_at,
    }
    if mail.once_key is None:
        connection.execute(insert(outbox).values(row))
        return True
    if is_remembered(connection, mail.once_key):
        return False
    try:
        # Another process may have been quicker; its row must not undo what else this transaction does.
        with connection.begin_nested():
            connection.execute(insert(outbox).values(row))
    except IntegrityError:
        return False
    return True


def withdraw(connection: Connection, once_keys: Collection[str]) -> None:
    """Remove mails that have not been tried yet."""
    is_untouched = (outbox.c.state == WAITING) & (outbox.c.tries == 0)
    connection.execute(delete(outbox).where(outbox.c.once_key.in_(once_keys), is_untouched))


def is_due(connection: Connection, now: datetime) -> bool:
    """Tell whether there is anything to lease, without taking the write lock."""
    return connection.execute(select(outbox.c.id).where(*_due(now)).limit(1)).first() is not None


def lease(connection: Connection, now: datetime, until: datetime, limit: int) -> tuple[LeasedMail, ...]:
    """Take up to `limit` mails that are due, the ones that were due first in front, until a moment."""
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
        )
        .where(*_due(now))
        .order_by(outbox.c.next_at, outbox.c.id)
        .limit(limit)
    ).all()
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
                    content=Sealed(row.key_id, row.content),
                    created_at=row.created_at,
                    tries=row.tries + 1,
                )
            )
    return tuple(leased)


def accept(connection: Connection, mail: LeasedMail, now: datetime) -> None:
    """Note that a server has accepted a mail, and wipe its content.

    Whoever holds the lease by now: accepted is accepted.
    """
    _end(connection, mail.id, ACCEPTED, now, "")


def give_up(connection: Connection, mail: LeasedMail, now: datetime, error: str) -> None:
    """Note that a mail will not be tried again, and wipe its content."""
    _end(connection, mail.id, GIVEN_UP, now, error)


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


def retry(connection: Connection, mail_id: int, now: datetime) -> bool:
    """Make a waiting mail due now; False where there is none (any more). A lease stays in force."""
    changed = connection.execute(
        update(outbox).where(outbox.c.id == mail_id, outbox.c.state == WAITING).values(next_at=now)
    )
    return changed.rowcount == 1


def summaries(connection: Connection) -> tuple[MailSummary, ...]:
    """Return all mails that are kept, the oldest in front."""
    rows = connection.execute(
        select(
            outbox.c.id,
            outbox.c.state,
            outbox.c.recipient,
            outbox.c.kind,
            outbox.c.message_id,
            outbox.c.tries,
            outbox.c.created_at,
            outbox.c.next_at,
            outbox.c.ended_at,
            outbox.c.last_error,
        ).order_by(outbox.c.id)
    )
    return tuple(_summary(row) for row in rows)


def is_remembered(connection: Connection, once_key: str) -> bool:
    """Tell whether there was a mail with this once_key."""
    return connection.execute(select(outbox.c.id).where(outbox.c.once_key == once_key)).first() is not None


def purge(connection: Connection, before: datetime, once_before: datetime) -> int:
    """Delete mails that ended before a moment; those that may happen once only are remembered longer."""
    gone = connection.execute(
        delete(outbox).where(
            outbox.c.state != WAITING,
            or_(
                (outbox.c.once_key.is_(None)) & (outbox.c.ended_at < before),
                outbox.c.ended_at < once_before,
            ),
        )
    )
    return gone.rowcount


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        outbox.c.state == WAITING,
        outbox.c.next_at <= now,
        or_(outbox.c.leased_until.is_(None), outbox.c.leased_until <= now),
    )


def _summary(row: Any) -> MailSummary:
    return MailSummary(*row)._replace(next_at=row.next_at if row.state == WAITING else None)


def _end(connection: Connection, mail_id: int, state: str, now: datetime, error: str) -> None:
    connection.execute(
        update(outbox)
        .where(outbox.c.id == mail_id)
        .values(state=state, content=None, leased_until=None, ended_at=now, last_error=_shortened(error))
    )


def _shortened(error: str) -> str:
    return error[:_MAX_ERROR_CHARACTERS]
