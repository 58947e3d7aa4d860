"""Keeping a refusal back until its time tells nothing of what was computed for it. On the event loop.

`core.refusal_times` says when; here it is waited for. Grants are never kept back.
"""

import asyncio
from collections.abc import Callable, Sequence

from mailauth.core import limiter
from mailauth.core.reading import ByPassword
from mailauth.core.refusal_times import RefusalTimes
from mailauth.vocabulary.model import Denied, Network, Unavailable

LOOP_GRAIN_S = 0.0015
"""Within how much of a wish an event loop wakes: a millisecond (epoll_wait(2)), and what it does in between."""


class PacedRefusals:
    """Keeps refusals back. `trusted`: networks that speak for many people, where each name stands for itself."""

    def __init__(self, times: RefusalTimes, trusted: Sequence[Network], monotonic: Callable[[], float]) -> None:
        self._times = times
        self._trusted = trusted
        self._monotonic = monotonic

    async def keep_back(self, reading: ByPassword, refusal: Denied | Unavailable, received_at: float) -> None:
        """Return when a refusal may be told. `received_at`: by the monotonic clock."""
        if isinstance(refusal, Unavailable) and refusal.withheld is None:
            due = self._times.alone(received_at)  # nothing was found out
        else:
            due = self._times.next(received_at, self._keys(reading))
        await asyncio.sleep(max(0.0, due - self._monotonic() - LOOP_GRAIN_S))
        # To some microseconds: an event loop sleeps for whole milliseconds, and so keeps the rest of a time.
        while self._monotonic() < due:
            await asyncio.sleep(0)

    def _keys(self, reading: ByPassword) -> list[str]:
        keys = [f"name {reading.name}"]
        source = limiter.source_of(reading.attempt.client, self._trusted)
        if not source.is_trusted:
            keys.append(f"client {source.network}")
        return keys
