"""kill -9 in the middle of a burst with one code: after the restart the code is not accepted again (CON4, F2)."""

import contextlib
import random
import sqlite3
import threading

import pytest

from tests.integration.server.conftest import SiteMaker
from tests.integration.serving import Site, secret_of
from tests.integration.talking import Closed, Talk, auth, granted
from tests.rounds import rounds

KILLS = 5
CODES = 6
CLIENTS = 4


def burst(site: Site, lines: list[bytes], killer: threading.Timer | None = None) -> list[int]:
    """Send each login on several connections at once; return how often each was accepted before all ended."""
    talks = [(number, site.talk()) for number in range(len(lines)) for _ in range(CLIENTS)]
    if killer is not None:
        killer.start()
    accepted = [0] * len(lines)
    for number, talk in talks:
        with contextlib.suppress(ConnectionError):
            talk.send(lines[number])
    for number, talk in talks:
        with contextlib.suppress(Closed):
            accepted[number] += granted(talk.line())
        talk.close()
    return accepted


@pytest.mark.parametrize("factor", ["code", "recovery code"])
def test_killed_in_a_burst_no_code_passes_twice(make_site: SiteMaker, factor: str) -> None:
    site = make_site()
    source = random.Random(factor)
    lost = 0
    server = site.serve()
    for _ in rounds(KILLS):
        lines = []
        for number in range(CODES):
            person = site.person()
            recovery = site.installation.recovery_codes.issue(person.name)[1][0]
            secret = secret_of(person) if factor == "code" else person.password + recovery
            lines.append(auth(number, person.name, secret, ours=True))
        before = burst(site, lines, threading.Timer(source.random() * 0.03, server.process.kill))
        server.ended()
        server = site.serve()
        after = burst(site, lines)
        assert all(one + other <= 1 for one, other in zip(before, after, strict=True)), (before, after)
        lost += before.count(0)
        with sqlite3.connect(site.database) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
        assert burst(site, lines) == [0] * CODES
    assert lost > 0, "no burst was interrupted: the test proves nothing"


def test_restarted_server_has_forgotten_nothing_that_was_spent(make_site: SiteMaker) -> None:
    site = make_site()
    site_servers = site.serve()
    people = [site.person() for _ in range(20)]
    secrets = [secret_of(person) for person in people]
    with site.talk() as talk:
        for person, secret in zip(people, secrets, strict=True):
            assert granted(talk.login(person.name, secret))
    site_servers.kill()
    site.serve()
    with site.talk() as talk:
        for person, secret in zip(people, secrets, strict=True):
            assert not granted(talk.login(person.name, secret))


def test_client_that_was_cut_off_sees_no_success(make_site: SiteMaker) -> None:
    site = make_site()
    server = site.serve()
    talk: Talk = site.talk()
    server.kill()
    with pytest.raises((Closed, ConnectionError)):
        talk.login("alice", "correct horse")
