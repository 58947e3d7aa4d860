"""Statements on app passwords that another system has stored, until each is used here once."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from mailauth.effects.store.tables import app_password, foreign_app_password


class Waiting(NamedTuple):
    """One that was not used yet: the app password of ours that it becomes, and its hash."""

    app_password_id: int
    password_hash: str


_WAITING = (
    select(app_password.c.id, foreign_app_password.c.password_hash)
    .join(app_password, app_password.c.id == foreign_app_password.c.app_password_id)
    .where(
        foreign_app_password.c.account_id == bindparam("whose"),
        app_password.c.revoked_at.is_(None),
        or_(app_password.c.expires_at.is_(None), app_password.c.expires_at > bindparam("now")),
    )
    .order_by(foreign_app_password.c.id)
)


def waiting(connection: Connection, account_id: int, now: datetime) -> tuple[Waiting, ...]:
    """Return those of an account that may still be used."""
    return tuple(Waiting(*row) for row in connection.execute(_WAITING, {"whose": account_id, "now": now}))


def are_any(connection: Connection) -> bool:
    """Tell whether any was imported at all, whatever became of it."""
    return connection.execute(select(foreign_app_password.c.id).limit(1)).first() is not None


def was_imported(connection: Connection, account_id: int, hashes: Collection[str]) -> bool:
    """Tell whether one that is stored as one of these was imported before, whatever became of it."""
    statement = select(foreign_app_password.c.id).where(
        foreign_app_password.c.account_id == account_id, foreign_app_password.c.password_hash.in_(hashes)
    )
    return connection.execute(statement).first() is not None


def add(connection: Connection, account_id: int, app_password_id: int, password_hash: str, now: datetime) -> None:
    """Add one that waits for its first use."""
    connection.execute(
        insert(foreign_app_password).values(
            account_id=account_id, app_password_id=app_password_id, password_hash=password_hash, imported_at=now
        )
    )


def settle(connection: Connection, waiting_one: Waiting, instead: str, key_id: str, digest: bytes) -> bool:
    """Make one ours, by the digest of what was presented; False where it was done, or revoked, meanwhile.

    `instead`: of its hash, what shows that it was imported.
    """
    ours = (app_password.c.id == waiting_one.app_password_id) & app_password.c.revoked_at.is_(None)
    mine = foreign_app_password.c.app_password_id == waiting_one.app_password_id
    done = connection.execute(
        update(foreign_app_password)
        .where(mine, select(app_password.c.id).where(ours).exists())
        .values(app_password_id=None, password_hash=instead)
    )
    if done.rowcount != 1:
        return False
    connection.execute(update(app_password).where(ours).values(digest=digest, key_id=key_id, expires_at=None))
    return True
