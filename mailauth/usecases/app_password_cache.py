"""A read cache of app passwords for the event loop: never older than a second, never larger than its cap.

Holds what the database said, found or not. It decides nothing; revocation and expiry are judged on each use.
A revocation elsewhere is seen at the latest when the entry's second is over (requirement APP2).
"""

from collections.abc import Callable
from typing import NamedTuple

from mailauth.effects.store import app_passwords
from mailauth.effects.store.database import Database
from mailauth.vocabulary.model import AccountName, AppPassword

LIFE_S = 0.9
"""Below the second that is promised: a look-up that began just before a revocation may take a while itself."""
MAX_ENTRIES = 20_000


class Cached(NamedTuple):
    """What a look-up found (None: there is no such app password), and until when that may be used."""

    value: AppPassword | None
    until: float


class AppPasswordCache:
    """Finds app passwords by account name and selector, from memory while that is fresh."""

    def __init__(self, database: Database, monotonic: Callable[[], float]) -> None:
        self._database = database
        self._monotonic = monotonic
        self._entries: dict[tuple[AccountName, str], Cached] = {}

    def get(self, name: AccountName, selector: str) -> Cached | None:
        """Return what is known and fresh, or None."""
        found = self._entries.get((name, selector))
        return None if found is None or self._monotonic() >= found.until else found

    async def load(self, name: AccountName, selector: str) -> AppPassword | None:
        """Ask the database, and remember the answer from the moment of asking."""
        asked_at = self._monotonic()
        found = await self._database.run_reading(lambda: self._read(name, selector))
        if len(self._entries) >= MAX_ENTRIES:
            self._entries.clear()  # guesses fill it with what does not exist; starting anew costs one look-up each
        self._entries[name, selector] = Cached(found, asked_at + LIFE_S)
        return found

    def _read(self, name: AccountName, selector: str) -> AppPassword | None:
        with self._database.reading() as connection:
            return app_passwords.find(connection, name, selector)
