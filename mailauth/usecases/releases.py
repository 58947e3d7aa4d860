"""Codes that may be given back: spent for a login whose password somebody else checks, who may find it wrong.

A code is spent before anybody is told that it was right. Where PAM modules behind ours then refuse the password,
our module says so under the token that it got along with the grant, and the code is unspent again; whatever is
lost on the way leaves it spent. In this process only, bounded, for a minute.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from mailauth.core.engine import Effect
from mailauth.core.limiter import Bucket
from mailauth.vocabulary.model import AccountName

LIFE = timedelta(seconds=60)
"""More than any application lets its user wait for the modules behind ours."""
MAX_ENTRIES = 10_000
TOKEN_BYTES = 16


class Release(NamedTuple):
    """What giving back undoes: what was spent and when, what was remembered, the network that became familiar.

    `drawn` is what a wrong password costs: it was given back with the grant, and is drawn again.
    """

    account: AccountName
    account_id: int
    effect: Effect
    spent_at: datetime
    drawn: tuple[Bucket, ...]
    memory_digest: bytes
    familiar_network: str | None


class Releases:
    """Tokens and what they give back. Each serves once. Used from several threads."""

    def __init__(self, draw: Callable[[int], bytes], max_entries: int = MAX_ENTRIES) -> None:
        self._draw = draw
        self._max_entries = max_entries
        self._entries: OrderedDict[str, Release] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self, release: Release) -> str:
        """Return a new token; the oldest goes beyond the cap."""
        token = self._draw(TOKEN_BYTES).hex()
        with self._lock:
            self._entries[token] = release
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
        return token

    def take(self, token: str, now: datetime) -> Release | None:
        """Return what a token gives back, once; None for one that was used, is too old, or never was."""
        with self._lock:
            found = self._entries.pop(token, None)
        if found is None or not timedelta(0) <= now - found.spent_at < LIFE:
            return None
        return found
