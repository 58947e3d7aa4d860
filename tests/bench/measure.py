"""What is measured, in which order: every row at 1, 10 and 50 logins at a time, three rounds, rows in turn.

Rows take turns within a round, so that what else the machine does in a minute moves all of them alike. Starts the
servers, times, stops them; says nothing about what the figures mean (report.py does).
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from mailauth.core import otp
from tests.bench import large, population, servers
from tests.bench.driver import Driver, Sample
from tests.bench.large import Large
from tests.bench.population import Person, Population
from tests.bench.progress import say
from tests.bench.servers import CannotMeasure, Server

AT_A_TIME = (1, 10, 50)
LOOPS = ("asyncio", "uvloop")
ROUNDS = 3
ACCOUNTS = 10_000
REGULARS = 100
"""How many accounts log in again and again in the rows that measure the path through memory."""
WARM_UP = 0
"""Where a row keeps the round that is not counted."""
LOGINS_EACH = 200
"""How many different logins of each of those the driver goes round: their ports and sessions differ."""

Round = Callable[[int], Sample]
"""Measures one round at so many at a time."""


@dataclass(frozen=True)
class Plan:
    """How long a round lasts: fast servers, slow ones (so that there is something to count)."""

    fast_s: float = 1.1
    slow_s: float = 2.6
    rounds: int = ROUNDS
    accounts: int = ACCOUNTS


QUICK = Plan(fast_s=0.4, slow_s=1.2, rounds=1, accounts=3_000)


@dataclass
class Row:
    """One line of the table; `samples` by how many at a time. Without a round, `missing` says why."""

    key: str
    title: str
    round: Round | None
    asks_mailauth: bool = False
    needs_warm_up: bool = False
    missing: str = ""
    samples: dict[int, list[Sample]] = field(default_factory=dict)

    def median(self, at_a_time: int) -> Sample | None:
        """Return the round of the median rate."""
        found = sorted(self.samples.get(at_a_time, []), key=lambda sample: sample.rate)
        return found[len(found) // 2] if found else None

    def errors(self) -> int:
        """Return what did not succeed, in all rounds: refused and unanswered."""
        return sum(sample.denied + sample.errors for found in self.samples.values() for sample in found)


@dataclass(frozen=True)
class Outcome:
    """All that one run found. Memory of mailauth in MB, before the first login and after the last."""

    rows: list[Row]
    memory_before_mb: float
    memory_after_mb: float
    log_lines: int
    logins: int
    large: Large | None = None


def run(directory: Path, plan: Plan, only: list[str] | None = None, *, is_large: bool = False) -> Outcome:
    """Measure every row, or only those of some keys."""
    driver = Driver(directory)
    say(f"making {plan.accounts} accounts")
    people = population.make(directory / "mailauth", plan.accounts, plan.accounts)
    with ExitStack() as running:
        say("starting servers")
        ours = running.enter_context(servers.mailauth(people.config, people.socket))
        memory_before_mb = ours.memory_mb()
        rows = [row for row in _rows(directory, plan, driver, people, ours, running) if not only or row.key in only]
        measured = [row for row in rows if row.round is not None]
        for row in rows:
            if row.round is None:
                say(f"left out: {row.title}: {row.missing}")
        say("warming up")
        for row in measured:
            if row.round is not None and row.needs_warm_up:
                row.samples[WARM_UP] = [row.round(max(AT_A_TIME))]
        for number in range(plan.rounds):
            for at_a_time in AT_A_TIME:
                say(f"round {number + 1} of {plan.rounds}, {at_a_time} at a time")
                for row in measured:
                    assert row.round is not None
                    row.samples.setdefault(at_a_time, []).append(row.round(at_a_time))
        memory_after_mb = ours.memory_mb()
    with ours.log.open("rb") as log:
        log_lines = sum(b" login " in line for line in log)
    logins = sum(s.answered for row in rows if row.asks_mailauth for found in row.samples.values() for s in found)
    compared = large.run(directory, driver) if is_large else None
    return Outcome(rows, memory_before_mb, memory_after_mb, log_lines, logins, compared)


def _rows(
    directory: Path, plan: Plan, driver: Driver, people: Population, ours: Server, running: ExitStack
) -> Iterator[Row]:
    regulars = population.write_requests(
        directory / "regulars",
        (person.with_app_password() for _ in range(LOGINS_EACH) for person in people.people[:REGULARS]),
    )
    everybody = population.write_requests(
        directory / "everybody", (person.with_app_password() for person in people.people)
    )

    def fast(server: Server) -> Round:
        return lambda at_a_time: driver.run(server, regulars, at_a_time, seconds=plan.fast_s)

    def slow(server: Server) -> Round:
        return lambda at_a_time: driver.run(server, regulars, at_a_time, seconds=plan.slow_s)

    def other(
        key: str,
        title: str,
        measure: Callable[[Server], Round],
        start: Callable[[], AbstractContextManager[Server]],
        *,
        asks: Server | None = None,
    ) -> Row:
        try:
            server = replace(running.enter_context(start()), asks=asks)
            return Row(key, title, measure(server), asks is ours, needs_warm_up=measure is fast)
        except CannotMeasure as error:
            return Row(key, title, None, missing=str(error))

    yield Row("app-password", "mailauth socket, app password", fast(ours), asks_mailauth=True, needs_warm_up=True)
    yield Row(
        "app-password-once",
        "mailauth socket, app password, each account once",
        lambda at_a_time: driver.run(ours, everybody, at_a_time, seconds=plan.fast_s, once=True),
        asks_mailauth=True,
    )
    for loop in LOOPS:
        yield other(f"bare-{loop}", f"bare {loop} server, no look-up", fast, partial(servers.bare, directory, loop))
    plain = directory / "passwd-file"
    plain.write_text("".join(f"{p.name}:{{PLAIN}}{p.app_password}\n" for p in people.people))
    yield other(
        "dovecot-plain",
        "Dovecot passwd-file, {PLAIN}",
        fast,
        lambda: servers.dovecot(directory / "plain", servers.PASSWD_FILE(plain)),
    )
    with_codes = _with_codes(directory, plan, driver, ours, people.people)
    yield Row("code", "mailauth socket, password + code", with_codes, asks_mailauth=True)
    yield Row("hash", "the password hash alone (argon2id t=2 m=19 MiB)", lambda n: hash_rate(n, plan.slow_s))
    yield other(
        "checkpassword",
        "Dovecot checkpassword, mailauth-checkpassword",
        fast,
        lambda: _dovecot(directory / "helper", lambda d: servers.checkpassword_passdb(d, people.socket)),
        asks=ours,
    )
    yield other(
        "checkpassword-python",
        "Dovecot checkpassword, python3 -S -E, standard library",
        slow,
        lambda: _dovecot(directory / "python", lambda d: servers.stdlib_helper_passdb(d, people.socket)),
        asks=ours,
    )
    yield other(
        "lua",
        "Dovecot Lua passdb, mailauth.lua",
        fast,
        lambda: _dovecot(directory / "lua", lambda d: servers.lua_passdb(d, people.socket)),
        asks=ours,
    )
    for loop in LOOPS:
        yield _lua_on_a_bare_server(directory / f"lua-bare-{loop}", loop, fast, running)
    yield other(
        "lua-ok",
        "Dovecot Lua passdb that says OK",
        fast,
        lambda: _dovecot(directory / "lua-ok", lambda d: servers.lua_passdb(d, None)),
    )
    yield other(
        "pam",
        "Dovecot PAM, pam_mailauth",
        fast,
        lambda: _dovecot_on_pam(directory / "pam", servers.pam_services(directory / "pam", people.socket)),
        asks=ours,
    )
    yield _google_authenticator(directory / "google", plan, driver, people.people[:REGULARS], running)


def _lua_on_a_bare_server(directory: Path, loop: str, measure: Callable[[Server], Round], running: ExitStack) -> Row:
    """The most that mailauth.lua can reach with a server of this kind: it parses, looks nothing up, logs nothing."""
    key, title = f"lua-bare-{loop}", f"Dovecot Lua passdb, mailauth.lua on the bare {loop} server"
    try:
        directory.mkdir(exist_ok=True)
        asked = running.enter_context(servers.bare(directory, loop))
        server = running.enter_context(_dovecot(directory, lambda d: servers.lua_passdb(d, asked.socket)))
        return Row(key, title, measure(replace(server, asks=asked)), needs_warm_up=True)
    except CannotMeasure as error:
        return Row(key, title, None, missing=str(error))


@contextmanager
def _dovecot(directory: Path, passdbs: Callable[[Path], str]) -> Iterator[Server]:
    with servers.dovecot(directory, passdbs(directory)) as server:
        yield server


@contextmanager
def _dovecot_on_pam(directory: Path, services: Path) -> Iterator[Server]:
    with servers.dovecot(directory, servers.pam_passdb(directory), servers.behind(services)) as server:
        yield server


def _google_authenticator(
    directory: Path, plan: Plan, driver: Driver, people: list[Person], running: ExitStack
) -> Row:
    """Its users type the code alone: it checks no password."""
    key, title = "pam-google", "Dovecot PAM, google-authenticator alone"
    try:
        services = servers.google_authenticator_services(directory, {p.name: otp.base32(p.seed) for p in people})
        server = running.enter_context(_dovecot_on_pam(directory, services))
    except CannotMeasure as error:
        return Row(key, title, None, missing=str(error))

    def measure(at_a_time: int) -> Sample:
        step = population.current_step()
        path = population.write_requests(directory / "codes", (person.with_code_alone(step) for person in people))
        return driver.run(server, path, at_a_time, seconds=plan.fast_s)

    return Row(key, title, measure)


def _with_codes(directory: Path, plan: Plan, driver: Driver, ours: Server, people: list[Person]) -> Round:
    """Each login takes an account of its own, whose step is unspent; the codes are computed before each round."""
    share = len(people) // (len(AT_A_TIME) * plan.rounds)
    starts = iter(range(0, len(people), share))

    def measure(at_a_time: int) -> Sample:
        start = next(starts)
        step = population.current_step()
        requests = (person.with_code(step) for person in people[start : start + share])
        path = population.write_requests(directory / "codes", requests)
        return driver.run(ours, path, at_a_time, seconds=plan.slow_s, once=True)

    return measure


def hash_rate(at_a_time: int, seconds: float) -> Sample:
    """Measure what the password hash alone allows: as many threads as the server would use for so many logins."""
    threads = min(at_a_time, os.cpu_count() or 1)
    hasher = population.hasher()
    stored, password = hasher.hash(population.PASSWORD.encode()), population.PASSWORD.encode()

    def work(_: int) -> tuple[int, list[float]]:
        times: list[float] = []
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            started = time.perf_counter()
            assert hasher.verify(stored, password)
            times.append(time.perf_counter() - started)
        return len(times), times

    began, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        done = list(pool.map(work, range(threads)))
    elapsed = time.perf_counter() - began
    count = sum(number for number, _ in done)
    each = sorted(1e6 * t for _, times in done for t in times)
    cpu_us = 1e6 * (time.process_time() - cpu) / count
    p50, p99 = statistics.median(each), each[int(0.99 * (len(each) - 1))]
    return Sample(count, count, 0, 0, elapsed, p50, p99, driver_cpu_us=0, server_cpu_us=cpu_us)
