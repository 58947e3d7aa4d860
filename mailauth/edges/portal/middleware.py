"""What holds for every request and every response, whatever page it is about: the outermost layer.

Refuses requests for another host, from another site, or larger than a form can be; puts the security headers on
every response, errors included (requirement WEB3); writes one access log line a request, with the route's template
in place of the path, which may hold a token; and turns whatever goes wrong further in into a page without a
traceback.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mailauth.core.web_addresses import host_of, origin_of
from mailauth.edges.portal import errors
from mailauth.edges.portal.site import Portal
from mailauth.edges.portal.visit import client_of
from mailauth.effects import log_lines
from mailauth.effects.log_lines import pair
from mailauth.vocabulary.errors import InvalidValue

_log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024
BUSY = "reason=busy"
MAX_SAID = 100
"""Characters of what a refused request said that stand in the log."""
MAX_UNDER_WAY = 400
"""Requests that are answered at the same time; more are asked to come again. One whose body has not come is not among
them: what holds it is the sender, and how many of these there may be is for connections.py."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self' data:",
        "script-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "connect-src 'self'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Strict-Transport-Security": "max-age=31536000",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), clipboard-read=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_QUIET_ROUTES = frozenset({"/static/{name:path}", "/healthz"})


class Guard:
    """ASGI middleware, outside of everything else."""

    def __init__(self, app: ASGIApp, portal: Portal) -> None:
        self._app = app
        self._portal = portal
        self._under_way = _UnderWay()
        self._has_warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        exchange = _Exchange(receive, send, self._under_way)
        try:
            with self._under_way:
                await self._answer(scope, exchange)
        finally:
            self._record(scope, exchange, time.perf_counter() - started)

    async def _answer(self, scope: Scope, exchange: "_Exchange") -> None:
        request = Request(scope, exchange.receive)
        refusal = self._refusal(request.headers, scope["method"])
        try:
            if refusal is None:
                await self._app(scope, exchange.receive, exchange.send)
                return
            status, exchange.reason = refusal
        except Exception as error:
            if exchange.status is not None:
                _log.exception("a response broke off", extra={log_lines.FIELDS: {"route": _route(scope)}})
                return
            if not isinstance(error, HTTPException):
                _log.exception("a page failed", extra={log_lines.FIELDS: {"route": _route(scope)}})
            status = error.status_code if isinstance(error, HTTPException) else 500
        try:
            response = await errors.page(self._portal, request, status)
        except Exception:
            _log.exception("an error has no page", extra={log_lines.FIELDS: {"route": _route(scope)}})
            response = PlainTextResponse("This did not work. Please try again later.\n", status_code=500)
        await response(scope, exchange.receive, exchange.send)

    def _refusal(self, headers: Headers, method: str) -> tuple[int, str] | None:
        """Return the status by which a request is refused before it is looked at, and why for the log; or None."""
        if self._under_way.is_too_much:
            return 503, BUSY
        hosts = headers.getlist("host")
        if not is_our_host(hosts, self._portal.own_host):
            return 400, _said("foreign-host", "host", hosts, self._portal.own_host)
        if method not in _SAFE_METHODS and not is_same_origin(headers, self._portal.own_origin):
            site = headers.get("sec-fetch-site", "")
            reason = _said("foreign-origin", "origin", headers.getlist("origin"), self._portal.own_origin)
            return 403, f"{reason} {pair('site', site[:MAX_SAID])}" if site else reason
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            return 400, "reason=no-length"
        return (413, "reason=too-large") if int(length[:20]) > MAX_BODY_BYTES else None

    def _record(self, scope: Scope, exchange: "_Exchange", seconds: float) -> None:
        status = exchange.status
        route = _route(scope)
        is_quiet = route in _QUIET_ROUTES and status is not None and status < 400
        if not _log.isEnabledFor(logging.DEBUG if is_quiet else logging.INFO):
            return
        client = client_of(self._portal, Request(scope))
        if client is None and not self._has_warned:
            self._has_warned = True
            _log.warning("the web server forwards no address (X-Forwarded-For): to the limits all clients are one")
        words = partial(_words, scope["method"], route, status, str(client or ""), exchange.reason, seconds)
        log_lines.write("request", words)


