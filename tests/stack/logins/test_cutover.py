"""The date: passwords alone open every door before it, and none from it on, with no server restarted.

What else holds before it is in the table of test_doors.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.stack.doors import IN, Door
from tests.stack.people import Site, until
from tests.stack.table import PAST, Played
from tests.stack.ways import on_the_first

AFTER = (
    "Mail apps need an app password or password+code: https://www.mailitwize.be/2fa "
    "(two-factor authentication since {date})"
)


@pytest.fixture
def movable(played: Played) -> Iterator[Played]:
    """A way whose date a test may move."""
    yield played
    played.site.sandbox.set(PAST)


def at_every_door(site: Site, name: str, secret: str) -> dict[Door, str]:
    tried = site.way.doors
    with ThreadPoolExecutor(len(tried)) as pool:
        words = pool.map(lambda door: door.login(site, name, secret), tried)
        return dict(zip(tried, words, strict=True))


def everywhere(site: Site, text: str | None) -> dict[Door, str]:
    """Return what all doors say: None is being let in."""
    return {door: IN if text is None else door.refusal(text) for door in site.way.doors}


@on_the_first
def test_the_date_passes_while_the_servers_run(movable: Played) -> None:
    site, took_s = movable.site, movable.setting_took_s
    without, enrolled = site.owner(), site.enrolled()
    for patience in range(2, 6):  # enough for setting it once more, and for logging in
        date = (datetime.now(UTC) + timedelta(seconds=patience * took_s)).replace(microsecond=0)
        site.sandbox.set(f"cutover.date={date.isoformat()}")
        found = at_every_door(site, without.name, without.password)
        if datetime.now(UTC) < date:
            break
    assert found == everywhere(site, None)
    pids = [site.pid(name) for name in ("mailauth", "dovecot", "postfix")]
    until(lambda: datetime.now(UTC) > date, "the date passes", patience * took_s + 1)
    refused = everywhere(site, AFTER.format(date=f"{date.day} {date:%B} {date.year}"))
    assert at_every_door(site, without.name, without.password) == refused
    assert at_every_door(site, enrolled.name, enrolled.typed()) == everywhere(site, None)
    assert [site.pid(name) for name in ("mailauth", "dovecot", "postfix")] == pids
