"""What the portal does with more than it can take: requests by the hundred, and forms that never end."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from mailauth.edges.portal import middleware, routing
from mailauth.edges.portal.middleware import HEADERS
from mailauth.vocabulary.errors import Overloaded
from tests.cases import case
from tests.integration.portal.browsing import ORIGIN, Browser, form_to
from tests.world import World

FORM = {"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}


async def test_more_requests_than_can_be_answered_are_asked_to_come_again(
    browser: Browser, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "MAX_UNDER_WAY", 3)
    may_end = asyncio.Event()
    begun = 0

    async def held(_: Callable[[], object]) -> object:
        nonlocal begun
        begun += 1
        await may_end.wait()
        raise Overloaded("the test has seen enough")

    await browser.get("/login")
    monkeypatch.setattr(world.installation.database, "run", held)
    slow = [asyncio.create_task(browser.client.get("/account")) for _ in range(3)]
    async with asyncio.timeout(20):
        while begun < 3:
            await asyncio.sleep(0)
    refused = await browser.client.get("/login")
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert "Please try again in a minute" in refused.text
    assert all(refused.headers.get(name) for name in HEADERS)
    may_end.set()
    assert {answer.status_code for answer in await asyncio.gather(*slow)} == {503}
    monkeypatch.undo()
    assert (await browser.client.get("/login")).status_code == 200


async def test_who_sends_a_whole_request_is_answered_beside_any_number_of_half_ones(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web server that hands bodies on as they come would let any stranger close the portal with 400 of them."""
    monkeypatch.setattr(middleware, "MAX_UNDER_WAY", 3)
    may_end = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"account="
        await may_end.wait()

    half = [asyncio.create_task(browser.client.post("/login", content=body(), headers=FORM)) for _ in range(20)]
    for _ in range(1000):  # as far as they come
        await asyncio.sleep(0)
    assert (await browser.client.get("/login")).status_code == 200
    may_end.set()
    # No token in what came; and those that all came at once are no more than may be answered.
    assert {answer.status_code for answer in await asyncio.gather(*half)} <= {403, 503}
    assert (await browser.client.get("/login")).status_code == 200


async def test_form_that_does_not_end_is_not_waited_for(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "BODY_DEADLINE_S", 0.05)

    async def body() -> AsyncIterator[bytes]:
        yield b"account="
        await asyncio.sleep(3600)

    async with asyncio.timeout(20):
        answer: httpx.Response = await browser.client.post("/login", content=body(), headers=FORM)
    assert answer.status_code == 400


async def test_form_in_another_encoding_is_not_read(browser: Browser) -> None:
    """A multipart form names its charset, and some of Python's take quadratic time, on the event loop."""
    for kind in (
        "",
        "text/plain",
        "application/json",
        "multipart/form-data; boundary=b",
        *(f"multipart/form-data; boundary=b; charset={name}" for name in ("utf-8", "idna", "undefined", "\0")),
        "application/x-www-form-urlencoded; charset=utf-16",
        "application/x-www-form-urlencoded; charset=utf-8; charset=idna",
    ):
        with case(kind):
            await browser.get("/login")
            body = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nxn--a-' + b"a" * 60_000 + b"\r\n--b--\r\n"
            answer = await browser.client.post(
                "/login", content=body, headers={"Origin": ORIGIN, "Content-Type": kind}
            )
            assert answer.status_code == 415
            assert "Your browser sent something that we could not read" in answer.text


async def test_form_as_browsers_send_it_is_read(browser: Browser) -> None:
    for suffix in ("", ";charset=UTF-8", ' ; charset="utf-8"'):
        with case(suffix):
            fields = form_to(await browser.get("/login"), "/login").fields
            kind = {"Content-Type": f"application/x-www-form-urlencoded{suffix}"}
            assert (await browser.post("/login", fields, **kind)).status_code == 422
