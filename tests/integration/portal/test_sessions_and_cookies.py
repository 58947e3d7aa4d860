"""Requirement WEB2: cookies that no script and no other site gets hold of, and values that do not outlive a login."""

import httpx
import pytest
from sqlalchemy import delete

from mailauth.edges.portal import app as portal
from mailauth.effects.store.tables import portal_session
from mailauth.usecases.portal_sessions import PortalSessions
from mailauth.usecases.recovery_codes import RecoveryCodes
from mailauth.usecases.set_up import SetUp
from tests.cases import case
from tests.integration.portal.browsing import COOKIE, HOST, ORIGIN, Browser, codes_on, form_to, words
from tests.integration.portal.conftest import BrowserMaker
from tests.transactions import writing
from tests.world import World, WorldMaker


async def test_every_cookie_is_ours_alone(world: World, browser: Browser) -> None:
    page = await browser.get("/login")
    chosen = await browser.submit(page, "/language", language="nl")
    set_cookies = [
        each
        for response in (page, chosen, *chosen.history, await browser.log_in(world.add("alice@mailitwize.be")))
        for each in response.headers.get_list("set-cookie")
    ]
    language = await browser.client.post(
        "/language", data={"csrf": _token(page), "language": "fr"}, headers={"Origin": "https://2fa.mailitwize.be"}
    )
    set_cookies += language.headers.get_list("set-cookie")
    assert {each.partition("=")[0] for each in set_cookies} >= {COOKIE}
    for each in set_cookies:
        attributes = {part.strip().lower() for part in each.split(";")[1:]}
        assert each.startswith("__Host-")
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= attributes
        assert not any(attribute.startswith("domain") for attribute in attributes)


def _token(page: object) -> str:
    from tests.integration.portal.browsing import form_to

    return form_to(page, "/language").fields["csrf"]  # type: ignore[arg-type]


async def test_the_value_changes_at_login_and_what_it_was_before_opens_nothing(
    world: World, browser: Browser, open_browser: BrowserMaker
) -> None:
    await browser.get("/login")
    planted = browser.cookie
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    assert browser.cookie != planted
    assert await _opens(open_browser, browser.cookie)
    assert not await _opens(open_browser, planted)


async def test_a_second_login_ends_the_session_that_the_browser_had(
    world: World, browser: Browser, open_browser: BrowserMaker
) -> None:
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    before = browser.cookie
    typed = {"account": alice.name, "password": alice.password, "code": alice.code(world.clock())}
    response = await browser.post("/login", {"csrf": _token(await browser.get("/account")), **typed})
    assert response.status_code == 303
    assert await _opens(open_browser, browser.cookie)
    assert not await _opens(open_browser, before)


async def test_a_chosen_value_never_becomes_a_session(world: World, browser: Browser) -> None:
    planted = "A" * 43
    browser.client.cookies.set(COOKIE, planted, domain="2fa.mailitwize.be")
    await browser.come_in(world.enrol("alice@mailitwize.be"))
    assert browser.cookie != planted


async def test_the_value_changes_at_both_confirmations(
    world: World, browser: Browser, open_browser: BrowserMaker
) -> None:
    alice = world.add("alice@mailitwize.be")
    await browser.log_in(alice)
    at_login = browser.cookie
    page = await browser.submit(await browser.get("/setup/confirm"), "/setup/confirm", password=alice.password)
    at_password = browser.cookie
    from tests.integration.portal.browsing import seed_on

    alice.seed = seed_on(page)
    await browser.submit(page, "/setup/scan", code=alice.code(world.clock()))
    assert len({at_login, at_password, browser.cookie}) == 3
    assert await _opens(open_browser, browser.cookie)
    for dead in (at_login, at_password):
        assert not await _opens(open_browser, dead)


@pytest.mark.parametrize("path", ["/account/recovery-codes", "/account/authenticator"])
async def test_the_value_changes_when_somebody_proves_it_again(
    world: World, browser: Browser, open_browser: BrowserMaker, path: str
) -> None:
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    before = browser.cookie
    page = await browser.submit(await browser.get(path), path, **browser.proof(alice))
    assert page.status_code == 200, words(page)
    assert browser.cookie != before
    assert not await _opens(open_browser, before)
    assert await _opens(open_browser, browser.cookie)


async def test_used_code_proves_in_the_session_that_it_opened_or_proved_in_and_in_no_other(
    make_world: WorldMaker,
) -> None:
    """WEB7: who has a stolen cookie, and has seen a code typed elsewhere, does not get on by the two."""
    world = make_world("login_memory.life_s=600")
    app = portal.build(world.installation)
    alice, path = world.enrol("alice@mailitwize.be"), "/account/authenticator"

    async def prove(browser: Browser, code: str) -> bool:
        page = await browser.submit(await browser.get(path), path, password=alice.password, code=code)
        return page.url.path == "/setup/scan"

    left_open, at_work, later, again = (Browser(app, world) for _ in range(4))
    await left_open.come_in(alice)
    opening = alice.code(world.clock())
    assert (await at_work.log_in(alice, opening)).url.path == "/account"
    assert not await prove(left_open, opening)
    assert await prove(at_work, opening)
    assert await prove(at_work, opening)

    world.clock.advance(seconds=60)
    proving = alice.code(world.clock())
    assert await prove(at_work, proving)
    assert await prove(at_work, proving)
    assert not await prove(left_open, proving)
    assert not await prove(left_open, opening)

    await at_work.submit(await at_work.get("/account"), "/logout")
    world.clock.advance(seconds=60)
    await later.come_in(alice)
    assert not await prove(later, proving)
    assert not await prove(later, opening)
    page = await again.log_in(alice, proving)
    assert page.url.path == "/login"


