"""Requirement WEB1: no change by GET, and none by POST without the visitor's own token and from our own pages."""

import pytest
from sqlalchemy import select
from starlette.applications import Starlette

from mailauth.effects.store.tables import metadata
from tests.cases import case
from tests.integration.portal.browsing import COOKIE, ORIGIN, Browser, form_to
from tests.integration.portal.conftest import BrowserMaker
from tests.integration.portal.routes import paths
from tests.transactions import reading
from tests.world import World

FIELDS = {
    "account": "alice@mailitwize.be",
    "password": "correct horse",
    "language": "nl",
    "name": "phone",
    "services": "imap",
    "address": "alice@elsewhere.example",
    "skip": "yes",
}
LATE = {"last_seen_at"}
"""What any click renews."""


def everything(world: World) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables, but for the moment at which a session was seen last."""
    world.installation.database.engine.dispose()
    with reading(world.installation.database) as connection:
        return {
            table.name: [
                tuple(row)
                for row in connection.execute(
                    select(*[column for column in table.columns if column.name not in LATE]).order_by(table.c[0])
                )
            ]
            for table in metadata.sorted_tables
        }


async def _enrolled(world: World, browser: Browser) -> None:
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    world.installation.app_passwords.make(alice.name, "old phone")


async def _token(browser: Browser) -> str:
    return form_to(await browser.get("/account"), "/logout").fields["csrf"]


FORGERIES = {
    "no token": ({}, {"Origin": ORIGIN}),
    "a wrong token": ({"csrf": "x" * 43}, {"Origin": ORIGIN}),
    "an empty token": ({"csrf": ""}, {"Origin": ORIGIN}),
    "a stranger's token": ({"csrf": "THEIRS"}, {"Origin": ORIGIN}),
    "another origin": ({"csrf": "OURS"}, {"Origin": "https://evil.example"}),
    "our origin without TLS": ({"csrf": "OURS"}, {"Origin": "http://2fa.mailitwize.be"}),
    "our origin as a prefix": ({"csrf": "OURS"}, {"Origin": f"{ORIGIN}.evil.example"}),
    "no origin from another site": ({"csrf": "OURS"}, {"Sec-Fetch-Site": "cross-site"}),
    "no origin from a sister site": ({"csrf": "OURS"}, {"Sec-Fetch-Site": "same-site"}),
    "null origin from another site": ({"csrf": "OURS"}, {"Origin": "null", "Sec-Fetch-Site": "cross-site"}),
    "our origin from another site": ({"csrf": "OURS"}, {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}),
}


async def test_a_forged_form_is_refused_by_every_page_and_changes_nothing(
    world: World, app: Starlette, browser: Browser, open_browser: BrowserMaker
) -> None:
    await _enrolled(world, browser)
    ours = await _token(browser)
    theirs = form_to(await open_browser().get("/login"), "/login").fields["csrf"]
    tokens = {"OURS": ours, "THEIRS": theirs}
    for forgery, (forged, headers) in FORGERIES.items():
        with case(forgery):
            fields = {**FIELDS, **{key: tokens.get(value, value) for key, value in forged.items()}}
            before, cookie = everything(world), browser.cookie
            for path in paths(app, "POST"):
                response = await browser.client.post(path, data=fields, headers=headers)
                assert response.status_code == 403, path
                assert "text/html" in response.headers["content-type"]
                assert everything(world) == before, path
                assert browser.cookie == cookie, path


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}, {}],
    ids=["another site", "null origin", "no origin"],
)
async def test_a_forged_form_leaves_the_visitors_cookie_alone(
    app: Starlette, browser: Browser, headers: dict[str, str]
) -> None:
    """Another site's form comes without our cookie (SameSite=Lax); one set in the answer would end the session."""
    for path in paths(app, "POST"):
        browser.client.cookies.clear()
        response = await browser.client.post(path, data=FIELDS, headers=headers)
        assert response.status_code == 403, path
        assert "set-cookie" not in response.headers, path


async def test_who_lost_the_cookie_logs_in_on_the_next_try(world: World, browser: Browser) -> None:
    alice = world.enrol("alice@mailitwize.be")
    page = await browser.get("/login")
    browser.client.cookies.clear()
    refused = await browser.submit(page, "/login", account=alice.name, password=alice.password)
    assert refused.status_code == 403
    assert "Open the page again" in refused.text
    await browser.come_in(alice)


async def test_the_same_forms_are_taken_with_token_and_origin(world: World, app: Starlette, browser: Browser) -> None:
    """The counterpart: what is refused above is refused for its token or origin alone."""
    await _enrolled(world, browser)
    for headers in ({"Origin": ORIGIN}, {"Origin": "null", "Sec-Fetch-Site": "same-origin"}, {}):
        for path in paths(app, "POST"):
            if path in ("/logout", "/account/sessions"):
                continue
            response = await browser.client.post(path, data={**FIELDS, "csrf": await _token(browser)}, headers=headers)
            assert response.status_code != 403, path


async def test_no_page_changes_anything_when_it_is_opened(world: World, app: Starlette, browser: Browser) -> None:
    await _enrolled(world, browser)
    before = everything(world)
    for method in ("GET", "HEAD"):
        for path in paths(app, "GET"):
            response = await browser.client.request(method, path)
            assert response.status_code < 500, path
            assert everything(world) == before, path


async def test_a_refused_form_comes_back_fresh_and_works(world: World, browser: Browser) -> None:
    alice = world.enrol("alice@mailitwize.be")
    page = await browser.get("/login")
    browser.client.cookies.set(COOKIE, "A" * 43, domain="2fa.mailitwize.be")
    typed = {"account": alice.name, "password": alice.password, "code": alice.code(world.clock())}
    refused = await browser.submit(page, "/login", **typed)
    assert refused.status_code == 403
    assert "This page was open for too long" in refused.text
    assert alice.password not in refused.text
    assert (await browser.submit(refused, "/login", **typed)).url.path == "/account"
