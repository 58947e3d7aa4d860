"""Statements on what an account's name is part of. Each takes a connection, inside the caller's transaction."""

from typing import NamedTuple

from sqlalchemy import Connection, delete, exists, select, update

from mailauth.effects.store.sealed_columns import SealedColumn
from mailauth.effects.store.tables import account, limiter
from mailauth.vocabulary.model import AccountName


class Bound(NamedTuple):
    """A value in a row that is bound to the account's name, and the id of the key that it was made with."""

    row_id: int
    key_id: str
    value: bytes


def rename(connection: Connection, account_id: int, name: AccountName, former_names: tuple[AccountName, ...]) -> bool:
    """Give an account another name and raise its epoch; False, and nothing changed, where another account has it."""
    values = {"name": name, "former_names": " ".join(former_names), "epoch": account.c.epoch + 1}
    another = account.alias()
    is_free = ~exists(select(another.c.id).where(another.c.name == name, another.c.id != account_id))
    return connection.execute(update(account).where(account.c.id == account_id, is_free).values(values)).rowcount == 1


def bound_values(connection: Connection, column: SealedColumn, account_id: int) -> tuple[Bound, ...]:
    """Return every value of an account in a column, those that serve no more as well."""
    table = column.table
    if column.key_id is None:
        return ()
    columns = select(table.c.id, column.key_id, column.value)
    return tuple(Bound(*row) for row in connection.execute(columns.where(table.c.account_id == account_id)))


def rebind(connection: Connection, column: SealedColumn, new: Bound) -> None:
    """Replace a value by the same one, made anew for another name."""
    values = {column.value: new.value, column.key_id: new.key_id}
    connection.execute(update(column.table).where(column.table.c.id == new.row_id).values(values))


def move_meters(connection: Connection, name: AccountName, new_name: AccountName) -> None:
    """Let what was counted against an account count on under its new name, in place of what was counted there."""
    keys = connection.execute(select(limiter.c.bucket).where(limiter.c.bucket.contains(f" {name}", autoescape=True)))
    for key in keys.scalars().all():
        words = key.split(" ")
        if name in words:
            moved = " ".join(new_name if word == name else word for word in words)
            connection.execute(delete(limiter).where(limiter.c.bucket == moved))
            connection.execute(update(limiter).where(limiter.c.bucket == key).values(bucket=moved))
