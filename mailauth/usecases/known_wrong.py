"""Secrets that are known to be wrong, as keyed digests: to tell a stale device from a guesser.

A digest covers the account, its epoch and the whole secret, so that it says nothing to who reads the memory,
and means nothing any more once the password has changed. Bounded, in this process only: what is forgotten
counts as a guess once more, no worse.
"""

import threading
from collections import OrderedDict
from datetime import datetime, timedelta

KEPT = timedelta(days=1)
MAX_ENTRIES = 50_000


class KnownWrong:
    """A bounded set of digests; those seen least recently go first. Used from several threads."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[bytes, datetime] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, digest: bytes, now: datetime) -> None:
        """Remember a secret that turned out wrong."""
        with self._lock:
            self._entries[digest] = now + KEPT
            self._entries.move_to_end(digest)
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def has(self, digest: bytes, now: datetime) -> bool:
        """Tell whether a secret turned out wrong not long ago."""
        with self._lock:
            until = self._entries.get(digest)
            if until is None or now >= until:
                self._entries.pop(digest, None)
                return False
            self._entries.move_to_end(digest)
            return True