async def test_idle_and_old_sessions_are_over(world: World, browser: Browser) -> None:
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    for _ in range(4):
        world.clock.advance(minutes=19)
        assert (await browser.get("/account")).url.path == "/account"
    world.clock.advance(minutes=20)
    assert (await browser.get("/account")).url.path == "/login"


async def test_signing_out_everywhere_ends_the_other_browsers(
    world: World, browser: Browser, open_browser: BrowserMaker
) -> None:
    alice = world.enrol("alice@mailitwize.be")
    other = open_browser(**{"User-Agent": "Mozilla/5.0 (Android 14; Mobile; rv:138.0) Gecko/138.0 Firefox/138.0"})
    await other.come_in(alice)
    await browser.come_in(alice)
    page = await browser.get("/account/sessions")
    assert "Firefox, Android" in words(page)
    page = await browser.submit(page, "/account/sessions")
    assert "You are logged out everywhere" in words(page)
    for each in (browser, other):
        assert (await each.get("/account")).url.path == "/login"


async def test_a_change_of_the_factors_ends_the_other_browsers(
    world: World, browser: Browser, open_browser: BrowserMaker
) -> None:
    alice = world.enrol("alice@mailitwize.be")
    other = open_browser()
    await other.come_in(alice)
    await browser.come_in(alice)
    page = await browser.get("/account/recovery-codes")
    await browser.submit(page, "/account/recovery-codes", **browser.proof(alice))
    assert (await browser.get("/account")).url.path == "/account"
    assert (await other.get("/account")).url.path == "/login"


async def test_logging_out_ends_the_session_not_just_the_cookie(
    world: World, browser: Browser, open_browser: BrowserMaker
) -> None:
    await browser.come_in(world.enrol("alice@mailitwize.be"))
    before = browser.cookie
    await browser.submit(await browser.get("/account"), "/logout")
    assert not await _opens(open_browser, before)


def _ends_sessions_after(world: World, monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> None:
    """Let a method of a use case be followed at once by the end of all sessions, as by another tab's request."""
    real = getattr(owner, method)

    def then_ends(*args: object, **named: object) -> object:
        result = real(*args, **named)
        with writing(world.installation.database) as connection:
            connection.execute(delete(portal_session))
        return result

    monkeypatch.setattr(owner, method, then_ends)


async def test_of_two_proofs_at_once_the_late_one_is_sent_to_the_login(
    world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tabs, or two clicks: the cookie of one of them is renewed by the other."""
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    page = await browser.get("/account/recovery-codes")
    _ends_sessions_after(world, monkeypatch, PortalSessions, "renew")
    answer = await browser.post(
        "/account/recovery-codes", {**form_to(page, "/account/recovery-codes").fields, **browser.proof(alice)}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


async def test_new_codes_are_shown_though_their_session_has_ended(
    world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old ones are void by then, and no other page shows the new ones."""
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    page = await browser.get("/account/recovery-codes")
    _ends_sessions_after(world, monkeypatch, RecoveryCodes, "issue")
    page = await browser.submit(page, "/account/recovery-codes", **browser.proof(alice))
    assert page.status_code == 200
    assert len(codes_on(page)) == 10
    assert (await browser.get("/account")).url.path == "/login"


async def test_first_codes_are_shown_though_their_session_has_ended(
    world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = world.add("alice@mailitwize.be")
    page = await browser.begin_set_up(alice)
    _ends_sessions_after(world, monkeypatch, SetUp, "confirm")
    page = await browser.submit(page, "/setup/scan", code=alice.code(world.clock()))
    assert page.status_code == 200
    assert len(codes_on(page)) == 10


async def _opens(open_browser: BrowserMaker, cookie: str | None) -> bool:
    thief = open_browser()
    thief.client.cookies.set(COOKIE, cookie or "", domain="2fa.mailitwize.be")
    page = await thief.get("/setup")
    return page.url.path != "/login"


async def test_cookie_of_a_neighbour_whose_name_only_looks_like_ours_is_not_ours(
    world: World, browser: Browser, open_browser: BrowserMaker
) -> None:
    """Browsers guard `__Host-` at a name's very beginning; what Python takes for a space before it is part of it."""
    alice, mallory = world.enrol("alice@mailitwize.be"), world.enrol("mallory@mailitwize.be")
    neighbour = open_browser()
    await browser.come_in(alice)
    await neighbour.come_in(mallory)
    own, planted = str(browser.cookie), str(neighbour.cookie)
    for before in (b"\xa0", b"\x85", b"\xc2\xa0", b"\xe2\x80\x80", b"x", b'"'):
        with case(before):
            foreign = before + f"{COOKIE}={planted}".encode()
            ours = f"{COOKIE}={own}".encode()
            assert (await _seen_with(open_browser, foreign)).url.path == "/login"
            for cookies in (foreign + b"; " + ours, ours + b"; " + foreign):
                assert alice.name in (await _seen_with(open_browser, cookies)).text


async def _seen_with(open_browser: BrowserMaker, cookies: bytes) -> httpx.Response:
    visitor = open_browser()
    request = httpx.Request("GET", f"{ORIGIN}/account", headers=[(b"host", HOST.encode()), (b"cookie", cookies)])
    return await visitor.client.send(request, follow_redirects=True)
