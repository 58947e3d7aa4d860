"""Threads beside the event loop, with a cap on what may wait for them.

What nobody waits for any more, because its deadline has passed, is not begun; until a thread comes by to see that,
it counts as waiting. So a database or a directory that hangs cannot fill the memory with abandoned logins.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from mailauth.vocabulary.errors import MailauthError, Overloaded

log = logging.getLogger(__name__)

T = TypeVar("T")

NOT_BEGUN = ("not begun",)
"""What the CancelledError carries of a job that no thread had begun."""


async def outcome_of(future: asyncio.Future[T]) -> T:
    """Return what a future comes to. Unlike `await future`, being cancelled meanwhile leaves it alone.

    Unlike `asyncio.shield`, it logs nothing of a future that fails when nobody waits for it any more.
    """
    await asyncio.wait((future,))
    return future.result()


def _be_nicer(by: int) -> None:
    """Give way to others. On Linux that is a thread's own (setpriority(2)), and may always be done."""
    if by:
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + by)


class BoundedPool:
    """A few threads, and at most `max_waiting` jobs that wait or run; `jobs` says what they are, in words.

    `nicer_by`: how much less of a busy processor they take than the rest of the process (nice(1)).
    """

    def __init__(self, threads: int, max_waiting: int, jobs: str, *, nicer_by: int = 0) -> None:
        self._executor = ThreadPoolExecutor(
            threads, thread_name_prefix=jobs.replace(" ", "-"), initializer=_be_nicer, initargs=(nicer_by,)
        )
        self._max_waiting = max_waiting
        self._jobs = jobs
        self._waiting = 0
        self._lock = threading.Lock()

    async def run(self, job: Callable[[], T]) -> T:
        """Return what a job returns that one of the threads ran. Raises Overloaded at once.

        Cancelled while the job waits, it is not begun, and the CancelledError says so (`NOT_BEGUN`); while it runs, it
        runs on, and what it does is done.
        """
        is_wanted, is_begun = [True], threading.Event()
        self._count()

        def guarded() -> T:
            try:
                if not is_wanted:
                    raise asyncio.CancelledError
                is_begun.set()
                return job()
            finally:
                self._uncount()

        future = asyncio.wrap_future(self._executor.submit(guarded))
        try:
            return await outcome_of(future)
        except asyncio.CancelledError:
            is_wanted.clear()
            future.add_done_callback(self._ended_unheard)
            if is_begun.is_set():
                raise
            raise asyncio.CancelledError(*NOT_BEGUN) from None

    def _ended_unheard(self, future: asyncio.Future[Any]) -> None:
        """Say how a job failed whose waiter is gone. That it was not begun is no news: the waiter has said why."""
        error = None if future.cancelled() else future.exception()
        if isinstance(error, MailauthError):
            log.warning("failed when nobody waited for it any more (%s): %s", self._jobs, error)
        elif isinstance(error, Exception):
            log.error("failed when nobody waited for it any more (%s)", self._jobs, exc_info=error)

    def later(self, job: Callable[[], object]) -> None:
        """Have a job done that nobody waits for. Raises Overloaded."""
        self._count()

        def counted() -> None:
            try:
                job()
            finally:
                self._uncount()

        self._executor.submit(counted)

    def close(self, *, finish: bool = False) -> None:
        """Let running jobs end, and those that wait as well if `finish`, else forget them."""
        self._executor.shutdown(wait=True, cancel_futures=not finish)

    def _count(self) -> None:
        with self._lock:
            if self._waiting >= self._max_waiting:
                raise Overloaded(f"{self._waiting} {self._jobs} are waiting")
            self._waiting += 1

    def _uncount(self) -> None:
        with self._lock:
            self._waiting -= 1
