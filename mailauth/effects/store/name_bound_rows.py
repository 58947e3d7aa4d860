"""Statements on what an account's name is part of. Each takes a connection, inside the caller's transaction."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, Table, delete, exists, select, update

from mailauth.effects.keyring import Sealed
from mailauth.effects.store.tables import account, limiter, totp
from mailauth.vocabulary.model import AccountName


class Digest(NamedTuple):
    """A digest in a row, and the id of the key that it was made with."""

    row_id: int
    key_id: str
    digest: bytes


def rename(connection: Connection, account_id: int, name: AccountName, former_names: tuple[AccountName, ...]) -> bool:
    """Give an account another name and raise its epoch; False, and nothing changed, where another account has it."""
    values = {"name": name, "former_names": " ".join(former_names), "epoch": account.c.epoch + 1}
    another = account.alias()
    is_free = ~exists(select(another.c.id).where(another.c.name == name, another.c.id != account_id))
    return connection.execute(update(account).where(account.c.id == account_id, is_free).values(values)).rowcount == 1


def seeds(connection: Connection, account_id: int) -> Iterator[tuple[int, Sealed]]:
    """Give an account's authenticators, active and pending, each with its row's id."""
    rows = connection.execute(
        select(totp.c.id, totp.c.key_id, totp.c.sealed_seed).where(totp.c.account_id == account_id)
    )
    return ((row.id, Sealed(row.key_id, row.sealed_seed)) for row in rows.all())


def set_seed(connection: Connection, totp_id: int, sealed: Sealed) -> None:
    """Replace an authenticator's seed by the same one, sealed anew."""
    values = {"sealed_seed": sealed.blob, "key_id": sealed.key_id}
    connection.execute(update(totp).where(totp.c.id == totp_id).values(values))


def digests(connection: Connection, table: Table, account_id: int) -> tuple[Digest, ...]:
    """Return every digest of an account in a table, those that serve no more as well."""
    columns = select(table.c.id, table.c.key_id, table.c.digest)
    return tuple(Digest(*row) for row in connection.execute(columns.where(table.c.account_id == account_id)))


def set_digest(connection: Connection, table: Table, row_id: int, digest: bytes) -> None:
    """Replace a digest."""
    connection.execute(update(table).where(table.c.id == row_id).values(digest=digest))


def move_meters(connection: Connection, name: AccountName, new_name: AccountName) -> None:
    """Let what was counted against an account count on under its new name, in place of what was counted there."""
    keys = connection.execute(select(limiter.c.bucket).where(limiter.c.bucket.contains(f" {name}", autoescape=True)))
    for key in keys.scalars().all():
        words = key.split(" ")
        if name in words:
            moved = " ".join(new_name if word == name else word for word in words)
            connection.execute(delete(limiter).where(limiter.c.bucket == moved))
            connection.execute(update(limiter).where(limiter.c.bucket == key).values(bucket=moved))
