"""One request, as the pages see it: who asks, from where, in which language, with which session.

A visit is made before a page is asked for anything, and knows how to change what the visitor holds: the cookie of a
session and that of a language. It decides nothing about logins.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from gettext import NullTranslations
from typing import Any, TypeVar

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mailauth.edges.portal.clients import address_of, agent_of
from mailauth.edges.portal.site import Portal
from mailauth.usecases.portal_sessions import PortalSessions, Session
from mailauth.vocabulary.errors import SessionOver
from mailauth.vocabulary.languages import LANGUAGES
from mailauth.vocabulary.model import Address, Granted
from mailauth.vocabulary.notices import Origin
from mailauth.wiring import Installation

T = TypeVar("T")

SERVICE = "portal"
SESSION_COOKIE = "__Host-mailauth"
LANGUAGE_COOKIE = "__Host-mailauth-language"
"""`__Host-`: browsers take such a cookie from this very host only, over TLS, for all paths (RFC 6265bis s4.1.3.2)."""
LANGUAGE_LIFE_S = 365 * 24 * 3600

_COOKIE_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")
"""256 bits in base64url."""


@dataclass(slots=True)
class Visit:
    """One request. `cookie` is the value that the visitor will hold after it; `session` is None for strangers.

    `is_stale`: a form came without the token of this cookie; the page is shown again instead, and says so.
    """

    request: Request
    portal: Portal
    cookie: str
    session: Session | None
    language: str
    client: Address | None
    agent: str
    form: FormData = field(default_factory=FormData)
    chosen_language: str | None = None
    is_stale: bool = False

    @property
    def came_with_cookie(self) -> bool:
        """Tell whether the browser sent a session cookie; with another site's POST it sends none (SameSite=Lax)."""
        return _cookie(self.request, SESSION_COOKIE) is not None

    @property
    def comes_from_elsewhere(self) -> bool:
        """Tell whether another site's link or script led here (W3C Fetch Metadata); by GET the cookie comes along."""
        return self.request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")

    @property
    def presented_cookie(self) -> str:
        """The session cookie's value as it came; empty where none did."""
        return _cookie(self.request, SESSION_COOKIE) or ""

    @property
    def me(self) -> Session:
        """The session of a page that is shown to nobody without one."""
        if self.session is None:
            raise RuntimeError("this page was registered for everybody, and needs a session")
        return self.session

    @property
    def installation(self) -> Installation:
        """All that the portal works on."""
        return self.portal.installation

    @property
    def now(self) -> datetime:
        """The moment, by the installation's clock."""
        return self.installation.clock()

    @property
    def origin(self) -> Origin:
        """Who is doing this, for the account's owner."""
        return Origin(SERVICE, self.client, self.agent)

    @property
    def translations(self) -> NullTranslations:
        """The catalog of the visitor's language."""
        return self.installation.languages.translations(self.language)

    @property
    def csrf_token(self) -> str:
        """The token that belongs into every form of this visitor."""
        return self.installation.sessions.csrf_token(self.cookie)

    async def run(self, job: Callable[[], T]) -> T:
        """Return what a job returns that talks to the database. Raises StoreUnavailable or Overloaded."""
        return await self.installation.database.run(job)

    @property
    def zone(self) -> tzinfo:
        """The provider's zone, in which days begin and end."""
        return self.portal.pages.zone

    def show(self, template: str, status: int = 200, **facts: Any) -> Response:
        """Return a page of the portal, as this visitor sees it."""
        return self.portal.pages.show(
            template,
            None if self.session is None else self.session.account.rpartition("@")[2],
            status,
            visit=self,
            language=self.language,
            translations=self.translations,
            session=self.session,
            here=_path_here(self),
            **facts,
        )

    def gettext(self, message: str) -> str:
        """Return a sentence in the visitor's language."""
        return self.translations.gettext(message)

    async def enter(self, granted: Granted) -> None:
        """Begin a session on a verdict; the cookie's value changes, and what it was before opens nothing any more."""
        sessions, before, language = self.installation.sessions, self.cookie, self.language

        def enter() -> str:
            sessions.close(before)
            return sessions.open(granted, self.origin, language)

        await self.hold(await self.run(enter))

    async def renew(self, granted: Granted) -> None:
        """Go on with the same session under a new cookie, after its owner has proved who they are again."""
        sessions, me = self.installation.sessions, self.me
        await self.hold(await self.run(lambda: sessions.renew(me, granted, self.origin)))

    async def hold(self, cookie: str) -> None:
        """Go on with a session that a use case has opened. Raises SessionOver where it has ended since."""
        self.cookie = cookie
        session = await self.run(lambda: self.installation.sessions.load(cookie))
        if session is None:
            raise SessionOver("a session ended while a page was made")
        self.session = session

    def leave(self) -> None:
        """Go on as a stranger, under a new cookie."""
        self.cookie, self.session = PortalSessions.new_cookie(), None

    def go(self, path: str) -> Response:
        """Send the visitor to another page of the portal, by GET."""
        return RedirectResponse(path, status_code=303)

    def take_along(self, response: Response) -> None:
        """Set the cookies that this visit changed."""
        if self.cookie != self.presented_cookie:
            response.set_cookie(SESSION_COOKIE, self.cookie, path="/", secure=True, httponly=True, samesite="lax")
        if self.chosen_language is not None:
            response.set_cookie(
                LANGUAGE_COOKIE,
                self.chosen_language,
                max_age=LANGUAGE_LIFE_S,
                path="/",
                secure=True,
                httponly=True,
                samesite="lax",
            )


