"""Statements on mails that wait, or waited, to be delivered. Each takes a connection, in the caller's transaction.

A row is `waiting` until a server has accepted the mail or it is given up. Its content, which is sealed, goes in the
statement that notes the acceptance; of a mail that was given up it is kept for a while, for it may be tried again.
What a worker does with them is in `outbox_leases.py`.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, type_coerce, update

from mailauth.core import mail_address
from mailauth.effects.keyring import Sealed
from mailauth.effects.store import dialects
from mailauth.effects.store.tables import MomentIfReadable, account, outbox
from mailauth.vocabulary.model import AccountName

WAITING = "waiting"
ACCEPTED = "accepted"
GIVEN_UP = "given-up"

CONTENT_KEPT_FOR = timedelta(days=14)
"""How long a mail that was given up can be tried again."""


class Addressee(NamedTuple):
    """An account, as one writes to its owner. Its name is the address of its mailbox. Or an administrator, of none."""

    account: AccountName
    language: str | None
    recovery_address: str | None
    account_id: int | None


class NewMail(NamedTuple):
    """A mail to be delivered, at once or from `due_at` on. `once_key`: there is never a second one with the same."""

    message_id: str
    account_id: int | None
    recipient: str
    language: str
    kind: str
    content: Sealed
    created_at: datetime
    once_key: str | None = None
    due_at: datetime | None = None


class MailSummary(NamedTuple):
    """One line of `outbox list`: nothing of what the mail says. Of a damaged row, what can be read."""

    id: int
    state: str
    recipient: str
    kind: str
    message_id: str
    tries: int
    created_at: datetime | None
    next_at: datetime | None
    ended_at: datetime | None
    last_error: str
    is_kept: bool


def addressee(connection: Connection, account_id: int) -> Addressee | None:
    """Return how to write to an account's owner; None where there is no such account."""
    row = connection.execute(
        select(account.c.name, account.c.language, account.c.recovery_address).where(account.c.id == account_id)
    ).one_or_none()
    return None if row is None else Addressee(AccountName(row.name), row.language, row.recovery_address, account_id)


def enqueue(connection: Connection, mail: NewMail) -> bool:
    """Add a mail; False, and nothing added, where there was one with its once_key.

    Raises InvalidValue for a recipient that is no address (requirement MAIL2).
    """
    row = _row(mail)
    if mail.once_key is None:
        connection.execute(insert(outbox).values(row))
        return True
    # One statement: another process may be at it as well, and its row must not undo what else this transaction does.
    return connection.execute(dialects.statements(connection).insert_if_absent(outbox), row).rowcount == 1


def enqueue_all(connection: Connection, mails: Collection[NewMail]) -> int:
    """Add mails that may happen once only, in place of those that were given up; return how many there were not yet.

    A few statements, however many mails: the write lock is held briefly. Raises InvalidValue as `enqueue` does.
    """
    rows = {mail.once_key: _row(mail) for mail in mails}
    known = states(connection, rows)
    _make_room(connection, [key for key, state in known.items() if state == GIVEN_UP])
    new = [row for key, row in rows.items() if known.get(key, GIVEN_UP) == GIVEN_UP]
    if not new:
        return 0
    return connection.execute(dialects.statements(connection).insert_if_absent(outbox), new).rowcount


def states(connection: Connection, once_keys: Collection[str | None]) -> dict[str | None, str]:
    """Return the state of each mail that there was under one of these keys."""
    rows = connection.execute(select(outbox.c.once_key, outbox.c.state).where(outbox.c.once_key.in_(once_keys)))
    return {row.once_key: row.state for row in rows}


def last_at(connection: Connection, kind: str, recipient: str) -> datetime | None:
    """Return when somebody was last told something of a kind, as far as that is kept and can be read."""
    made = select(type_coerce(outbox.c.created_at, MomentIfReadable)).where(
        outbox.c.kind == kind, outbox.c.recipient == recipient
    )
    return connection.execute(made.order_by(outbox.c.id.desc()).limit(1)).scalar_one_or_none()


def withdraw(connection: Connection, once_keys: Collection[str]) -> None:
    """Remove mails that have not been tried yet."""
    is_untouched = (outbox.c.state == WAITING) & (outbox.c.tries == 0)
    connection.execute(delete(outbox).where(outbox.c.once_key.in_(once_keys), is_untouched))


def readdress(connection: Connection, account_id: int, name: AccountName, new_name: AccountName) -> None:
    """Have what an account's owner has not got yet go to its new name: the old one may be somebody else's tomorrow."""
    values = {"recipient": mail_address.in_ascii(new_name), "account_id": account_id}
    connection.execute(update(outbox).where(_not_got(account_id, name), _is_to(name)).values(values))


