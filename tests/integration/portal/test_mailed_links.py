"""Links out of mails: opening does nothing, one button does it, once; and the other address that they confirm."""

import httpx
import pytest

from tests.integration.portal.browsing import Browser, read, words
from tests.integration.portal.conftest import BrowserMaker
from tests.integration.portal_sessions.people import link_in
from tests.world import World


async def test_an_enrolment_that_was_not_ones_own_is_undone_from_its_mail(
    world: World, browser: Browser, open_browser: BrowserMaker
) -> None:
    alice = world.add("alice@mailitwize.be")
    thief = open_browser()
    await thief.enrol(alice)
    path = f"/link/{link_in(world)}"
    for _ in range(2):
        page = await browser.get(path)
        assert f"Somebody connected an authenticator app to {alice.name}" in words(page)
    assert world.installation.explainer.explain(alice.name).enrolled, "opening does nothing"
    page = await _press(browser, page)
    assert "Change your password." in words(page)
    assert not world.installation.explainer.explain(alice.name).enrolled
    assert (await thief.get("/account")).url.path == "/login"
    again = await browser.get(path)
    assert again.status_code == 404
    assert "This link serves no more" in words(again)


async def test_the_undo_link_serves_three_days(world: World, browser: Browser) -> None:
    await browser.enrol(world.add("alice@mailitwize.be"))
    world.clock.advance(hours=72)
    assert (await browser.get(f"/link/{link_in(world)}")).status_code == 404


async def test_another_address_counts_once_its_link_was_followed(
    world: World, browser: Browser, open_browser: BrowserMaker
) -> None:
    alice, other = world.enrol("alice@mailitwize.be"), "alice@elsewhere.example"
    await browser.come_in(alice)
    page = await browser.get("/account/address")
    page = await browser.submit(page, "/account/address", address=other, **browser.proof(alice))
    assert "We have sent a link to that address" in words(page)
    assert "None yet" in words(await browser.get("/account"))
    stranger = open_browser()
    page = await _press(stranger, await stranger.get(f"/link/{link_in(world)}"))
    assert "Your address is confirmed" in words(page)
    assert other in words(await browser.get("/account"))
    page = await browser.get("/account/recovery-codes")
    page = await browser.submit(page, "/account/recovery-codes", **browser.proof(alice))
    assert f"e-mailing them to {other}" in words(page)
    page = await browser.get("/account/address/remove")
    page = await browser.submit(page, "/account/address/remove", **browser.proof(alice))
    assert "The other address is removed" in words(page)
    assert "None yet" in words(await browser.get("/account"))


async def test_another_address_may_have_a_domain_beyond_ascii(world: World, browser: Browser) -> None:
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    page = await browser.get("/account/address")
    page = await browser.submit(page, "/account/address", address="alice@b\u00fccher.example", **browser.proof(alice))
    assert "We have sent a link to that address" in words(page)


@pytest.mark.parametrize("token", ["canary", "A" * 43, "%2e%2e%2fadmin", "A" * 2000])
async def test_a_link_that_never_was_is_as_dead_as_a_used_one(browser: Browser, token: str) -> None:
    page = await browser.get(f"/link/{token}")
    assert page.status_code == 404
    assert token not in page.text


async def test_the_address_of_a_link_goes_nowhere_else(world: World, browser: Browser) -> None:
    await browser.enrol(world.add("alice@mailitwize.be"))
    token = link_in(world)
    page = await browser.get(f"/link/{token}")
    assert token not in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert all(token not in link for link in read(page).links)


async def _press(browser: Browser, page: httpx.Response) -> httpx.Response:
    """Press the one button of a link's page; its form goes to where the page is."""
    found = read(page)
    form = next(form for form in found.forms if form.action == "")
    return await browser.post(str(page.url.path), form.fields)
