"""Statements on keys: which ones a database is sealed with, and what is sealed or made with each."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, inspect, select, true

from mailauth.effects.keyring import Sealed
from mailauth.effects.store import dialects
from mailauth.effects.store.tables import (
    account,
    app_password,
    key_fingerprint,
    outbox,
    portal_session,
    recovery_code,
    totp,
)

_NAMING_A_KEY: tuple[tuple[Column[str], ColumnElement[bool]], ...] = (
    (totp.c.key_id, true()),
    (recovery_code.c.key_id, recovery_code.c.spent_at.is_(None) & recovery_code.c.voided_at.is_(None)),
    (app_password.c.key_id, app_password.c.revoked_at.is_(None)),
    (portal_session.c.pending_key_id, portal_session.c.pending_seed.is_not(None)),
    (outbox.c.key_id, outbox.c.content.is_not(None)),
)
"""Every column that says which key something works with, and the rows in which something does."""


class SealedSeed(NamedTuple):
    """An authenticator's seed as it is stored, and whose it is."""

    account: str
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
    for column, works in _NAMING_A_KEY:
        if column.table.name in there:
            found.update(connection.execute(select(column).where(works).distinct()).scalars())
    return frozenset(found)


def a_sealed_seed(connection: Connection, key_id: str) -> SealedSeed | None:
    """Return some seed that is sealed with a key, to try the key on."""
    row = connection.execute(
        select(account.c.name, totp.c.sealed_seed)
        .join(account, account.c.id == totp.c.account_id)
        .where(totp.c.key_id == key_id)
        .order_by(totp.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else SealedSeed(row.name, Sealed(key_id, row.sealed_seed))
