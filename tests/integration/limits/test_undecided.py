"""What was never decided is no guess: outages and overload do not count against anybody (requirement LIM11)."""

import asyncio
import time

import pytest

from mailauth.core.password_chain import Unanswered
from mailauth.effects.store import factors
from mailauth.vocabulary.errors import HashUnreadable, MailauthError, Overloaded, SourceUnavailable, StoreUnavailable
from mailauth.vocabulary.model import Granted
from mailauth.vocabulary.reasons import WhyUnavailable
from tests.integration.limits.conftest import DEFAULTS, HOME, throttled
from tests.world import World, WorldMaker


@pytest.mark.parametrize("error", [Overloaded, SourceUnavailable, HashUnreadable])
async def test_login_that_could_not_be_decided_is_charged_nothing(
    limited: World, monkeypatch: pytest.MonkeyPatch, error: type[MailauthError]
) -> None:
    alice = limited.enrol("alice")

    async def fails(*_: object) -> Unanswered:
        return Unanswered("own", error("for a test"))

    with monkeypatch.context() as patch:
        patch.setattr(limited.own_table, "check", fails)
        for n in range(100):
            verdict = await limited.login("alice", f"{alice.password}{n:06}", client=HOME)
            assert not throttled(verdict), n
    assert await nothing_is_counted(limited)
    for n in range(20):
        assert not throttled(await limited.login("alice", f"guess{n}", client=HOME)), "the address is charged as usual"


async def test_login_whose_deadline_ended_it_in_the_queue_is_charged_nothing(make_world: WorldMaker) -> None:
    world = make_world(*DEFAULTS, "server.deadline_s=1")
    alice = world.enrol("alice")
    go_on = asyncio.Event()
    loop = asyncio.get_running_loop()
    pool = world.own_table.pool
    # All of its threads are busy for as long as this test wants.
    busy = [
        asyncio.create_task(pool.run(lambda: asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()))
        for _ in range(8)
    ]
    verdicts = await asyncio.gather(*(world.login("alice", f"old{n}", client=HOME) for n in range(80)))
    assert {verdict.reason for verdict in verdicts} <= {WhyUnavailable.DEADLINE, WhyUnavailable.THROTTLED}
    go_on.set()
    await asyncio.gather(*busy)
    assert await nothing_is_counted(world)
    right = alice.password + alice.code(world.clock())
    assert isinstance(await world.login("alice", right, client=HOME), Granted)


async def test_login_whose_deadline_ended_it_while_it_was_counted_is_charged_nothing(make_world: WorldMaker) -> None:
    """The database is locked for longer than a login may take."""
    world = make_world(*DEFAULTS, "server.deadline_s=1")
    world.enrol("alice")
    with world.installation.database._dialect.writing_turn():
        verdicts = await asyncio.gather(*(world.login("alice", f"guess{n}", client=HOME) for n in range(10)))
        assert {verdict.reason for verdict in verdicts} == {WhyUnavailable.DEADLINE}
    assert await nothing_is_counted(world)


async def test_right_login_that_could_not_be_written_is_charged_nothing(
    limited: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full for what has to last; else the owner's codes would be used up when it is mended."""
    alice = limited.enrol("alice")

    def fails(*_: object) -> bool:
        raise StoreUnavailable("for a test")

    with monkeypatch.context() as patch:
        patch.setattr(factors, "spend_step", fails)
        for _ in range(55):
            limited.clock.advance(seconds=30)
            right = alice.password + alice.code(limited.clock())
            assert (await limited.login("alice", right, client=HOME)).reason is WhyUnavailable.STORE_UNAVAILABLE
    assert await nothing_is_counted(limited)


async def nothing_is_counted(world: World) -> bool:
    """Wait until the database's threads have given back what nobody waits for."""
    ends_at = time.monotonic() + 20
    while time.monotonic() < ends_at:
        if world.installation.limits.tats("alice") == ():
            return True
        await world.installation.database.run(lambda: None)
    return False
