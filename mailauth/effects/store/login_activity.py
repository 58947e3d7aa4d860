"""Statements on login activity: what was seen of an account's logins, one row for all that look the same."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mailauth.effects.store.tables import login_activity


class Kind(NamedTuple):
    """What makes two logins look the same. `app_password_id` is 0 where it was none."""

    service: str
    network: str
    agent: str
    credential: str
    reason: str
    app_password_id: int


class StoredActivity(NamedTuple):
    """How often something was seen, and when first and last."""

    kind: Kind
    logins: int
    first_at: datetime
    last_at: datetime


_COLUMNS = [login_activity.c[name] for name in Kind._fields]

_COUNT = (
    update(login_activity)
    .where(
        login_activity.c.account_id == bindparam("owner"),
        *(column == bindparam(f"its_{column.name}") for column in _COLUMNS),
    )
    .values(count=login_activity.c.count + bindparam("more"), last_at=bindparam("at"))
)


def add(connection: Connection, account_id: int, seen: StoredActivity) -> None:
    """Count logins in with those that look the same."""
    its = {f"its_{name}": content for name, content in seen.kind._asdict().items()}
    values = {"owner": account_id, **its, "more": seen.logins, "at": seen.last_at}
    if connection.execute(_COUNT, values).rowcount == 0:
        row = seen.kind._asdict() | {"account_id": account_id, "count": seen.logins}
        connection.execute(insert(login_activity).values(**row, first_at=seen.first_at, last_at=seen.last_at))


def recent(connection: Connection, account_id: int, limit: int) -> list[StoredActivity]:
    """Return an account's activity, what was seen last in front."""
    statement = (
        select(login_activity)
        .where(login_activity.c.account_id == account_id)
        .order_by(login_activity.c.last_at.desc(), login_activity.c.id.desc())
        .limit(limit)
    )
    return [_stored(row) for row in connection.execute(statement)]


def of_app_passwords(
    connection: Connection, app_password_ids: Sequence[int], reasons: Iterable[str]
) -> list[StoredActivity]:
    """Return what was seen of app passwords for some reasons, what was seen last in front."""
    statement = (
        select(login_activity)
        .where(login_activity.c.app_password_id.in_(app_password_ids), login_activity.c.reason.in_(list(reasons)))
        .order_by(login_activity.c.last_at.desc())
    )
    return [_stored(row) for row in connection.execute(statement)]


def purge(connection: Connection, seen_before: datetime) -> int:
    """Delete what was seen last before a moment."""
    return connection.execute(delete(login_activity).where(login_activity.c.last_at < seen_before)).rowcount


def _stored(row: Any) -> StoredActivity:
    kind = Kind(*(getattr(row, name) for name in Kind._fields))
    return StoredActivity(kind, row.count, row.first_at, row.last_at)