async def begin_visit(portal: Portal, request: Request) -> Visit:
    """Return the visit that a request is. Raises StoreUnavailable or Overloaded."""
    cookie = _cookie(request, SESSION_COOKIE) or ""
    session = None
    if _COOKIE_VALUE.fullmatch(cookie):
        session = await portal.installation.database.run(lambda: portal.installation.sessions.load(cookie))
    return _visit(portal, request, session)


def visit_of_stranger(portal: Portal, request: Request) -> Visit:
    """Return a visit without looking at the session: for a page that says that nothing can be looked at."""
    return _visit(portal, request, None)


def _visit(portal: Portal, request: Request, session: Session | None) -> Visit:
    presented = _cookie(request, SESSION_COOKIE) or ""
    chosen = _cookie(request, LANGUAGE_COOKIE)
    own = session.language if session is not None else None
    return Visit(
        request=request,
        portal=portal,
        cookie=presented if _COOKIE_VALUE.fullmatch(presented) else PortalSessions.new_cookie(),
        session=session,
        language=portal.installation.languages.negotiate(request.headers.get("accept-language"), own, chosen),
        client=client_of(portal, request),
        agent=agent_of(request.headers.get("user-agent")),
    )


def _cookie(request: Request, name: str) -> str | None:
    """Return the value of the cookie that has this very name.

    Starlette's reader takes off whatever Python calls a space, a byte 0xA0 among them. Browsers let any neighbour of
    our host set a cookie whose name begins with that, for it is not the one whose prefix they guard.
    """
    for header in request.headers.getlist("cookie"):
        for pair in header.split(";"):
            presented, _, value = pair.partition("=")
            if presented.strip(" \t") == name:
                return value.strip(" \t")
    return None


def client_of(portal: Portal, request: Request) -> Address | None:
    """Return the address that a request came from."""
    peer = request.client.host if request.client is not None else None
    forwarded = request.headers.getlist("x-forwarded-for")
    return address_of(peer, forwarded, portal.trusted_proxies, by_unix_socket=portal.by_unix_socket)


def is_language(text: str) -> bool:
    """Tell whether the portal speaks a language."""
    return text in LANGUAGES


def _path_here(visit: Visit) -> str:
    """Return where a change of language comes back to: the page itself, unless its path holds a token."""
    path = visit.request.url.path
    route = visit.request.scope.get("route")
    is_plain = route is not None and getattr(route, "path", "") == path
    return path if is_plain and visit.request.method == "GET" else "/"
