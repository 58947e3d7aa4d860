"""PW4: password checks wait in a bounded queue."""

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from mailauth.effects.passwords import NICER_BY, HashPool
from mailauth.vocabulary.errors import Overloaded

PATIENCE_S = 30
"""A pool that is broken shall fail these tests, not hang them."""


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


async def test_job_is_run_beside_the_event_loop() -> None:
    pool = HashPool(threads=1)
    assert await pool.run(threading.get_ident) != threading.get_ident()
    pool.close()


async def test_too_many_waiting_jobs_are_refused_at_once(gate: threading.Event) -> None:
    pool = HashPool(threads=1, max_waiting=3)
    running = [asyncio.ensure_future(pool.run(lambda: gate.wait(PATIENCE_S))) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="3 password checks"):
        await pool.run(lambda: gate.wait(PATIENCE_S))
    gate.set()
    assert await asyncio.gather(*running) == [True] * 3
    assert await pool.run(gate.is_set)
    pool.close()


async def test_failed_job_frees_its_place() -> None:
    pool = HashPool(threads=1, max_waiting=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 / 0)
    assert await pool.run(lambda: 7) == 7
    pool.close()


async def test_no_more_jobs_run_at_once_than_there_are_threads(gate: threading.Event) -> None:
    pool = HashPool(threads=2)
    started = threading.Semaphore(0)

    def job() -> bool:
        started.release()
        return gate.wait(PATIENCE_S)

    running = [asyncio.ensure_future(pool.run(job)) for _ in range(5)]
    await asyncio.to_thread(lambda: [started.acquire(timeout=10) for _ in range(2)])
    assert not started.acquire(blocking=False)
    gate.set()
    await asyncio.gather(*running)
    pool.close()


async def test_closing_forgets_what_waits(gate: threading.Event) -> None:
    pool = HashPool(threads=1)
    first = asyncio.ensure_future(pool.run(lambda: gate.wait(PATIENCE_S)))
    second = asyncio.ensure_future(pool.run(lambda: gate.wait(PATIENCE_S)))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(asyncio.to_thread(pool.close))
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(asyncio.CancelledError):
            await second
        gate.set()
        assert await first
        await closing


async def test_the_portal_does_not_wait_behind_mail_programs(gate: threading.Event) -> None:
    pool = HashPool(threads=2)
    running = [asyncio.ensure_future(pool.lane("imap").run(lambda: gate.wait(PATIENCE_S))) for _ in range(40)]
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        assert await pool.lane("portal").run(lambda: not gate.is_set())
    gate.set()
    assert await asyncio.gather(*running) == [True] * 40
    pool.close()


async def test_checks_for_mail_programs_give_way_to_all_else() -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    pool = HashPool(threads=1)
    assert await pool.lane("imap").run(priority) == priority() + NICER_BY
    assert await pool.lane("portal").run(priority) == priority()
    pool.close()