class _UnderWay:
    """How many requests are being answered: those that have begun, but for those that wait for their own sender.

    That is for the rest of a body, or until what was answered is read.
    """

    def __init__(self) -> None:
        self._count = 0

    @property
    def is_too_much(self) -> bool:
        return self._count > MAX_UNDER_WAY

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Do not count a request as long as it waits for its sender."""
        self._count -= 1
        try:
            yield
        finally:
            self._count += 1


class _Exchange:
    """A request's body, counted, and its response, with our headers on it."""

    def __init__(self, receive: Receive, send: Send, under_way: _UnderWay) -> None:
        self._receive = receive
        self._send = send
        self._under_way = under_way
        self._received_bytes = 0
        self.reason = ""
        self.status: int | None = None

    async def receive(self) -> Message:
        with self._under_way.waiting():
            message = await self._receive()
        if self._under_way.is_too_much:
            self.reason = BUSY
            raise HTTPException(503)
        self._received_bytes += len(message.get("body", b""))
        if self._received_bytes > MAX_BODY_BYTES:
            raise HTTPException(413)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=list(message["headers"]))
            for name, content in HEADERS.items():
                headers[name] = content
            message = {**message, "headers": headers.raw}
        with self._under_way.waiting():
            await self._send(message)


def is_our_host(presented: list[str], own: str) -> bool:
    """Tell whether a request is for the portal's own host, or for this very machine.

    Whatever the port: many a web server hands on the name alone, and a page that is fetched by a name that was made
    to mean us (DNS rebinding) has the wrong name.
    """
    if len(presented) != 1:
        return False
    host = _host(presented[0])
    return host == own or is_loopback(host)


def is_same_origin(headers: Headers, own: str) -> bool:
    """Tell whether a request that may change something was sent by one of our own pages.

    Whatever the browser says of it has to be right: Origin (RFC 6454 s7) and Sec-Fetch-Site (W3C Fetch Metadata).
    Under `Referrer-Policy: no-referrer` browsers send forms with `Origin: null` (Fetch, "append a request `Origin`
    header"), which by itself says nothing; so does an older browser that sends neither. The token decides then.
    """
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origins = headers.getlist("origin")
    if not origins or origins == ["null"]:
        return True
    if len(origins) != 1:
        return False
    try:
        origin, host = origin_of(origins[0]), headers.get("host", "")
        if origin == own:
            return True
        return is_loopback(host_of(host)) and origin in (origin_of(f"http://{host}"), origin_of(f"https://{host}"))
    except InvalidValue:
        return False


def is_loopback(host: str) -> bool:
    """Tell whether a host, in its one form, is this machine."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _host(presented: str) -> str:
    try:
        return host_of(presented)
    except InvalidValue:
        return ""


def _said(reason: str, name: str, presented: list[str], own: str) -> str:
    """Return why a request is refused, with what it said, and what is right by the configuration."""
    said = ",".join(presented)[:MAX_SAID]
    return " ".join((pair("reason", reason), pair(name, said or "-"), pair("expected", own)))


def _route(scope: Scope) -> str:
    path = getattr(scope.get("route"), "path", "")
    return path if isinstance(path, str) else ""


def _words(method: str, route: str, status: int | None, client: str, reason: str, seconds: float) -> str:
    pairs = [pair("method", method[:20]), pair("route", route or "-"), f"status={status or 0}"]
    if client:
        pairs.append(pair("client", client))
    if reason:
        pairs.append(reason)
    return " ".join([*pairs, f"ms={seconds * 1000:.1f}"])
