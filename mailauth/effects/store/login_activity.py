"""Statements on login activity: what was seen of an account's logins, one row for all that look the same.

Of what came to nothing, one row a reason holds what no row of its own is kept for: its network is `ELSEWHERE`.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, update

from mailauth.effects.store import dialects
from mailauth.effects.store.tables import login_activity

ELSEWHERE = "*"
"""In the place of a network: many of them."""


class LoginKind(NamedTuple):
    """What makes two logins look the same. `app_password_id` is 0 where it was none."""

    service: str
    network: str
    agent: str
    credential: str
    reason: str
    app_password_id: int


class StoredActivity(NamedTuple):
    """How often something was seen, and when first and last."""

    kind: LoginKind
    logins: int
    first_at: datetime
    last_at: datetime


_COLUMNS = [login_activity.c[name] for name in LoginKind._fields]

_COUNT = (
    update(login_activity)
    .where(
        login_activity.c.account_id == bindparam("owner"),
        *(column == bindparam(f"its_{column.name}") for column in _COLUMNS),
    )
    .values(count=login_activity.c.count + bindparam("more"), last_at=bindparam("at"))
)


def add(connection: Connection, account_id: int, seen: StoredActivity) -> bool:
    """Count logins in with those that look the same; tell whether they are the first of their kind, in a new row."""
    its = {f"its_{name}": content for name, content in seen.kind._asdict().items()}
    values = {"owner": account_id, **its, "more": seen.logins, "at": seen.last_at}
    row = {"account_id": account_id, **seen.kind._asdict(), "count": seen.logins}
    times = {"first_at": seen.first_at, "last_at": seen.last_at}
    if connection.execute(dialects.statements(connection).insert_if_absent(login_activity), row | times).rowcount:
        return True
    connection.execute(_COUNT, values)
    return False


def recent(
    connection: Connection,
    account_id: int,
    limit: int,
    *,
    among: Collection[str] | None = None,
    without: Collection[str] = (),
) -> list[StoredActivity]:
    """Return an account's activity, what was seen last in front; for some reasons only, or without some."""
    statement = (
        select(login_activity)
        .where(login_activity.c.account_id == account_id, login_activity.c.reason.not_in(list(without)))
        .order_by(login_activity.c.last_at.desc(), login_activity.c.id.desc())
        .limit(limit)
    )
    if among is not None:
        statement = statement.where(login_activity.c.reason.in_(list(among)))
    return [_stored(row) for row in connection.execute(statement)]


def trim(connection: Connection, account_id: int, let_in: Collection[str], most: int) -> None:
    """Keep at most so many rows of logins that were let in, and as many of others; both but for the newest half.

    Of the others nothing is forgotten: what has no row of its own any more is counted together, by its reason.
    """
    its = login_activity.c.account_id == account_id
    of_granted = its & login_activity.c.reason.in_(list(let_in))
    of_refused = its & login_activity.c.reason.not_in(list(let_in)) & (login_activity.c.network != ELSEWHERE)
    newest_first = (login_activity.c.last_at.desc(), login_activity.c.id.desc())
    for which in (of_granted, of_refused):
        count = connection.execute(select(func.count()).select_from(login_activity).where(which)).scalar_one()
        if count <= most:
            continue
        surplus = select(login_activity).where(which).order_by(*newest_first).offset(most // 2)
        rows = list(connection.execute(surplus))
        if which is of_refused:
            for row in rows:
                _count_together(connection, account_id, _stored(row))
        for at in range(0, len(rows), 500):  # databases take some thousands of values in one statement
            ids = [row.id for row in rows[at : at + 500]]
            connection.execute(delete(login_activity).where(login_activity.c.id.in_(ids)))


def _count_together(connection: Connection, account_id: int, seen: StoredActivity) -> None:
    kind = LoginKind("", ELSEWHERE, "", "", seen.kind.reason, 0)
    together = [column == content for column, content in zip(_COLUMNS, kind, strict=True)]
    found = connection.execute(select(login_activity).where(login_activity.c.account_id == account_id, *together))
    before = found.one_or_none()
    if before is None:
        add(connection, account_id, seen._replace(kind=kind))
        return
    connection.execute(
        update(login_activity)
        .where(login_activity.c.id == before.id)
        .values(
            count=int(before._mapping["count"]) + seen.logins,
            first_at=min(before.first_at, seen.first_at),
            last_at=max(before.last_at, seen.last_at),
        )
    )


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
    kind = LoginKind(*(getattr(row, name) for name in LoginKind._fields))
    return StoredActivity(kind, row.count, row.first_at, row.last_at)
