"""F4: what nobody waits for any more neither runs nor piles up."""

import asyncio
import gc
import logging
import threading
from collections.abc import Callable

import pytest

from mailauth.effects.pools import BoundedPool
from mailauth.vocabulary.errors import Overloaded, StoreUnavailable


async def test_abandoned_job_is_not_begun_and_counts_until_a_thread_sees_it() -> None:
    pool = BoundedPool(1, 2, "jobs")
    gate, begun = threading.Event(), []
    first = asyncio.ensure_future(pool.run(gate.wait))
    second = asyncio.ensure_future(pool.run(lambda: begun.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    with pytest.raises(Overloaded, match="2 jobs"):
        await pool.run(lambda: None)
    gate.set()
    assert await first
    pool.close(finish=True)
    assert begun == []


async def test_running_job_runs_on_when_its_waiter_is_gone() -> None:
    pool = BoundedPool(1, 2, "jobs")
    gate, begun, done = threading.Event(), threading.Event(), []

    def job() -> None:
        begun.set()
        gate.wait()
        done.append(True)

    waiting = asyncio.ensure_future(pool.run(job))
    await asyncio.to_thread(begun.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    pool.close(finish=True)
    assert done == [True]


async def test_deferred_jobs_are_bounded_and_finished_before_the_end() -> None:
    pool = BoundedPool(1, 2, "jobs")
    gate, done = threading.Event(), []
    pool.later(gate.wait)
    pool.later(lambda: done.append(True))
    with pytest.raises(Overloaded):
        pool.later(lambda: None)
    gate.set()
    pool.close(finish=True)
    assert done == [True]


async def abandon(pool: BoundedPool, *jobs: Callable[[], object]) -> None:
    """Wait for jobs until all have a deadline that has passed; let the loop hear of their ends."""
    waiting = [asyncio.ensure_future(pool.run(job)) for job in jobs]
    await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    assert await asyncio.gather(*waiting, return_exceptions=True)


async def hear_the_end(pool: BoundedPool) -> None:
    await pool.run(lambda: None)  # behind all others
    await asyncio.sleep(0)
    gc.collect()


async def test_job_that_is_dropped_in_the_queue_logs_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """Its waiter has said already what a passed deadline means."""
    pool = BoundedPool(1, 9, "jobs")
    gate = threading.Event()
    await abandon(pool, gate.wait, *[lambda: None] * 3)
    gate.set()
    await hear_the_end(pool)
    pool.close(finish=True)
    assert caplog.records == []


async def test_job_that_fails_when_its_waiter_is_gone_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    pool = BoundedPool(1, 9, "jobs")
    gate = threading.Event()

    def fail(error: Exception) -> None:
        gate.wait()
        raise error

    for error in (StoreUnavailable("the disk is full"), ZeroDivisionError("unforeseen")):
        gate.clear()
        begun = threading.Event()
        await abandon_once_begun(pool, begun, lambda begun=begun, error=error: (begun.set(), fail(error)))
        gate.set()
        await hear_the_end(pool)
    pool.close(finish=True)
    foreseen, unforeseen = caplog.records
    assert (foreseen.levelno, foreseen.exc_info) == (logging.WARNING, None)
    assert "the disk is full" in foreseen.getMessage()
    assert unforeseen.levelno == logging.ERROR
    assert unforeseen.exc_info is not None


async def abandon_once_begun(pool: BoundedPool, begun: threading.Event, job: Callable[[], object]) -> None:
    waiting = asyncio.ensure_future(pool.run(job))
    await asyncio.to_thread(begun.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
