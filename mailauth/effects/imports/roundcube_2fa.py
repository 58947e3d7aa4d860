"""Roundcube's plugin twofactor_gauthenticator: in `users.preferences`, as PHP has serialised it.

`twofactor_gauthenticator` holds `secret` (base32), `activate`, and `recovery_codes`, which are not taken over.
"""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Row

from mailauth.effects.imports import Found, Left, Record, panels, php_values, seeds
from mailauth.vocabulary.errors import InvalidValue

QUERY: Final = (
    "SELECT username, preferences FROM users WHERE preferences LIKE '%twofactor_gauthenticator%' ORDER BY username"
)
_PLACE: Final = "users"


def read(url: str) -> Iterator[Record]:
    """Yield those of Roundcube's users."""
    return panels.rows(url, QUERY, _record)


def _record(row: Row[Any]) -> Record:
    owner: str = row.username
    written = row.preferences.encode() if isinstance(row.preferences, str) else bytes(row.preferences)
    try:
        found = php_values.loads(written)[b"twofactor_gauthenticator"]
        secret, is_on, codes = found.get(b"secret"), found.get(b"activate"), found.get(b"recovery_codes") or {}
    except (ValueError, TypeError, LookupError, AttributeError):
        return Left(_PLACE, owner, "its preferences cannot be read")
    if not is_on or not isinstance(secret, bytes):
        return Left(_PLACE, owner, "it is not switched on there")
    try:
        left = (f"{len(codes)} recovery codes",) if codes else ()
        return Found(_PLACE, owner, seeds.from_base32(secret.decode("ascii", "replace")), left=left)
    except InvalidValue as error:
        return Left(_PLACE, owner, str(error))
