"""Passwords that look the same and are other bytes: RFC 8265, profile OpaqueString.

A Mac types é as two code points where Windows types one, and some keyboards put a no-break space behind other
characters. OpaqueString makes them one: non-ASCII spaces become spaces, and the rest NFC; case and width stay. What is
no UTF-8, or what the profile refuses (an unassigned character, a zero-width joiner), stays the bytes that it is: a
login is never refused for its characters.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from precis_i18n.profile import Profile


def opaque(password: bytes) -> bytes:
    """Return the form in which a password is kept. Idempotent."""
    if password.isascii():
        return password
    try:
        return _profile().enforce(password.decode("utf-8")).encode("utf-8")
    except UnicodeError:
        return password


def forms(password: bytes) -> tuple[bytes, ...]:
    """Return what a presented password is to be compared as: its bytes, for what was kept as it came, and `opaque`.

    One or two, which the presented bytes alone decide and nothing about the account.
    """
    kept = opaque(password)
    return (password,) if kept == password else (password, kept)


@lru_cache(maxsize=1)
def _profile() -> "Profile":
    # Imported with the first password that needs it: commands start sooner without its tables.
    from precis_i18n import get_profile

    return get_profile("OpaqueString")