def withdraw_all(connection: Connection, account_id: int, name: AccountName) -> None:
    """Remove what an account's owner has not got yet, and let what is kept be nobody's: a database gives ids again."""
    connection.execute(delete(outbox).where(_not_got(account_id, name)))
    connection.execute(update(outbox).where(outbox.c.account_id == account_id).values(account_id=None))


def wipe_given_up(connection: Connection, before: datetime) -> int:
    """Wipe the content of mails that were given up before a moment; return of how many."""
    is_over = (outbox.c.state == GIVEN_UP) & (outbox.c.ended_at < before) & outbox.c.content.is_not(None)
    return connection.execute(update(outbox).where(is_over).values(content=None)).rowcount


def retry(connection: Connection, mail_id: int, now: datetime) -> bool:
    """Make a mail due now that waits, or was given up and is kept; False where there is none (any more)."""
    return _retry(connection, outbox.c.id == mail_id, now) == 1


def retry_all(connection: Connection, state: str, now: datetime) -> int:
    """Make all mails due now that wait, or all that were given up and are kept; return how many."""
    return _retry(connection, outbox.c.state == state, now)


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
            type_coerce(outbox.c.created_at, MomentIfReadable),
            type_coerce(outbox.c.next_at, MomentIfReadable),
            type_coerce(outbox.c.ended_at, MomentIfReadable),
            outbox.c.last_error,
            outbox.c.content.is_not(None),
        ).order_by(outbox.c.id)
    )
    return tuple(_summary(row) for row in rows)


def is_remembered(connection: Connection, once_key: str) -> bool:
    """Tell whether there was a mail with this once_key."""
    return connection.execute(select(outbox.c.id).where(outbox.c.once_key == once_key)).first() is not None


def was_told(connection: Connection, about: str, since: datetime, until: datetime) -> bool:
    """Tell whether a mail whose once_key begins with `about` was queued after one moment and before another."""
    begins = (outbox.c.once_key >= about) & (outbox.c.once_key < f"{about}\x7f")  # by the index; they go on in ASCII
    between = (outbox.c.created_at > since) & (outbox.c.created_at < until)
    return connection.execute(select(outbox.c.id).where(begins, between).limit(1)).first() is not None


def purge(connection: Connection, before: datetime, once_before: datetime) -> int:
    """Delete wiped mails that ended before a moment; those that may happen once only are remembered longer."""
    gone = connection.execute(
        delete(outbox).where(
            outbox.c.state != WAITING,
            outbox.c.content.is_(None),
            or_(
                (outbox.c.once_key.is_(None)) & (outbox.c.ended_at < before),
                outbox.c.ended_at < once_before,
            ),
        )
    )
    return gone.rowcount


def _not_got(account_id: int, name: AccountName) -> ColumnElement[bool]:
    """Tell of a mail that it is an account's and may be delivered yet; of one that is nobody's by its recipient."""
    is_of_nobody = outbox.c.account_id.is_(None) & _is_to(name)
    return outbox.c.state.in_((WAITING, GIVEN_UP)) & ((outbox.c.account_id == account_id) | is_of_nobody)


def _is_to(name: AccountName) -> ColumnElement[bool]:
    return outbox.c.recipient == mail_address.in_ascii(name)


def _row(mail: NewMail) -> dict[str, Any]:
    return {
        "message_id": mail.message_id,
        "account_id": mail.account_id,
        "once_key": mail.once_key,
        "recipient": mail_address.checked(mail_address.in_ascii(mail.recipient)),
        "language": mail.language,
        "kind": mail.kind,
        "content": mail.content.blob,
        "key_id": mail.content.key_id,
        "state": WAITING,
        "created_at": mail.created_at,
        "next_at": mail.due_at or mail.created_at,
    }


def _make_room(connection: Connection, once_keys: Collection[str | None]) -> None:
    """Let mails that nobody got stand for nothing any more, and be tried no more: others take their place."""
    are_given_up = outbox.c.once_key.in_(once_keys) & (outbox.c.state == GIVEN_UP)
    connection.execute(update(outbox).where(are_given_up).values(once_key=None, content=None))


def _retry(connection: Connection, which: ColumnElement[bool], now: datetime) -> int:
    """Give mails all the time again that a new one has. A lease stays in force."""
    is_there = or_(outbox.c.state == WAITING, (outbox.c.state == GIVEN_UP) & outbox.c.content.is_not(None))
    values = {"state": WAITING, "next_at": now, "tried_since": now, "ended_at": None}
    return connection.execute(update(outbox).where(which, is_there).values(values)).rowcount


def _summary(row: Any) -> MailSummary:
    summary = MailSummary(*row)
    return summary._replace(
        tries=summary.tries if isinstance(summary.tries, int) else 0,
        next_at=summary.next_at if summary.state == WAITING else None,
    )
