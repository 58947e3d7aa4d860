"""What the portal does with more than it can take: requests by the hundred, and forms that never end."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from mailauth.edges.portal import guard, routing
from mailauth.edges.portal.guard import HEADERS
from tests.integration.portal.browsing import ORIGIN, Browser

FORM = {"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}


async def test_more_requests_than_can_be_answered_are_asked_to_come_again(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MAX_UNDER_WAY", 3)
    may_end = asyncio.Event()
    begun = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal begun
        begun += 1
        yield b"account="
        await may_end.wait()

    slow = [asyncio.create_task(browser.client.post("/login", content=body(), headers=FORM)) for _ in range(3)]
    while begun < 3:
        await asyncio.sleep(0)
    refused = await browser.client.get("/login")
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert "Please try again in a minute" in refused.text
    assert all(refused.headers.get(name) for name in HEADERS)
    may_end.set()
    assert {answer.status_code for answer in await asyncio.gather(*slow)} == {403}  # no token in what came
    assert (await browser.client.get("/login")).status_code == 200


async def test_form_that_does_not_end_is_not_waited_for(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "BODY_DEADLINE_S", 0.05)

    async def body() -> AsyncIterator[bytes]:
        yield b"account="
        await asyncio.sleep(3600)

    async with asyncio.timeout(20):
        answer: httpx.Response = await browser.client.post("/login", content=body(), headers=FORM)
    assert answer.status_code == 400
