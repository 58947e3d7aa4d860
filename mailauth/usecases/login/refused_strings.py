"""Strings that were refused, as keyed digests: to tell a stale device from a guesser.

A digest covers the account, its epoch, the client's network, what was asked for and the whole string, so that it says
nothing to whoever reads the memory, means nothing once the account has changed, and tells nobody in another network
what this one sends. Bounded, in this process only: what is forgotten counts as a guess once more, no worse.
"""

import threading
from collections import OrderedDict
from datetime import datetime, timedelta

KEPT = timedelta(days=7)
"""From the last time on: a device that is switched on once a week is still the same device."""
MAX_ENTRIES = 50_000


class RefusedStrings:
    """A bounded set of digests; those seen least recently go first. Used from several threads."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, datetime] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, digest: bytes, now: datetime) -> None:
        """Remember a string that was refused."""
        with self._lock:
            self._entries[digest] = now + KEPT
            self._entries.move_to_end(digest)
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def has(self, digest: bytes, now: datetime) -> bool:
        """Tell whether a string was refused before. Being asked keeps it for as long again."""
        with self._lock:
            until = self._entries.get(digest)
            if until is None or now >= until:
                self._entries.pop(digest, None)
                return False
            self._entries[digest] = max(until, now + KEPT)
            self._entries.move_to_end(digest)
            return True
