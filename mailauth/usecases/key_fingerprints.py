"""Whether the key file is the one that the database is sealed with (requirement KEY4).

The database holds a fingerprint of each key. A key file that lacks one of them, or holds another key under its id,
would open nothing: every authenticator, recovery code and app password would be refused as if it were wrong. So
nothing starts with it, and no new key is made where an old one is missing.
"""

import hmac
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from mailauth.effects.keyring import Keyring
from mailauth.effects.store import keys
from mailauth.effects.store.database import Database
from mailauth.vocabulary.errors import KeyUnusable, SealBroken

_RESTORE = "restore the key file from its backup"
_SHOWN_BYTES = 4
"""How much of a fingerprint people are shown: enough to compare two of them."""


def mistakes(database: Database, ring: Keyring) -> tuple[str, ...]:
    """Return in words what is wrong with the keys of a ring, for a database of the current revision."""
    return database.read(lambda connection: tuple(_mistakes(connection, ring)))


def require_same(database: Database, ring: Keyring, file: Path, now: datetime) -> None:
    """Raise KeyUnusable unless a key file's ring opens what the database holds. Notes keys that are new to it."""
    found, new = database.read(
        lambda connection: (tuple(_mistakes(connection, ring)), set(ring.ids) - keys.noted(connection).keys())
    )
    if found:
        raise KeyUnusable(f"key file {file}: {'; '.join(found)}")
    if new:
        database.write(lambda connection: _note(connection, ring, now))


def require_none_in_use(database: Database, file: Path) -> None:
    """Raise KeyUnusable where a database, of whatever revision, is sealed with a key: no new one can replace that."""
    used = database.read(keys.in_use)
    if used:
        raise KeyUnusable(
            f"the key file {file} is missing, but the database is sealed with key {', '.join(sorted(used))}: a new "
            "key would open none of its authenticators, recovery codes and app passwords. "
            f"{_RESTORE.capitalize()}, and run this again. Where there is no backup they are lost: begin with "
            "another database"
        )


def begin(database: Database, ring: Keyring, file: Path, now: datetime) -> None:
    """Note the keys of a new installation. Raises KeyUnusable where the database is sealed with others."""
    if database.read(keys.noted) == {key_id: ring.fingerprint(key_id) for key_id in ring.ids}:
        return

    def begin(connection: Connection) -> None:
        if keys.in_use(connection):
            found = tuple(_mistakes(connection, ring))
            if found:
                raise KeyUnusable(f"key file {file}: {'; '.join(found)}")
        for key_id in ring.ids:
            keys.note(connection, key_id, ring.fingerprint(key_id), now)

    database.write(begin)


def _note(connection: Connection, ring: Keyring, now: datetime) -> None:
    noted = keys.noted(connection)  # again, under the lock: another process may have begun at the same time
    for key_id in ring.ids:
        if key_id not in noted:
            keys.note(connection, key_id, ring.fingerprint(key_id), now)
        elif not hmac.compare_digest(noted[key_id], ring.fingerprint(key_id)):
            raise KeyUnusable(_another(key_id, noted[key_id], ring))


def _mistakes(connection: Connection, ring: Keyring) -> Iterator[str]:
    noted = keys.noted(connection)
    for key_id in ring.ids:
        if key_id not in noted:
            if not _opens(connection, ring, key_id):
                yield f"key {key_id} opens nothing that the database has sealed with a key of that id; {_RESTORE}"
        elif not hmac.compare_digest(noted[key_id], ring.fingerprint(key_id)):
            yield _another(key_id, noted[key_id], ring)
    missing = noted.keys() - set(ring.ids)
    # Only what is still needed: in time nothing may be left that works with an old key.
    for key_id in sorted(missing & keys.in_use(connection) if missing else ()):
        yield f"it lacks key {key_id}, which the database is sealed with; {_RESTORE}"


def _another(key_id: str, noted: bytes, ring: Keyring) -> str:
    shown = [fingerprint[:_SHOWN_BYTES].hex() for fingerprint in (noted, ring.fingerprint(key_id))]
    return (
        f"its key {key_id} is another one than the database is sealed with "
        f"(fingerprint {shown[1]}, in the database {shown[0]}); {_RESTORE}"
    )


def _opens(connection: Connection, ring: Keyring, key_id: str) -> bool:
    """Try a key whose fingerprint is not noted: the database is older than fingerprints are."""
    found = keys.a_sealed_value(connection, key_id)
    if found is None:
        return True
    try:
        ring.unseal(found.purpose, found.opens_with, found.sealed)
    except SealBroken:
        return False
    return True
