"""Statements on whom a campaign writes to. Each takes a connection, inside the caller's transaction."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from mailauth.effects.store.account_state import IS_ENABLED
from mailauth.effects.store.tables import account, totp
from mailauth.vocabulary.model import AccountName

_IS_ENROLLED = select(totp.c.id).where(totp.c.account_id == account.c.id, totp.c.state == "active").exists()


class Unenrolled(NamedTuple):
    """An account in use that has no authenticator. Its name is the address of its mailbox."""

    id: int
    name: AccountName
    language: str | None
    created_at: datetime


def count_unenrolled(connection: Connection, only: Collection[int] | None = None) -> int:
    """Return how many accounts are neither enrolled nor disabled; of those with the ids `only`, where given."""
    return connection.execute(select(func.count()).select_from(account).where(*_concerned(only))).scalar_one()


def unenrolled(
    connection: Connection, after: int, limit: int, only: Collection[int] | None = None
) -> tuple[Unenrolled, ...]:
    """Return the first accounts behind the id `after`, in order of id, that are neither enrolled nor disabled."""
    rows = connection.execute(
        select(account.c.id, account.c.name, account.c.language, account.c.created_at)
        .where(account.c.id > after, *_concerned(only))
        .order_by(account.c.id)
        .limit(limit)
    )
    return tuple(Unenrolled(row.id, AccountName(row.name), row.language, row.created_at) for row in rows)


def _concerned(only: Collection[int] | None) -> list[ColumnElement[bool]]:
    conditions = [IS_ENABLED, ~_IS_ENROLLED]
    return conditions if only is None else [*conditions, account.c.id.in_(sorted(only))]
