"""A browser without a screen: it keeps cookies, reads forms out of pages, and submits them as a browser would.

Holds no tests. It speaks to the real application of a real installation, without a socket between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx
from starlette.applications import Starlette

from tests.world import Person, World

HOST = "2fa.mailitwize.be"
ORIGIN = f"https://{HOST}"
COOKIE = "__Host-mailauth"


@dataclass
class WebForm:
    """A form of a page: where it goes, and what it sends if nothing is typed."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[WebForm] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._form: WebForm | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        if tag == "form":
            self._form = WebForm(found.get("method", "get"), found.get("action", ""))
            self.forms.append(self._form)
        elif tag == "input" and self._form is not None and found.get("name"):
            if found.get("type") != "checkbox" or "checked" in found:
                self._form.fields[found["name"]] = found.get("value", "")
        elif tag == "a" and found.get("href"):
            self.links.append(found["href"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None


def read(response: httpx.Response) -> _Reader:
    """Return what a page is made of."""
    reader = _Reader()
    reader.feed(response.text)
    return reader


def form_to(response: httpx.Response, action: str) -> WebForm:
    """Return the form of a page that goes somewhere."""
    found = [form for form in read(response).forms if form.action == action]
    assert found, f"no form to {action} in:\n{words(response)}"
    return found[0]


def words(response: httpx.Response) -> str:
    """Return what a page says, without its markup."""
    import html

    main = re.search(r"<main.*?</main>", response.text, re.DOTALL)
    text = re.sub(r"<[^>]*>", " ", main[0] if main else response.text)
    return " ".join(html.unescape(text).split())


class Browser:
    """Somebody's browser."""

    def __init__(self, app: Starlette, world: World, peer: str | None = "127.0.0.1", **headers: str) -> None:
        """Come from an address; from None over a Unix socket."""
        self.app = app
        self.world = world
        transport = httpx.ASGITransport(app=app, client=None if peer is None else (peer, 40000))  # type: ignore[arg-type]
        self.client = httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=headers)

    @property
    def cookie(self) -> str | None:
        """The session cookie that it holds now."""
        return self.client.cookies.get(COOKIE)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """Open a page; redirects are followed."""
        return await self.client.get(path, follow_redirects=True, **options)

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        """Send a form as it is; nothing is followed."""
        return await self.client.post(path, data=fields, headers={"Origin": ORIGIN, **headers})

    async def submit(self, page: httpx.Response, action: str, **typed: str) -> httpx.Response:
        """Fill in a form of a page and send it; redirects are followed."""
        form = form_to(page, action)
        response = await self.post(action, {**form.fields, **typed})
        while response.next_request is not None:
            response = await self.client.send(response.next_request)
        return response

    async def log_in(self, person: Person, code: str = "", password: str | None = None) -> httpx.Response:
        """Log in through the form."""
        page = await self.get("/login")
        secret = person.password if password is None else password
        return await self.submit(page, "/login", account=person.name, password=secret, code=code)

    async def come_in(self, person: Person) -> httpx.Response:
        """Log in an enrolled person with this step's code, and wait for the next step."""
        page = await self.log_in(person, person.code(self.world.clock()))
        assert page.url.path == "/account", words(page)
        self.world.clock.advance(seconds=30)
        return page

    def proof(self, person: Person) -> dict[str, str]:
        """Return what proves a person again, with a code that is not spent."""
        self.world.clock.advance(seconds=30)
        return {"password": person.password, "code": person.code(self.world.clock())}

    async def begin_set_up(self, person: Person) -> httpx.Response:
        """Log in, begin, confirm the password; return the page with the QR code."""
        await self.log_in(person)
        page = await self.get("/setup/confirm")
        page = await self.submit(page, "/setup/confirm", password=person.password)
        assert page.url.path == "/setup/scan", words(page)
        person.seed = seed_on(page)
        return page

    async def enrol(self, person: Person) -> httpx.Response:
        """Do the whole set-up; return the page with the recovery codes."""
        page = await self.begin_set_up(person)
        page = await self.submit(page, "/setup/scan", code=person.code(self.world.clock()))
        assert page.status_code == 200, words(page)
        self.world.clock.advance(seconds=30)
        return page


def seed_on(page: httpx.Response) -> bytes:
    """Return the seed that a page shows as a key."""
    import base64

    found = re.search(r'data-text="([A-Z2-7]{32})"', page.text)
    assert found, words(page)
    return base64.b32decode(found[1])


def codes_on(page: httpx.Response) -> list[str]:
    """Return the recovery codes that a page shows."""
    return re.findall(r"<li>([a-z2-9]{4}(?:-[a-z2-9]{4}){3})</li>", page.text)
