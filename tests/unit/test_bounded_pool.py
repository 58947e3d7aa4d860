"""F4: what nobody waits for any more neither runs nor piles up."""

import asyncio
import threading

import pytest

from mailauth.effects.pools import BoundedPool
from mailauth.vocabulary.errors import Overloaded


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
