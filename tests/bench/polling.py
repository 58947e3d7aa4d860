"""Do logins by password alone stay quick when everybody's clients poll, before anybody has enrolled?

Run: python -m tests.bench.polling

So many people, with two clients each on networks of their own, in a panel's tables with bcrypt of cost 10: each client
logs in every ten minutes. Once each has been let in, one login in 24 costs a hash (`granted_passwords`: four hours to
ten minutes). That state is made without computing the hashes; then logins arrive at their pace, whether or not those
before are answered, and one in 24 comes from where nothing is remembered. The mark: p99 under a second.

`--on-the-day`: from the date's second on, when each of these logins is refused and costs a hash, and people set
themselves up meanwhile: how long their logins to the portal take. The mark: p99 under two seconds.
"""

import argparse
import asyncio
import logging
import sqlite3
import tempfile
import time
from collections import Counter
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from mailauth.effects import password_schemes
from mailauth.vocabulary.model import Attempt, Granted, Verdict
from mailauth.vocabulary.secret import Secret
from tests.estates.panels import Postfixadmin
from tests.world import CUTOVER, World

PASSWORD = "correct horse"
SETTING = b"$2y$10$abcdefghijklmnopqrstuu"
"""Of bcrypt: cost 10."""
POLL_S = 600
PORTAL_LOGINS_A_SECOND = 2
HASHED_EVERY = 24


def attempt(number: int, network: int) -> Attempt:
    """Return a login of somebody, from one of their networks."""
    client = ip_address(f"10.{network}.{number // 250 % 250}.{number % 250 + 1}")
    return Attempt(f"user{number}@hoster.example", Secret(PASSWORD.encode()), "imap", client)


def estate(directory: Path, people: int) -> World:
    """Return a world in front of a panel's tables."""
    with sqlite3.connect(directory / "panel.sqlite") as tables:
        for statement in Postfixadmin().tables("sqlite"):
            tables.execute(statement)
        tables.execute("INSERT INTO domain (domain) VALUES ('hoster.example')")
        stored = (password_schemes._crypt_rn(PASSWORD.encode(), SETTING) or b"").decode()
        rows = ((f"user{n}@hoster.example", stored, f"user{n}", f"2020-01-01 {n}") for n in range(people))
        columns = "username, password, local_part, created, domain"
        tables.executemany(f"INSERT INTO mailbox ({columns}) VALUES (?, ?, ?, ?, 'hoster.example')", rows)
    tables.close()
    section = f'kind="sql",preset="postfixadmin",url="sqlite:///{directory}/panel.sqlite"'
    return World(directory, f"sources=[{{{section}}}]", now=CUTOVER - timedelta(days=30))


async def measure(world: World, people: int, rate: float, seconds: float) -> list[float]:
    """Return how long each login took, in seconds."""
    verify = world.installation.verifier.verify
    source = world.installation.passwords.sources[0]
    hasher = source._hashes.hasher  # type: ignore[attr-defined]
    compute = hasher.verify
    hasher.verify = lambda *_: True
    for number in range(people):
        assert isinstance(await verify(attempt(number, 1)), Granted)
    hasher.verify = compute
    took: list[float] = []

    async def login(number: int) -> None:
        is_hashed = number % HASHED_EVERY == 0
        began = time.perf_counter()
        verdict: Verdict = await verify(attempt(number % people, 2 if is_hashed else 1))
        assert isinstance(verdict, Granted), verdict
        took.append(time.perf_counter() - began)

    running = []
    begun_at = time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begun_at + number / rate - time.perf_counter()))
        running.append(asyncio.create_task(login(number)))
    await asyncio.gather(*running)
    return took


async def measure_portal(world: World, people: int, rate: float, seconds: float) -> list[float]:
    """Return how long each login to the portal took, in seconds, while mail programs are refused at a rate."""
    verify = world.installation.verifier.verify
    running, took = [], []
    begun_at = time.perf_counter()

    async def come_in(number: int) -> None:
        began = time.perf_counter()
        verdict = await verify(attempt(number, 3)._replace(service="portal"))
        assert isinstance(verdict, Granted), verdict
        took.append(time.perf_counter() - began)

    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begun_at + number / rate - time.perf_counter()))
        running.append(asyncio.create_task(verify(attempt(number % people, 1))))
        if number % int(rate / PORTAL_LOGINS_A_SECOND) == 0:
            running.append(asyncio.create_task(come_in(number % people)))  # type: ignore[arg-type]
    verdicts = Counter(str(verdict.reason) for verdict in await asyncio.gather(*running) if verdict is not None)
    print("mail programs:", ", ".join(f"{count} {reason}" for reason, count in verdicts.most_common()))
    return took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=40_000, help="how many (40,000)")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long logins arrive (30)")
    parser.add_argument("--on-the-day", action="store_true", help="measure the portal while all others are refused")
    parser.add_argument("--rate", type=float, help="logins a second, where that is not what follows from the people")
    options = parser.parse_args()
    rate = options.rate or 2 * options.people / POLL_S
    with tempfile.TemporaryDirectory() as directory:
        world = estate(Path(directory), options.people)
        if options.on_the_day:
            world.clock.now = CUTOVER
            logging.disable()  # each mail program that is refused or told to wait
            took = sorted(asyncio.run(measure_portal(world, options.people, rate, options.seconds)))
            world.close()
            p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
            print(f"{len(took)} logins to the portal beside {rate:.0f} a second that are refused")
            print(f"median {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms (mark: 2000 ms)")
            return
        took = sorted(asyncio.run(measure(world, options.people, rate, options.seconds)))
        world.close()
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    print(f"{options.people} people, {rate:.0f} logins a second, one in {HASHED_EVERY} hashed: {len(took)} logins")
    print(f"median {p50 * 1000:.1f} ms, p99 {p99 * 1000:.0f} ms (mark: 1000 ms), longest {took[-1] * 1000:.0f} ms")


if __name__ == "__main__":
    main()
