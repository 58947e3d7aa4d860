"""A sandbox from start to outage: every case at every door of one way, and what came of it.

All is played in one go, for servers that start, refuse and wait for the dead are slow; the tests look
at one cell each. What is played is the table of ../logins, and what that has in other modules.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.stack import sandboxes, web_mail
from tests.stack.delivery import deliver
from tests.stack.doors import IN, Door
from tests.stack.every_door.ways import EXIM, POSTFIX_ON_SASLAUTHD, Way
from tests.stack.logins.conftest import CHEAP_HASHES
from tests.stack.people import Owner, SetUp, Site, until
from tests.stack.table import CASES, OUT, Case, Cell, Tries, Try, play

PLAYED_AT_ONCE = 6  # each is a client, a server process and a hash
FAR = "cutover.date=2099-01-01T00:00 Europe/Brussels"
PAST = "cutover.date=2025-05-05T00:00 Europe/Brussels"
BEFORE = (
    "Wrong password, or password+code needed: https://www.mailitwize.be/2fa "
    "(two-factor authentication from 1 January 2099)"
)
BRIEF = {
    "password_and_code",
    "password_of_odd_characters",
    "longest_name_and_secret",
    "wrong_code",
    "not_enrolled",
    "recovery_code_once",
    "app_password_of_its_service",
    "app_password_of_another_service",
}
"""For what the same Dovecot serves beside IMAP, and for Postfix behind it: they differ in words and services."""


def the_same_string_again(site: Site, door: Door) -> Tries:
    """Only saslauthd has no client to remember."""
    owner = site.enrolled()
    typed = owner.typed()
    return [Try(IN, owner.name, typed), Try(OUT if door == POSTFIX_ON_SASLAUTHD else IN, owner.name, typed)]


def before_the_date(site: Site, door: Door) -> Cell:
    """The password is enough for who is not enrolled, and only for them."""
    owner, enrolled = site.owner(), site.enrolled()
    return Cell(
        owner.name,
        [IN, door.refusal(BEFORE)],
        [door.login(site, each.name, each.password) for each in (owner, enrolled)],
    )


ALL_CASES: list[Case] = [*CASES, the_same_string_again]


def cases_at(way: Way, door: Door) -> list[Case]:
    if door.name in {"pop3", "sieve", "submission"} or (door.name == "postfix" and way.postfix == "dovecot"):
        return [case for case in ALL_CASES if case.__name__ in BRIEF]
    return ALL_CASES


@dataclass
class Outage:
    """What each door said while mailauth was away, after how many seconds, and that it lets in again.

    And what became of mail meanwhile.

    Exim alone waits for a hung mailauth without an end; what it said is what it said afterwards.
    """

    words: dict[Door, str] = field(default_factory=dict)
    seconds: dict[Door, float] = field(default_factory=dict)
    mail: str = ""
    recovered: set[Door] = field(default_factory=set)


@dataclass
class Played:
    """All that came of one way. Its site stays up."""

    site: Site
    before: dict[Door, Cell]
    cells: dict[tuple[Door, Case], Cell]
    stopped: Outage
    hung: Outage
    restarted_servers: list[str]


@contextmanager
def playing(way: Way, directory: Path) -> Iterator[Played]:
    with sandboxes.running(directory, *way.options(), *CHEAP_HASHES, *web_mail.SETTINGS, "--set", FAR) as sandbox:
        site = Site(sandbox, SetUp(way.dovecot, way.postfix))
        try:
            yield _play(way, site)
        finally:
            site.close()


def _play(way: Way, site: Site) -> Played:
    servers = ["dovecot", "postfix", *["saslauthd"] * (way.postfix == "saslauthd"), *["exim"] * way.exim]
    pids = {name: site.pid(name) for name in servers}
    with ThreadPoolExecutor(PLAYED_AT_ONCE) as pool:
        before = dict(zip(way.doors, pool.map(lambda door: before_the_date(site, door), way.doors), strict=True))
        site.sandbox.set(PAST)
        playing_on: dict[tuple[Door, Case], Future[Cell]] = {
            (door, case): pool.submit(play, site, door, case) for door in way.doors for case in cases_at(way, door)
        }
        cells = {key: each.result() for key, each in playing_on.items()}
    stopped = _outage(way, site, site.stop, site.start)
    pid = site.pid()
    hung = _outage(way, site, lambda: os.kill(pid, signal.SIGSTOP), lambda: os.kill(pid, signal.SIGCONT), is_hung=True)
    restarted = [name for name in servers if site.pid(name) != pids[name]]
    return Played(site, before, cells, stopped, hung, restarted)


def _outage(
    way: Way, site: Site, begin: Callable[[], None], end: Callable[[], None], *, is_hung: bool = False
) -> Outage:
    outage = Outage()
    owner = site.enrolled()
    secret = owner.app_password()

    def log_in(door: Door) -> None:
        began = time.monotonic()
        outage.words[door] = door.login(site, owner.name, secret)
        outage.seconds[door] = time.monotonic() - began

    def recover(door: Door) -> None:
        until(lambda: door.login(site, owner.name, secret) == IN, f"{door.name} lets in again")
        outage.recovered.add(door)

    with ThreadPoolExecutor(len(way.doors) + 1) as pool:
        begin()
        try:
            delivering = pool.submit(deliver, site.sandbox, owner.name)
            trying = {door: pool.submit(log_in, door) for door in way.doors}
            for door, each in trying.items():
                if door != EXIM or not is_hung:
                    each.result()
            outage.mail = delivering.result()
        finally:
            end()
        for each in trying.values():
            each.result()
        list(pool.map(recover, way.doors))
    return outage


def owner_with_code(site: Site) -> tuple[Owner, str]:
    """Return the owner of a new account, and what they type."""
    owner = site.enrolled()
    return owner, owner.typed()
