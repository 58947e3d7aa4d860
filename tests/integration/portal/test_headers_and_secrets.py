"""Requirements WEB3, WEB4 and LIM6: headers on every response, no secret where it would stay, and who is believed."""

import io
import logging
import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.applications import Starlette

from mailauth.edges.portal import app as portal
from mailauth.edges.portal.middleware import HEADERS, MAX_BODY_BYTES
from mailauth.effects import log_lines
from mailauth.effects.store.database import Database
from mailauth.vocabulary.errors import StoreUnavailable
from mailauth.vocabulary.model import AccountName
from tests.cases import case
from tests.integration.portal.browsing import ORIGIN, Browser, codes_on, form_to, read, words
from tests.integration.portal.routes import paths
from tests.world import Person, World, WorldMaker


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Give what is logged, at every level, in the product's own format."""
    stream, root = io.StringIO(), logging.getLogger()
    before, level = list(root.handlers), root.level
    log_lines.set_up("debug", stream)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    yield stream
    log_lines._output.flush()
    root.handlers[:] = before
    root.setLevel(level)
    log_lines._output.stream = __import__("sys").stderr


def _lack(response: httpx.Response) -> list[str]:
    return [name for name, content in HEADERS.items() if response.headers.get(name) != content]


async def test_every_response_has_the_headers_errors_and_files_too(
    world: World, app: Starlette, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await browser.come_in(world.enrol("alice@mailitwize.be"))
    answers = [await browser.client.get(path) for path in paths(app, "GET")]
    answers += [await browser.client.post(path, data={"csrf": ""}) for path in paths(app, "POST")]
    answers.append(await browser.client.post("/login"))
    for path in ("/nothing", "/static/portal.css", "/static/brand.css", "/static/nothing.css", "/login/"):
        answers.append(await browser.client.get(path))
    answers.append(await browser.client.delete("/login"))
    answers.append(await browser.client.post("/login", content=b"x" * (MAX_BODY_BYTES + 1)))
    answers.append(await browser.client.get("/login", headers={"Host": "evil.example"}))
    seen = {answer.status_code for answer in answers}
    assert seen >= {200, 303, 400, 403, 404, 405, 413, 415}

    def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("canary of a traceback")

    monkeypatch.setattr(type(world.installation.sessions), "csrf_token", breaks)
    answers.append(await browser.client.get("/help"))  # the page that says so needs a token as well
    assert answers[-1].status_code == 500
    assert "canary" not in answers[-1].text
    monkeypatch.undo()
    for answer in answers:
        assert not _lack(answer), answer.url
        assert "server" not in answer.headers
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


async def test_no_page_has_code_or_styles_in_it(world: World, app: Starlette, browser: Browser) -> None:
    pages = [await browser.enrol(world.add("alice@mailitwize.be"))]
    pages += [await browser.get(path) for path in paths(app, "GET") if not path.endswith((".json", "/healthz"))]
    for page in pages:
        for tag, attributes in read(page).tags:
            assert "style" not in attributes, (page.url, tag)
            assert not [name for name in attributes if name.startswith("on")], (page.url, tag)
            assert tag != "style"
            assert tag != "script" or attributes.get("src")


ERRORS = {400: "could not read", 404: "nothing at this address", 405: "could not read", 413: "could not read"}


@pytest.mark.parametrize("status", ERRORS)
async def test_errors_look_like_every_page(browser: Browser, status: int) -> None:
    answer = {
        400: lambda: browser.client.get("/login", headers={"Host": "evil.example"}),
        404: lambda: browser.client.get("/nothing"),
        405: lambda: browser.client.put("/login", headers={"Origin": ORIGIN}),
        413: lambda: browser.client.post("/login", content=b"x" * (MAX_BODY_BYTES + 1), headers={"Origin": ORIGIN}),
    }[status]
    page = await answer()
    assert page.status_code == status
    assert ERRORS[status] in words(page)
    assert "/help/lost-phone" in read(page).links


async def test_a_body_without_a_length_is_capped_too(browser: Browser) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"a" * 1024

    page = await browser.client.post(
        "/login",
        content=endless(),
        headers={"Origin": ORIGIN, "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert page.status_code == 413


async def test_a_page_that_fails_shows_no_traceback_and_logs_it(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    async def fails(*_: object) -> None:
        raise RuntimeError("canary of a traceback")

    monkeypatch.setattr("mailauth.edges.portal.routing.begin_visit", fails)
    page = await browser.client.get("/login")
    log_lines._output.flush()
    assert page.status_code == 500
    assert "The mistake is ours" in words(page)
    assert "canary" not in page.text
    assert "canary of a traceback" in log.getvalue()
    assert not _lack(page)


async def test_a_database_that_cannot_be_asked_is_a_page_to_come_again(
    world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await browser.come_in(world.enrol("alice@mailitwize.be"))

    async def unavailable(_self: Database, _job: object) -> None:
        raise StoreUnavailable("database gone")

    monkeypatch.setattr(Database, "run", unavailable)
    for page in (await browser.get("/account"), await browser.get("/help")):
        assert page.status_code == 503
        assert int(page.headers["retry-after"]) > 0
        assert "try again in a minute" in words(page)
        assert not _lack(page)


async def test_no_secret_is_in_an_address_a_header_a_title_a_log_line_or_an_error(
    world: World, app: Starlette, browser: Browser, log: io.StringIO
) -> None:
    alice = world.add("alice@mailitwize.be", "canary-password-42")
    answers: list[httpx.Response] = []

    async def keep(response: httpx.Response) -> None:
        answers.append(response)

    browser.client.event_hooks["response"].append(keep)
    scan = await browser.begin_set_up(alice)
    wrong = await browser.submit(scan, "/setup/scan", code="000000")
    page = await browser.submit(wrong, "/setup/scan", code=alice.code(world.clock()))
    codes = codes_on(page)
    made = await browser.submit(
        await browser.get("/account/app-passwords/new"),
        "/account/app-passwords/new",
        name="phone",
        services="imap",
        **browser.proof(alice),
    )
    app_password = re.search(r'data-text="([a-z2-9]{24})"', made.text)
    assert app_password, words(made)
    token = "canaryTokenOfALink" + "x" * 25
    await browser.client.get(f"/link/{token}")
    await browser.client.post(f"/link/{token}", headers={"Origin": ORIGIN})
    for path in paths(app, "GET"):
        await browser.client.get(path)
    log_lines._output.flush()

    import base64

    seed = base64.b32encode(alice.seed).decode()
    secrets = [alice.password, seed, app_password[1], browser.cookie or "", *codes]
    secrets += [code.replace("-", "") for code in codes]
    lines = log.getvalue()
    assert "verdict=granted" in lines
    assert "route=/link/{token}" in lines or 'route="/link/{token}"' in lines
    for secret in [*secrets, token, "csrf"]:
        assert secret not in lines
    for answer in answers:
        title = re.search(r"<title>(.*?)</title>", answer.text, re.DOTALL)
        headers = {name: content for name, content in answer.headers.items() if name != "set-cookie"}
        for secret in secrets:
            assert secret not in str(answer.url)
            assert secret not in str(headers)
            assert secret not in (title[1] if title else "")
            if answer.status_code >= 400 and secret != seed:
                assert secret not in answer.text
    for answer in answers:
        assert token not in answer.text
        assert token not in str(answer.headers)


async def test_a_password_never_comes_back_into_a_page(world: World, browser: Browser) -> None:
    page = await browser.get("/login")
    page = await browser.submit(
        page, "/login", account="alice@mailitwize.be", password="canary-password-42", code="314159"
    )
    assert page.status_code == 422
    assert "canary" not in page.text
    assert "314159" not in page.text
    assert 'value="alice@mailitwize.be"' in page.text


PROXY_NAMED = ("portal.listen=192.0.2.8:8425", 'portal.trusted_proxies=["192.0.2.1"]')


async def test_at_a_port_a_forwarded_address_counts_from_a_named_proxy_only(
    make_world: WorldMaker, log: io.StringIO
) -> None:
    """LIM6: not from this machine, every user of which could claim to be anybody."""
    world = make_world(*PROXY_NAMED)
    for peer, forwarded, client in (
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("127.0.0.1", "198.51.100.1", "127.0.0.1"),
        ("::1", "198.51.100.1", "::1"),
        ("192.0.2.1", "198.51.100.1", "198.51.100.1"),
        ("192.0.2.1", "198.51.100.66, 198.51.100.1", "198.51.100.1"),
        ("192.0.2.1", "198.51.100.1, 192.0.2.1", "198.51.100.1"),
        ("192.0.2.1", "[2001:db8::7]:5050", "2001:db8::7"),
        ("192.0.2.1", "198.51.100.1:4711", "198.51.100.1"),
        ("192.0.2.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("192.0.2.1", "unknown", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.1, _hidden", "192.0.2.1"),
        ("192.0.2.1", "", "192.0.2.1"),
        # Its address cannot be asked for any more: that makes it no Unix socket.
        (None, "198.51.100.1", ""),
    ):
        with case(peer, forwarded, client):
            assert await client_in_the_log(world, log, peer, forwarded) == client


async def test_at_the_unix_socket_the_web_server_says_who_the_client_is(
    make_world: WorldMaker, log: io.StringIO
) -> None:
    """LIM6: where it says nothing, nobody's address is known, and the log tells the administrator."""
    world = make_world('portal.trusted_proxies=["192.0.2.1"]')
    for forwarded, client in (
        ("198.51.100.1", "198.51.100.1"),
        ("198.51.100.66, 198.51.100.1", "198.51.100.1"),
        ("198.51.100.66, 192.0.2.1", "198.51.100.66"),
        ("198.51.100.66, unix:", ""),
        ("", ""),
    ):
        with case(forwarded, client):
            assert await client_in_the_log(world, log, None, forwarded) == client
            assert ("forwards no address" in log.getvalue()) == (not client)


async def client_in_the_log(world: World, log: io.StringIO, peer: str | None, forwarded: str) -> str:
    """Try to log in, and return the client's address in the line about it."""
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    browser = Browser(portal.build(world.installation), world, peer, **headers)
    await browser.log_in(Person(AccountName("nobody"), "wrong"))
    log_lines._output.flush()
    login = [line for line in log.getvalue().splitlines() if " login " in line][-1]
    found = re.search(r" client=(\S+)", login)
    return found[1] if found else ""


async def test_the_host_has_to_be_ours_or_this_machine(browser: Browser) -> None:
    """However it is written, and with whatever port: many a web server hands on the name alone."""
    for host, status in (
        ("2fa.mailitwize.be", 200),
        ("2FA.mailitwize.be", 200),
        ("2fa.mailitwize.be:443", 200),
        ("2fa.mailitwize.be.", 200),
        ("2fa.mailitwize.be.:8443", 200),
        ("127.0.0.1:8425", 200),
        ("localhost", 200),
        ("[::1]:8425", 200),
        ("mailitwize.be", 400),
        ("2fa.mailitwize.be..", 400),
        ("2fa.mailitwize.be.evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("2fa.mailitwize.be@evil.example", 400),
        ("2fa.mailitwize.be:x", 400),
        ("", 400),
    ):
        answer = await browser.client.get("/login", headers={"Host": host})
        assert answer.status_code == status, host


async def test_however_the_portals_address_is_written_one_can_log_in_there(make_world: WorldMaker) -> None:
    """`Host` and `Origin` as browsers and web servers write them, for each way to write portal.url."""
    plain, port = ORIGIN.removeprefix("https://"), ":8443"
    for url, hosts, origin in (
        (f"{ORIGIN}:443", (plain, f"{plain}:443"), ORIGIN),
        (f"{ORIGIN}.", (plain, f"{plain}."), ORIGIN),
        (ORIGIN, (f"{plain}.",), f"{ORIGIN}."),
        (f"{ORIGIN}{port}", (f"{plain}{port}", plain), f"{ORIGIN}{port}"),
        ("https://zw\u00f6lf.example", ("xn--zwlf-6qa.example",), "https://xn--zwlf-6qa.example"),
        ("https://[2001:db8:0::7]", ("[2001:db8::7]",), "https://[2001:db8::7]"),
        ("http://localhost:8425", ("localhost:8425", "localhost"), "http://localhost:8425"),
    ):
        world = make_world(f"portal.url={url}", "portal.listen=127.0.0.1:8425", 'portal.trusted_proxies=["192.0.2.1"]')
        browser = Browser(portal.build(world.installation), world)
        for host in hosts:
            with case(url, host, origin):
                page = await browser.client.get("/login", headers={"Host": host})
                assert page.status_code == 200
                token = form_to(page, "/login").fields
                answer = await browser.post("/login", token, Host=host, Origin=origin)
                assert answer.status_code == 422, "the form is taken, and its fields are looked at"
                for other in ("https://evil.example", f"{origin}1", origin.replace("https", "http", 1) + "0"):
                    assert (await browser.post("/login", token, Host=host, Origin=other)).status_code == 403, other


async def test_the_log_says_why_a_request_is_refused(browser: Browser, log: io.StringIO) -> None:
    """What it said and what would be right; at most so much of it, in one line."""
    await browser.client.get("/login", headers={"Host": "mail.example.org:8443"})
    await browser.client.get("/login", headers={"Host": "x" * 500 + ' y="'})
    page = await browser.get("/login")
    await browser.post("/login", form_to(page, "/login").fields, Origin="https://mail.example.org")
    await browser.post("/login", {"account": "x" * 70_000})
    log_lines._output.flush()
    reasons = [line.partition(" reason=")[2] for line in log.getvalue().splitlines() if " reason=" in line]
    assert [reason.rpartition(" ms=")[0] for reason in reasons] == [
        f"foreign-host host=mail.example.org:8443 expected={ORIGIN.removeprefix('https://')}",
        f"foreign-host host={'x' * 100} expected={ORIGIN.removeprefix('https://')}",
        f"foreign-origin origin=https://mail.example.org expected={ORIGIN}",
        "too-large",
    ]
