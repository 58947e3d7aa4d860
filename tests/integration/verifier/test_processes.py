"""Several processes on one SQLite file: one code is accepted once, however many ask at once (CON1, F1)."""

import asyncio
import multiprocessing
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from multiprocessing.synchronize import Barrier as BarrierType
from pathlib import Path

from mailauth import wiring
from mailauth.effects.configuration import loading
from mailauth.vocabulary.model import Attempt, Granted, Unavailable
from mailauth.vocabulary.secret import Secret
from tests.rounds import rounds
from tests.world import FakeClock, World, WorldMaker

PROCESSES = 8
AT_ONCE = 4
PATIENCE_S = 60


def hammer(
    config: Path, start: BarrierType, rounds: Sequence[tuple[datetime, str, bytes]], number: int
) -> list[tuple[int, int]]:
    """Try each round's secret several times at once, in step with the other processes; return grants and failures."""
    clock = FakeClock(datetime(2025, 6, 1, tzinfo=UTC))
    installation = wiring.build(loading.load(config), clock)

    async def once(name: str, secret: bytes, client: int) -> object:
        return await installation.verifier.verify(
            Attempt(name, Secret(secret), "imap", ip_address(f"192.0.2.{client}"))
        )

    async def one_round(name: str, secret: bytes) -> tuple[int, int]:
        verdicts = await asyncio.gather(*(once(name, secret, number * AT_ONCE + each) for each in range(AT_ONCE)))
        return (
            sum(isinstance(verdict, Granted) for verdict in verdicts),
            sum(isinstance(verdict, Unavailable) for verdict in verdicts),
        )

    counts = []
    with asyncio.Runner() as runner:
        for now, name, secret in rounds:
            clock.now = now
            start.wait(PATIENCE_S)
            counts.append(runner.run(one_round(name, secret)))
    installation.close()
    return counts


def child(config, start, rounds, number, results) -> None:  # type: ignore[no-untyped-def]
    try:
        results.put((number, hammer(config, start, rounds, number)))
    except BaseException as error:
        results.put((number, repr(error)))
        raise


def grants_by_round(world: World, rounds: Sequence[tuple[datetime, str, bytes]]) -> list[int]:
    """Run all processes over all rounds and return how many were granted in each."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(PROCESSES)
    results = context.Queue()
    processes = [
        context.Process(target=child, args=(world.config_path, start, rounds, number, results), daemon=True)
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    counts = [results.get(timeout=PATIENCE_S) for _ in processes]
    for process in processes:
        process.join(PATIENCE_S)
    results.close()
    for _, found in counts:
        assert isinstance(found, list), found
    assert sum(failed for _, found in counts for _, failed in found) == 0, "the lock was not waited for"
    return [sum(found[number][0] for _, found in counts) for number in range(len(rounds))]


def test_one_step_and_one_recovery_code_are_granted_once_among_eight_processes(make_world: WorldMaker) -> None:
    # REC2
    for _ in rounds(1):
        assert_granted_once_each(make_world())


def assert_granted_once_each(world: World) -> None:
    alice = world.enrol("alice")
    logins = []
    for _ in range(25):
        world.clock.advance(seconds=30)
        secret = alice.password + alice.code(world.clock())
        logins.append((world.clock(), alice.name, secret.encode()))
    for name in ("bob", "carol"):
        person = world.enrol(name)
        codes = world.installation.recovery_codes.issue(name)[1]
        logins += [(world.clock(), person.name, (person.password + code).encode()) for code in codes]
    assert grants_by_round(world, logins) == [1] * len(logins)
