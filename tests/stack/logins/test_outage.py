"""mailauth away or hung: clients hear that it is temporary, in time, and nothing else has to be restarted."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from tests.stack import doors
from tests.stack.bursts import SmtpSession
from tests.stack.clients import HOME
from tests.stack.doors import DOVEADM_ON_MAILAUTH, IN, POSTFIX, Door
from tests.stack.people import Owner, SetUp, Site, until

HUNG_FOR_AT_MOST_S = 25.0
"""The helpers and Postfix wait 10 s, a refusing Dovecot adds half a second, and two busy cores some more."""


def server_pids(site: Site) -> list[int]:
    return [site.pid(name) for name in ("dovecot", "postfix")]


def own_doors(site: Site) -> list[Door]:
    """Return the doors that say something when mailauth does not: on its own socket there is nobody to."""
    return [door for door in doors.of(site.set_up) if door != DOVEADM_ON_MAILAUTH]


def assert_temporary(site: Site, door: Door, words: str) -> None:
    if door is POSTFIX and site.set_up.postfix == "dovecot":
        # Postfix takes Dovecot's "temporary" for a permanent refusal, unless its own patience ends first.
        assert re.match(r"535 5\.7\.8 Error: authentication failed: |454 4\.7\.0 ", words), words
    else:
        assert door.unavailable in words, (door.name, words)


def assert_all_let_in(site: Site, owner: Owner) -> None:
    typed = owner.typed()
    for door in own_doors(site):
        until(lambda door=door: door.login(site, owner.name, typed) == IN, f"{door.name} lets in again")


class EarlySmtpClient:
    """A client of Postfix whose connection is older than the outage: a new smtpd would not greet without mailauth."""

    def __init__(self, site: Site) -> None:
        self._loop = asyncio.Runner()
        self._session = self._loop.run(SmtpSession.open(site.sandbox.postfix_submission, HOME))

    def log_in(self, name: str, secret: str) -> str:
        outcome = self._loop.run(self._session.log_in(name, secret))
        self._loop.run(self._session.close())
        self._loop.close()
        return outcome


def logins(site: Site, early: EarlySmtpClient, owner: Owner, typed: str) -> dict[Door, tuple[str, float]]:
    """Log in at all doors at once; what each heard, and after how many seconds."""

    def log_in(door: Door) -> tuple[str, float]:
        began = time.monotonic()
        words = early.log_in(owner.name, typed) if door is POSTFIX else door.login(site, owner.name, typed)
        return words, time.monotonic() - began

    tried = own_doors(site)
    with ThreadPoolExecutor(len(tried)) as pool:
        return dict(zip(tried, pool.map(log_in, tried), strict=True))


def test_without_mailauth_every_door_says_it_is_temporary_and_recovers(site: Site) -> None:
    owner, pids = site.enrolled(), server_pids(site)
    early = EarlySmtpClient(site)
    site.stop()
    try:
        found = logins(site, early, owner, owner.typed())
    finally:
        site.start()
    for door, (words, _) in found.items():
        assert_temporary(site, door, words)
    assert_all_let_in(site, owner)
    assert server_pids(site) == pids


def test_with_mailauth_hung_every_door_says_so_in_time_and_recovers(sites: dict[SetUp, Site]) -> None:
    with ThreadPoolExecutor(len(sites)) as pool:  # all at once: each waits for ten seconds
        for hung in [pool.submit(hang, site) for site in sites.values()]:
            hung.result()


def hang(site: Site) -> None:
    owner, pids, pid = site.enrolled(), server_pids(site), site.pid()
    early = EarlySmtpClient(site)
    os.kill(pid, signal.SIGSTOP)
    try:
        found = logins(site, early, owner, "wrong horse" + owner.wrong_code())
    finally:
        os.kill(pid, signal.SIGCONT)
    for door, (words, seconds) in found.items():
        assert_temporary(site, door, words)
        assert seconds < HUNG_FOR_AT_MOST_S, door.name
    assert_all_let_in(site, owner)
    assert [*server_pids(site), site.pid()] == [*pids, pid]
