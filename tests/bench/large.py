"""Whether a big site is as quick as a small one: median time of a login with 1,000,000 accounts against 1,000.

Each login is one of an account that has not logged in before, so that nothing is answered from memory; the two
servers take turns, one login at a time.
"""

import statistics
from dataclasses import dataclass
from pathlib import Path

from tests.bench import population, servers
from tests.bench.driver import Driver
from tests.bench.population import Population
from tests.bench.progress import say
from tests.bench.servers import Server

MANY = 1_000_000
FEW = 1_000
ROUNDS = 5
APP_PASSWORDS = 180
CODES = 20
"""How many logins of each kind a round takes: all rounds together have to do with FEW accounts."""


@dataclass(frozen=True)
class Large:
    """Ratios of median times, many accounts to few."""

    many: int
    few: int
    app_password: float
    code: float
    p50_ms: dict[str, tuple[float, float]]


def run(directory: Path, driver: Driver) -> Large:
    """Make both installations and compare them."""
    say(f"making {MANY:,} accounts: a minute or two")
    many = population.make(directory / "many", MANY, FEW)
    few = population.make(directory / "few", FEW, FEW)
    times: dict[str, tuple[list[float], list[float]]] = {"app_password": ([], []), "code": ([], [])}
    with servers.mailauth(many.config, many.socket) as first, servers.mailauth(few.config, few.socket) as second:
        for number in range(ROUNDS):
            for side, (people, server) in enumerate(((many, first), (few, second))):
                times["app_password"][side].append(_app_passwords(driver, server, people, number))
                times["code"][side].append(_codes(driver, server, people, number))
    p50_ms = {kind: (statistics.median(a) / 1e3, statistics.median(b) / 1e3) for kind, (a, b) in times.items()}
    return Large(
        MANY,
        FEW,
        p50_ms["app_password"][0] / p50_ms["app_password"][1],
        p50_ms["code"][0] / p50_ms["code"][1],
        p50_ms,
    )


def _app_passwords(driver: Driver, server: Server, people: Population, number: int) -> float:
    chosen = people.people[number * APP_PASSWORDS : (number + 1) * APP_PASSWORDS]
    return _p50_us(driver, server, people, [person.with_app_password() for person in chosen])


def _codes(driver: Driver, server: Server, people: Population, number: int) -> float:
    step = population.current_step()
    chosen = people.people[number * CODES : (number + 1) * CODES]
    return _p50_us(driver, server, people, [person.with_code(step) for person in chosen])


def _p50_us(driver: Driver, server: Server, people: Population, requests: list[str]) -> float:
    path = population.write_requests(people.directory / "requests", requests)
    sample = driver.run(server, path, 1, seconds=60, warm_up_s=0, once=True)
    if sample.granted != len(requests):
        raise servers.CannotMeasure(f"only {sample.granted} of {len(requests)} logins succeeded")
    return sample.p50_us
