"""Does the time of a refusal tell why it was refused (requirement ENU2)? Run: python -m tests.bench.enumeration

Every class of refusal gets so many attempts, in turns, so that the machine's moods meet all classes alike. Each
class is compared with the first of its group by a Mann-Whitney U test; `wins` is the chance that an attempt of the
class took longer than one of the first: 0.50 tells nothing. Hashes are cheap here, so that what surrounds them
shows; real ones take 100 times longer and hide what is left.
"""

import argparse
import asyncio
import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from statistics import median

from mailauth.core import alphabet
from mailauth.vocabulary.model import AccountName, Attempt, Denied
from mailauth.vocabulary.secret import Secret
from tests.estates.places import fill, slapd, sqlite
from tests.estates.servers import Slapd
from tests.world import CUTOVER, World, enrol_account

WIDTH = 42
FLOOR_MS = 150


def mann_whitney(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Return how often a value of `one` is above one of `other`, and the two-sided p by the normal approximation."""
    ranked = sorted([(value, True) for value in one] + [(value, False) for value in other])
    rank_sum, start = 0.0, 0
    while start < len(ranked):
        end = start
        while end < len(ranked) and ranked[end][0] == ranked[start][0]:
            end += 1
        mean_rank = (start + 1 + end) / 2
        rank_sum += mean_rank * sum(is_one for _, is_one in ranked[start:end])
        start = end
    n, m = len(one), len(other)
    u = rank_sum - n * (n + 1) / 2
    z = (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    return u / (n * m), math.erfc(abs(z) / math.sqrt(2))


def classes(world: World) -> dict[str, dict[str, tuple[str, Callable[[int], str]]]]:
    """Return, by the shape of what is presented, every class of refusal: a name, and the n-th secret.

    What a guesser can see of the secret (its shape, whether it is the same again) is alike within a group.
    """
    alice = world.enrol("alice")
    world.add("bob")
    world.enrol("gone")
    world.installation.accounts.set_disabled("gone", disabled=True)
    world.installation.recovery_codes.issue("alice")
    world.installation.accounts.add_alias("alice", "sales")
    right, wrong = alice.password, "another horse"
    spent = alice.code(world.clock(), -1)  # by the enrolment

    def code(number: int) -> str:
        return f"{(int(spent) + 1 + number) % 10**6:06}"

    def recovery(number: int) -> str:
        return "zzzz-2222-" + "".join(alphabet.ALPHABET[number // 32**place % 32] for place in range(4)) + "-2222"

    names = {"unknown": "nobody", "disabled": "gone", "not enrolled": "bob", "enrolled": "alice", "alias": "sales"}
    return {
        "the same password again and again": {
            f"{state}, {kind} password": (name, lambda n, password=password: password)
            for state, name in names.items()
            for kind, password in (("wrong", wrong), ("right", right))
        },
        "always another code": {
            f"{state}, {kind} password": (name, lambda n, password=password: password + code(n))
            for state, name in names.items()
            for kind, password in (("wrong", wrong), ("right", right))
        },
        "the same spent code again and again": {
            "unknown": ("nobody", lambda n: right + spent),
            "enrolled, wrong password": ("alice", lambda n: wrong + spent),
            "enrolled, right password": ("alice", lambda n: right + spent),
        },
        "always another recovery code": {
            f"{state}, {kind} password": (name, lambda n, password=password: password + recovery(n))
            for state, name in names.items()
            for kind, password in (("wrong", wrong), ("right", right))
        },
    }


@contextmanager
def estate(directory: Path, kind: str) -> Iterator[World]:
    """Give a world whose people another system has, one of whom has logged in, and one has a second factor.

    With the floor that `config check` proposes for such: nothing else makes
    a question to another system, and none, alike.
    """
    server: Slapd | None = None
    if kind == "ldap":
        server = Slapd(directory)
        server.start()
        fill(server)
    place = sqlite(directory) if server is None else slapd(server)
    for name in ("alice", "bob", "carol"):
        place.put(f"{name}@hoster.example", "correct horse")
    place.put("gone@hoster.example", "correct horse", active=False)
    now = datetime.now(UTC)
    world = World(
        directory,
        f'sources=[{{name="estate",{place.section}}}]',
        f"server.refusal_floor_ms={FLOOR_MS}",
        "accounts.default_domain=hoster.example",
        "login_memory.life_s=600",
        now=now,
    )
    world.clock.now = CUTOVER - timedelta(days=1)
    with asyncio.Runner() as runner:
        for name in ("alice", "bob"):
            runner.run(world.login(name, "correct horse"))
    world.clock.now = now
    enrol_account(world.installation, AccountName("alice@hoster.example"), "correct horse")
    yield world
    world.close()
    if server is not None:
        server.stop()


def classes_of_estate() -> dict[str, dict[str, tuple[str, Callable[[int], str]]]]:
    """Return the classes of refusal of such a world; each with a wrong password, and always another one."""
    names = {
        "unknown": "nobody",
        "inactive there": "gone",
        "known there alone": "carol",
        "not enrolled": "bob",
        "enrolled": "alice",
    }
    return {
        "always another password": {state: (name, lambda n: f"guess number {n}") for state, name in names.items()},
        "always another code": {state: (name, lambda n: f"guess{n % 10**6:06}") for state, name in names.items()},
    }


async def measure(
    world: World, presented: dict[str, tuple[str, Callable[[int], str]]], attempts: int
) -> dict[str, list[float]]:
    """Return each class's times in microseconds."""
    verify = world.installation.verifier.verify
    times: dict[str, list[float]] = {name: [] for name in presented}
    order = list(presented.items())
    for number in range(-attempts // 20, attempts):  # the first ones warm up and are not counted
        random.shuffle(order)
        for label, (name, secret) in order:
            attempt = Attempt(name, Secret(secret(number + attempts).encode()), "imap", ip_address("192.0.2.7"))
            began = time.perf_counter()
            verdict = await verify(attempt)
            took = time.perf_counter() - began
            if not isinstance(verdict, Denied):
                raise TypeError(f"{label}: {verdict}")
            if number >= 0:
                times[label].append(took * 1e6)
            await asyncio.sleep(0.001)  # what is done after the reply is not to be counted to the next
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=2000, help="attempts a class (2000)")
    parser.add_argument("--estate", choices=("sql", "ldap"), help="where another system has the passwords")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        if options.estate:
            with estate(Path(directory), options.estate) as world:
                compare(world, classes_of_estate(), options.attempts)
            return
        world = World(Path(directory), "login_memory.life_s=600", now=datetime.now(UTC))
        compare(world, classes(world), options.attempts)
        world.close()


def compare(world: World, groups: dict[str, dict[str, tuple[str, Callable[[int], str]]]], attempts: int) -> None:
    """Measure each group, and print how its classes compare."""
    with asyncio.Runner() as runner:
        for group, presented in groups.items():
            times = runner.run(measure(world, presented, attempts))
            print(f"{group + ':':{WIDTH}}  median us     p90 us   wins        p   ({attempts} attempts each)")
            reference = next(iter(times.values()))
            for label, values in times.items():
                wins, p = mann_whitney(values, reference)
                ninth = sorted(values)[len(values) * 9 // 10]
                print(
                    f"  {label:{WIDTH - 2}}  {median(values):9.0f}  {ninth:9.0f}   {wins:.2f}  {p:7.1e}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
