"""Workers as processes: two at once, and one that is killed right after the server has taken a mail."""

import asyncio
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from mailauth.vocabulary.notices import NoticeKind
from tests.integration.mails.conftest import Outbox
from tests.integration.mails.servers import Taken, smtp_server
from tests.world import World, WorldMaker

DEADLINE_S = 60.0


@asynccontextmanager
async def worker(world: World) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `mailauth serve worker`, as an administrator would."""
    words = ("-m", "mailauth", "--config", str(world.config_path), "serve", "worker")
    with (world.directory / "worker.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(sys.executable, *words, stderr=log)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        await asyncio.wait_for(process.wait(), DEADLINE_S)


async def until(condition: Callable[[], bool], world: World) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, (world.directory / "worker.log").read_text()
        await asyncio.sleep(0.05)


def box_that_mails_to(make_world: WorldMaker, port: int) -> Outbox:
    return Outbox(make_world(f"mail.port={port}", now=datetime.now(UTC)))


async def test_worker_killed_right_after_the_yes_sends_the_same_mail_again(make_world: WorldMaker) -> None:
    """MAIL1, F10: killed between the server's 250 and its own note of it; nothing is lost, and receivers can tell."""
    server = Taken()
    async with smtp_server(server):
        box = box_that_mails_to(make_world, server.port)
        box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
        async with worker(box.world) as first:

            async def stop_the_worker() -> None:
                # It never reads the answer that the server is about to give.
                os.kill(first.pid, signal.SIGSTOP)
                server.before_the_end = None

            server.before_the_end = stop_the_worker
            await until(lambda: len(server.envelopes) == 1 and server.before_the_end is None, box.world)
            first.kill()
            assert await first.wait() == -signal.SIGKILL
        (row,) = box.rows()
        assert (row.state, row.tries) == ("waiting", 1)
        assert row.content is not None
        lease_later(box.world)
        async with worker(box.world):
            await until(lambda: box.rows()[0].state == "accepted", box.world)
    assert server.ids() == [row.message_id, row.message_id]
    assert box.rows()[0].content is None


async def test_two_workers_at_once_send_each_mail_once(make_world: WorldMaker) -> None:
    server = Taken()
    async with smtp_server(server):
        box = box_that_mails_to(make_world, server.port)
        for _ in range(100):
            box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
        async with worker(box.world), worker(box.world):
            await until(lambda: all(row.state == "accepted" for row in box.rows()), box.world)
    assert sorted(server.ids()) == sorted(row.message_id for row in box.rows())


async def test_worker_delivers_what_is_queued_while_it_runs_and_ends_when_it_is_asked_to(
    make_world: WorldMaker,
) -> None:
    server = Taken()
    async with smtp_server(server):
        box = box_that_mails_to(make_world, server.port)
        async with worker(box.world) as process:
            await until(lambda: "delivering mails" in (box.world.directory / "worker.log").read_text(), box.world)
            for count in (1, 2):
                box.tell(NoticeKind.RECOVERY_CODES, codes=["k7qm-2xvp-9hfd-c3wn"], first=True)
                await until(lambda: len(server.envelopes) == count, box.world)  # noqa: B023
            process.terminate()
            assert await asyncio.wait_for(process.wait(), DEADLINE_S) == 0
    log = (box.world.directory / "worker.log").read_text()
    for row in box.rows():
        assert row.message_id in log
    assert "recovery-codes" in log
    assert "k7qm" not in log


def lease_later(world: World) -> None:
    """Let the leases run out."""
    database = sqlite3.connect(world.directory / "mailauth.db")
    with database:
        database.execute("UPDATE outbox SET leased_until = leased_until - 900")
    database.close()
