"""Password hashes: making and checking them, in a bounded pool of threads.

New hashes are argon2id (RFC 9106; t=2, m=19 MiB, p=1 as OWASP recommends), written with Dovecot's scheme
prefix, so that a table can be shared with Dovecot. A hash takes some 30 ms and 19 MiB, therefore there are as
many threads as cores and a cap on what may wait for them: a flood of guesses neither takes all memory nor
delays what needs no hash (requirement PW4).
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from mailauth.vocabulary.errors import HashUnreadable, Overloaded

T = TypeVar("T")

SCHEME: Final = "{ARGON2ID}"
MAX_WAITING = 512
"""How many checks may wait: at 30 ms each on two cores, the last of these waits about 8 s, just in time."""


class PasswordHasher:
    """Makes and checks password hashes of one configured strength."""

    def __init__(self, time_cost: int, memory_kib: int, parallelism: int) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism, type=argon2.Type.ID
        )
        self._dummy = self.hash(os.urandom(16))

    def hash(self, password: bytes) -> str:
        """Return a new salted hash, with its scheme."""
        return SCHEME + self._argon2.hash(password)

    def verify(self, stored: str | None, password: bytes) -> bool:
        """Tell whether a password is right; exactly one hash is computed, whatever the answer.

        None, for an account that is unknown or has no password, costs the same and is never right.
        Raises HashUnreadable for what this installation cannot check.
        """
        encoded = self._dummy if stored is None else stored
        if not encoded.startswith(SCHEME):
            raise HashUnreadable("a stored password hash is not of a scheme that is supported here: {ARGON2ID}")
        try:
            self._argon2.verify(encoded.removeprefix(SCHEME), password)
        except VerifyMismatchError:
            return False
        except (InvalidHashError, VerificationError, UnicodeEncodeError) as error:
            raise HashUnreadable("a stored password hash is damaged") from error
        return stored is not None


class HashPool:
    """Runs password checks beside the event loop, as many at once as there are cores."""

    def __init__(self, threads: int | None = None, max_waiting: int = MAX_WAITING) -> None:
        self._executor = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="hash")
        self._max_waiting = max_waiting
        self._waiting = 0

    async def run(self, job: Callable[[], T]) -> T:
        """Return what a job returns. Raises Overloaded at once where too many wait already."""
        if self._waiting >= self._max_waiting:
            raise Overloaded(f"{self._waiting} password checks are waiting")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, job)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let running checks end and forget those that wait."""
        self._executor.shutdown(wait=True, cancel_futures=True)
