"""Statements on keys: which ones a database is sealed with, and what is sealed or made with each."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, inspect, select

from mailauth.effects.keyring import Purpose, Sealed
from mailauth.effects.store import dialects
from mailauth.effects.store.sealed_columns import SEALED_COLUMNS
from mailauth.effects.store.tables import account, key_fingerprint


class SealedValue(NamedTuple):
    """Something sealed as it is stored, what for, and what it is bound to."""

    purpose: Purpose
    opens_with: str
    sealed: Sealed


def noted(connection: Connection) -> dict[str, bytes]:
    """Return the fingerprints of the keys that the database is sealed with, by the keys' ids."""
    rows = connection.execute(select(key_fingerprint.c.key_id, key_fingerprint.c.fingerprint))
    return {row.key_id: row.fingerprint for row in rows}


def note(connection: Connection, key_id: str, fingerprint: bytes, now: datetime) -> None:
    """Note a key's fingerprint, in place of the one of another key of that id."""
    new = {"fingerprint": fingerprint, "noted_at": now}
    row = {"key_id": key_id, **new}
    connection.execute(dialects.statements(connection).upsert(key_fingerprint, ["key_id"], row, new))


def in_use(connection: Connection) -> frozenset[str]:
    """Return the ids of the keys that something works with. Serves a database of an older revision as well."""
    there = set(inspect(connection).get_table_names())
    found: set[str] = set()
    for column in SEALED_COLUMNS:
        if column.key_id is not None and column.table.name in there:
            found.update(connection.execute(select(column.key_id).where(column.serves).distinct()).scalars())
    return frozenset(found)


def a_sealed_value(connection: Connection, key_id: str) -> SealedValue | None:
    """Return something that is sealed with a key, to try the key on."""
    for column in SEALED_COLUMNS:
        if column.key_id is None or column.opens_with is None:
            continue
        table = column.table
        row = connection.execute(
            select(column.opens_with, column.value)
            .select_from(table if column.opens_with.table is table else table.join(account))
            .where(column.key_id == key_id, column.serves)
            .order_by(table.c.id.desc())
            .limit(1)
        ).first()
        if row is not None:
            opens_with, blob = row
            return SealedValue(column.purpose, opens_with, Sealed(key_id, blob))
    return None
