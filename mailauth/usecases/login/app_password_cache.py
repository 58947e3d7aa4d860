"""A read cache of app passwords for the event loop: never older than a second, never larger than its cap.

Holds what the database said, found or not. It decides nothing; revocation and expiry are judged on each use.
A revocation elsewhere is seen at the latest when the entry's second is over (requirement APP2).
"""

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice
from typing import NamedTuple

from mailauth.effects.pools import outcome_of
from mailauth.effects.store import app_passwords
from mailauth.effects.store.database import Database
from mailauth.vocabulary.model import AccountName, AppPassword

LIFE_S = 0.9
"""Below the second that is promised: a look-up that began just before a revocation may take a while itself."""
MAX_ENTRIES = 20_000
SWEEP_FROM = 1024
"""From how many entries on those are dropped that are not fresh any more, so that they don't stay in memory."""
MAX_TOGETHER = 64
"""How many look-ups one hop to the database makes: at some 80 us each, none waits for long behind the others."""

_Key = tuple[AccountName, str]


class Cached(NamedTuple):
    """What a look-up found (None: there is no such app password), and until when that may be used."""

    value: AppPassword | None
    until: float


class AppPasswordCache:
    """Finds app passwords by account name and selector, from memory while that is fresh."""

    def __init__(self, database: Database, monotonic: Callable[[], float]) -> None:
        self._database = database
        self._monotonic = monotonic
        self._entries: dict[_Key, Cached] = {}
        self._sweep_at = SWEEP_FROM
        self._wanted: dict[_Key, asyncio.Future[AppPassword | None]] = {}
        self._reader: asyncio.Task[None] | None = None

    def get(self, name: AccountName, selector: str) -> Cached | None:
        """Return what is known and fresh, or None."""
        found = self._entries.get((name, selector))
        return None if found is None or self._monotonic() >= found.until else found

    async def load(self, name: AccountName, selector: str) -> AppPassword | None:
        """Ask the database, and remember the answer from the moment of asking.

        What is asked for while the database is busy with the look-ups before is looked up together afterwards:
        the way to a thread, a transaction and back takes three times as long as a look-up.
        """
        answer = self._wanted.get((name, selector))
        if answer is None:
            answer = self._wanted[name, selector] = asyncio.get_running_loop().create_future()
        if self._reader is None:
            self._reader = asyncio.create_task(self._read_all())
        return await outcome_of(answer)  # others may wait for it when this login's deadline is over

    async def _read_all(self) -> None:
        try:
            while self._wanted:
                keys = list(islice(self._wanted, MAX_TOGETHER))
                await self._answer({key: self._wanted.pop(key) for key in keys})
        finally:
            self._reader = None

    async def _answer(self, wanted: dict[_Key, asyncio.Future[AppPassword | None]]) -> None:
        asked_at = self._monotonic()
        try:
            found = await self._database.run_reading(lambda: self._read(wanted))
        except Exception as error:
            for answer in wanted.values():
                answer.set_exception(error)  # each login says by itself what that means
                answer.exception()  # and where none waits any more, there is nobody to say it
            return
        for (key, answer), value in zip(wanted.items(), found, strict=True):
            if len(self._entries) >= min(self._sweep_at, MAX_ENTRIES):
                self._sweep()
            self._entries[key] = Cached(value, asked_at + LIFE_S)
            answer.set_result(value)

    def _sweep(self) -> None:
        now = self._monotonic()
        self._entries = {key: cached for key, cached in self._entries.items() if now < cached.until}
        if len(self._entries) >= MAX_ENTRIES:
            self._entries.clear()  # guesses fill it with what does not exist; starting anew costs a look-up each
        self._sweep_at = max(SWEEP_FROM, 2 * len(self._entries))

    def _read(self, keys: Iterable[_Key]) -> list[AppPassword | None]:
        return self._database.read(
            lambda connection: [app_passwords.find(connection, name, selector) for name, selector in keys]
        )
