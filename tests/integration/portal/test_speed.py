"""A page is there at once, also for one of ten thousand accounts: nothing that it asks for grows with their number."""

import statistics
import time

import pytest
from sqlalchemy import insert

from mailauth.effects.store.tables import account, portal_session
from tests.integration.portal.browsing import Browser
from tests.transactions import writing
from tests.world import World

ACCOUNTS = 10_000
MOST_MS = 20
"""Of the processor, so that what else runs on the machine does not count."""
PATHS = (
    "/login",
    "/help",
    "/account",
    "/account/app-passwords",
    "/account/app-passwords/new",
    "/account/recovery-codes",
    "/account/logins",
    "/account/sessions",
)


@pytest.fixture
def crowded(world: World) -> World:
    """Give a world with ten thousand accounts, each logged in."""
    now = world.clock()
    names = [{"name": f"user{n}@mailitwize.be", "epoch": 0, "created_at": now} for n in range(ACCOUNTS)]
    moments = {"created_at": now, "proved_at": now, "last_seen_at": now}
    where = {"epoch": 0, "credential": "password", "network": "", "agent": "", **moments}
    sessions = [{"account_id": n + 1, "digest": n.to_bytes(32, "big"), **where} for n in range(ACCOUNTS)]
    with writing(world.installation.database) as connection:
        connection.execute(insert(account), names)
        connection.execute(insert(portal_session), sessions)
    return world


async def test_every_page_takes_less_than_twenty_milliseconds(crowded: World, browser: Browser) -> None:
    alice = crowded.enrol("alice@mailitwize.be")
    for number in range(10):
        crowded.installation.app_passwords.make(alice.name, f"device {number}")
    await browser.come_in(alice)
    for path in PATHS:
        spent_ms = []
        for _ in range(15):
            started = time.process_time()
            response = await browser.client.get(path)
            spent_ms.append((time.process_time() - started) * 1000)
            assert response.status_code in (200, 303)
        assert statistics.median(spent_ms) < MOST_MS, path
