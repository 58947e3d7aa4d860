"""The date: passwords alone open every door before it, and none from it on, with no server restarted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.stack import doors
from tests.stack.doors import IN, Door
from tests.stack.people import Site, on_the_first, until

BEFORE = (
    "Wrong password, or password+code needed: https://www.mailitwize.be/2fa (two-factor authentication from {date})"
)
AFTER = (
    "Mail apps need an app password or password+code: https://www.mailitwize.be/2fa "
    "(two-factor authentication since {date})"
)
FAR = "2099-01-01T00:00 Europe/Brussels"
USUAL = "2025-05-05T00:00 Europe/Brussels"


@pytest.fixture(scope="module")
def took_s(site: Site) -> Iterator[float]:
    """How many seconds it took to put the date far ahead."""
    began = time.monotonic()
    site.sandbox.set(f"cutover.date={FAR}")
    yield time.monotonic() - began
    site.sandbox.set(f"cutover.date={USUAL}")


@pytest.fixture(scope="module")
def early(site: Site, took_s: float) -> Site:
    """A site whose date is far ahead."""
    return site


def at_every_door(site: Site, name: str, secret: str) -> dict[Door, str]:
    tried = doors.of(site.set_up)
    with ThreadPoolExecutor(len(tried)) as pool:
        words = pool.map(lambda door: door.login(site, name, secret), tried)
        return dict(zip(tried, words, strict=True))


def everywhere(site: Site, text: str | None) -> dict[Door, str]:
    """Return what all doors say: None is being let in."""
    return {door: IN if text is None else door.refusal(text) for door in doors.of(site.set_up)}


@on_the_first
def test_before_the_date_who_is_not_enrolled_needs_the_password_and_nothing_else(early: Site) -> None:
    owner, digits = early.owner(), early.owner("ends in 123456")
    assert at_every_door(early, owner.name, owner.password) == everywhere(early, None)
    assert at_every_door(early, digits.name, digits.password) == everywhere(early, None)
    refused = everywhere(early, BEFORE.format(date="1 January 2099"))
    assert at_every_door(early, owner.name, "wrong horse") == refused
    assert at_every_door(early, owner.name, owner.password + "123456") == refused


@on_the_first
def test_before_the_date_who_is_enrolled_needs_the_code_at_once(early: Site) -> None:
    owner = early.enrolled()
    assert at_every_door(early, owner.name, owner.password) == everywhere(early, BEFORE.format(date="1 January 2099"))
    assert at_every_door(early, owner.name, owner.typed()) == everywhere(early, None)


@on_the_first
def test_the_date_passes_while_the_servers_run(early: Site, took_s: float) -> None:
    without, enrolled = early.owner(), early.enrolled()
    for patience in range(2, 6):  # enough for setting it once more, and for logging in
        date = (datetime.now(UTC) + timedelta(seconds=patience * took_s)).replace(microsecond=0)
        early.sandbox.set(f"cutover.date={date.isoformat()}")
        found = at_every_door(early, without.name, without.password)
        if datetime.now(UTC) < date:
            break
    assert found == everywhere(early, None)
    pids = [early.pid(name) for name in ("mailauth", "dovecot", "postfix")]
    until(lambda: datetime.now(UTC) > date, "the date passes", patience * took_s + 1)
    refused = everywhere(early, AFTER.format(date=f"{date.day} {date:%B} {date.year}"))
    assert at_every_door(early, without.name, without.password) == refused
    assert at_every_door(early, enrolled.name, enrolled.typed()) == everywhere(early, None)
    assert [early.pid(name) for name in ("mailauth", "dovecot", "postfix")] == pids
