"""Statements on the links in mails. Each takes a connection, inside the caller's transaction.

A link is found by a keyed digest of its token, and used by compare-and-set: once, before it expires. What is void is
marked as used, whoever it was that made it so.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from mailauth.effects.store.tables import account, mail_link
from mailauth.vocabulary.model import AccountName


class StoredLink(NamedTuple):
    """A link that may still be followed, if it is in time."""

    id: int
    account_id: int
    account: AccountName
    purpose: str
    subject: str
    created_at: datetime
    expires_at: datetime


_LINK = select(
    mail_link.c.id,
    mail_link.c.account_id,
    account.c.name,
    mail_link.c.purpose,
    mail_link.c.subject,
    mail_link.c.created_at,
    mail_link.c.expires_at,
).join(account, account.c.id == mail_link.c.account_id)


def add(
    connection: Connection,
    account_id: int,
    digest: bytes,
    purpose: str,
    subject: str,
    created_at: datetime,
    expires_at: datetime,
) -> None:
    """Add a link."""
    row = {
        "account_id": account_id,
        "digest": digest,
        "purpose": purpose,
        "subject": subject,
        "created_at": created_at,
        "expires_at": expires_at,
    }
    connection.execute(insert(mail_link).values(row))


def find(connection: Connection, digests: list[bytes], now: datetime) -> StoredLink | None:
    """Return the link that has one of these digests (one for every key), unless it was used or has expired."""
    row = connection.execute(_LINK.where(mail_link.c.digest.in_(digests), _is_good(now))).first()
    return None if row is None else _link(row)


def newest(connection: Connection, account_id: int, purpose: str, now: datetime) -> StoredLink | None:
    """Return the link for a purpose that was made last for an account, unless it was used or has expired."""
    of_account = (mail_link.c.account_id == account_id) & (mail_link.c.purpose == purpose)
    row = connection.execute(_LINK.where(of_account, _is_good(now)).order_by(mail_link.c.id.desc()).limit(1)).first()
    return None if row is None else _link(row)


def use(connection: Connection, link_id: int, now: datetime) -> bool:
    """Use a link; False where it was used before, or has expired."""
    changed = connection.execute(
        update(mail_link)
        .where(mail_link.c.id == link_id, mail_link.c.used_at.is_(None), mail_link.c.expires_at > now)
        .values(used_at=now)
    )
    return changed.rowcount == 1


def void(connection: Connection, account_id: int, purpose: str, now: datetime) -> None:
    """Let an account's links for a purpose serve no more."""
    connection.execute(
        update(mail_link)
        .where(mail_link.c.account_id == account_id, mail_link.c.purpose == purpose, mail_link.c.used_at.is_(None))
        .values(used_at=now)
    )


def count_since(connection: Connection, account_id: int, purpose: str, since: datetime) -> int:
    """Return how many links for a purpose an account was sent since a moment, used or not."""
    statement = select(func.count()).where(
        mail_link.c.account_id == account_id, mail_link.c.purpose == purpose, mail_link.c.created_at > since
    )
    return connection.execute(statement).scalar_one()


def purge(connection: Connection, expired_before: datetime) -> int:
    """Delete links that expired before a moment."""
    return connection.execute(delete(mail_link).where(mail_link.c.expires_at <= expired_before)).rowcount


def _is_good(now: datetime) -> ColumnElement[bool]:
    return mail_link.c.used_at.is_(None) & (mail_link.c.expires_at > now)


def _link(row: Any) -> StoredLink:
    return StoredLink(row.id, row.account_id, AccountName(row.name), *row[3:])
