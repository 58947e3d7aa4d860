"""The runner of the table over doors: a way from its start to an outage, each case at each of its doors.

All is played in one go, for servers that start, refuse and wait for the dead are slow; tests look at one cell each.
All doors decide alike, and say no in the same words, as far as they have any.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.stack import sandboxes, web_mail
from tests.stack.bursts import SmtpSession
from tests.stack.clients import HOME
from tests.stack.delivery import deliver
from tests.stack.doors import IN, Door
from tests.stack.login_cases import BEFORE_THE_DATE, Case, cases_at
from tests.stack.people import AFTER, Site, until
from tests.stack.ways import EXIM, POSTFIX_ON_SASLAUTHD, Way

CHEAP_HASHES = ("--set", "password.argon2.time_cost=1", "--set", "password.argon2.memory_kib=64")
PLAYED_AT_ONCE = 6  # each is a client, a server process and a hash
FAR = "cutover.date=2099-01-01T00:00 Europe/Brussels"
PAST = "cutover.date=2025-05-05T00:00 Europe/Brussels"
BEFORE = (
    "Wrong password, or password+code needed: https://www.mailitwize.be/2fa "
    "(two-factor authentication from 1 January 2099)"
)


@dataclass
class Cell:
    """What was to come of a case at a door, and what came."""

    case: str
    name: str
    expected: list[str]
    found: list[str]

    def report(self, site: Site) -> str:
        """Return what went wrong."""
        return f"{self.case}: {self.found}, not {self.expected}\n{site.log_of(self.name)}"


@dataclass
class Outage:
    """What each door said while mailauth was away, after how many seconds, and that it lets in again.

    And what became of mail meanwhile and afterwards.

    Exim alone waits for a hung mailauth without an end; what it said is what it said afterwards.
    """

    name: str
    words: dict[Door, str] = field(default_factory=dict)
    seconds: dict[Door, float] = field(default_factory=dict)
    mail: list[str] = field(default_factory=list)
    recovered: set[Door] = field(default_factory=set)
    mail_afterwards: str = ""


@dataclass
class Played:
    """All that came of one way. Its site stays up."""

    site: Site
    setting_took_s: float
    cells: dict[Door, list[Cell]]
    cells_before_the_date: dict[Door, list[Cell]]
    stopped: Outage
    hung: Outage
    restarted: list[str]


def doors_in_an_outage(way: Way) -> tuple[Door, ...]:
    """Return the doors that say something when mailauth does not: on its own socket there is nobody to."""
    return tuple(door for door in way.doors if door.unavailable)


@contextmanager
def playing(way: Way, directory: Path) -> Iterator[Played]:
    """Play a way; its site is up until the end of the block, with a web mail host that its login memory knows."""
    with sandboxes.running(directory, *way.options(), *CHEAP_HASHES, *web_mail.SETTINGS, "--set", FAR) as sandbox:
        site = Site(sandbox, way)
        try:
            yield _play(site)
        finally:
            site.close()


def _play(site: Site) -> Played:
    way = site.way
    servers = ["dovecot", "postfix", *["saslauthd"] * (way.postfix == "saslauthd"), *["exim"] * way.exim]
    pids = {name: site.pid(name) for name in servers}
    before = _cells(site, BEFORE, lambda _: BEFORE_THE_DATE)
    began = time.monotonic()
    site.sandbox.set(PAST)
    setting_took_s = time.monotonic() - began
    cells = _cells(site, AFTER, lambda door: cases_at(way, door))
    stopped = _outage(site, site.stop, site.start)
    pids["mailauth"] = pid = site.pid()
    hung = _outage(site, lambda: os.kill(pid, signal.SIGSTOP), lambda: os.kill(pid, signal.SIGCONT), is_hung=True)
    restarted = [name for name, pid in pids.items() if site.pid(name) != pid]
    return Played(site, setting_took_s, cells, before, stopped, hung, restarted)


def _cells(site: Site, refusal: str, cases_of: Callable[[Door], Iterable[Case]]) -> dict[Door, list[Cell]]:
    with ThreadPoolExecutor(PLAYED_AT_ONCE) as pool:
        playing_on = {
            door: [pool.submit(_cell, site, door, case, refusal) for case in cases_of(door)] for door in site.way.doors
        }
        return {door: [each.result() for each in cells] for door, cells in playing_on.items()}


def _cell(site: Site, door: Door, case: Case, refusal: str) -> Cell:
    tries = case(site, door)
    return Cell(
        case.__name__,
        tries[0].name,
        [IN if each.expected == IN else door.refusal(refusal) for each in tries],
        [door.login(site, each.name, each.secret, each.source) for each in tries],
    )


class _EarlySmtpClient:
    """A client of Postfix whose connection is older than the outage: a new smtpd would not greet without mailauth."""

    def __init__(self, site: Site) -> None:
        self._loop = asyncio.Runner()
        self._session = self._loop.run(SmtpSession.open(site.sandbox.postfix_submission, HOME))

    def log_in(self, name: str, secret: str) -> str:
        outcome = self._loop.run(self._session.log_in(name, secret))
        self._loop.run(self._session.close())
        self._loop.close()
        return outcome


def _outage(site: Site, begin: Callable[[], None], end: Callable[[], None], *, is_hung: bool = False) -> Outage:
    owner = site.enrolled()
    secret = owner.app_password()
    outage = Outage(owner.name)
    early = _EarlySmtpClient(site) if site.way.postfix == "direct" else None
    doors = doors_in_an_outage(site.way)

    def log_in(door: Door) -> None:
        began = time.monotonic()
        if early is not None and door == site.way.of_postfix:
            outage.words[door] = early.log_in(owner.name, secret)
        else:
            outage.words[door] = door.login(site, owner.name, secret)
        outage.seconds[door] = time.monotonic() - began

    with ThreadPoolExecutor(len(doors) + 2) as pool:
        begin()
        try:
            delivering = [pool.submit(deliver, site.sandbox, name) for name in (owner.name, f"newcomer-{owner.name}")]
            trying = {door: pool.submit(log_in, door) for door in doors}
            for door, each in trying.items():
                if door != EXIM or not is_hung:
                    each.result()
            outage.mail = [each.result() for each in delivering]
        finally:
            end()
        for each in trying.values():
            each.result()
        typed = owner.typed()

        def recover(door: Door) -> None:
            # Saslauthd has no client to remember, and a code opens a door once.
            fitting = secret if door == POSTFIX_ON_SASLAUTHD else typed
            until(lambda: door.login(site, owner.name, fitting) == IN, f"{door.name} lets in again")
            outage.recovered.add(door)

        list(pool.map(recover, doors))
    outage.mail_afterwards = deliver(site.sandbox, owner.name, "afterwards")
    return outage
