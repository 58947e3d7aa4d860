"""Every link from every page: the headers of WEB3 on every response, errors included, and no secret where it can stay.

A browser goes through all pages first, and all that it was sent is looked at; then a crawler follows whatever those
pages link to, send to or load, as the same person and as a stranger, and asks for what is not there.
"""

from __future__ import annotations

import http.client
import re
import socket
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import APIRequestContext, APIResponse

from tests.portal.browsing import Visitor
from tests.portal.conftest import Come
from tests.portal.touring import Tour
from tests.stack.people import until
from tests.stack.sandboxes import Sandbox

HEADERS = {
    "content-security-policy": "default-src 'none'",
    "strict-transport-security": "max-age=",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
LINK = re.compile(r"""(?:href|src|action)=["']([^"'#]+)""")


def lacking(headers: dict[str, str], media_type: str) -> list[str]:
    """What is missing or loose in a response's headers."""
    wrong = [name for name, start in HEADERS.items() if not headers.get(name, "").startswith(start)]
    policy = headers.get("content-security-policy", "")
    wrong += [f"{word} in the policy" for word in ("unsafe", "*", "http:", "https:") if word in policy]
    wrong += [
        f"no {part}" for part in ("frame-ancestors 'none'", "base-uri 'none'", "form-action") if part not in policy
    ]
    if "server" in headers:
        wrong.append("says what it runs on")
    if media_type == "text/html" and "charset=utf-8" not in headers.get("content-type", ""):
        wrong.append("no charset")
    return wrong


class Crawler:
    """Asks for everything that pages name, and notes what was wrong with the answers."""

    def __init__(self, portal: str, request: APIRequestContext) -> None:
        self.portal = portal
        self.request = request
        self.wrong: list[str] = []
        self.errors: list[str] = []
        self.seen: set[str] = set()

    def crawl(self, *starts: str) -> None:
        waiting = list(starts)
        while waiting:
            path = waiting.pop()
            if path in self.seen:
                continue
            self.seen.add(path)
            answer = self.ask("GET", path)
            if answer.headers.get("content-type", "").startswith("text/html"):
                waiting += self.links(path, answer.text())

    def links(self, path: str, text: str) -> list[str]:
        found = (urljoin(self.portal + path, each.replace("&amp;", "&")) for each in LINK.findall(text))
        return [each.removeprefix(self.portal) for each in found if each.startswith(self.portal + "/")]

    def ask(self, method: str, path: str, **options: object) -> APIResponse:
        answer = self.request.fetch(self.portal + path, method=method, max_redirects=0, **options)  # type: ignore[arg-type]
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        self.wrong += [f"{method} {path} ({answer.status}): {each}" for each in lacking(answer.headers, media_type)]
        if answer.status >= 400:
            self.errors.append(answer.text())
        return answer


def test_every_response_has_the_headers_and_no_secret_stays_anywhere(come: Come, sandbox: Sandbox) -> None:
    """Requirements WEB3 and WEB4."""
    visitor: Visitor = come()
    tour = Tour(visitor, sandbox)
    visitor.page.on("request", lambda request: urls.append(request.url))
    urls: list[str] = []
    titles = [visitor.page.title() for _ in tour.pages()]
    wrong = [
        f"{each.request.method} {each.url} ({each.status}): {problem}"
        for each in visitor.responses
        for problem in lacking(each.all_headers(), each.all_headers().get("content-type", "").partition(";")[0])
    ]
    assert not wrong, "\n".join(wrong)

    me = Crawler(sandbox.portal, visitor.context.request)
    me.crawl("/", *(urlsplit(url).path for url in urls))
    assert {"/account", "/help/lost-phone", "/static/portal.css", "/login"} <= me.seen
    stranger = Crawler(sandbox.portal, come().context.request)
    stranger.crawl(*me.seen)
    for crawler in (me, stranger):
        ask_for_errors(crawler, sorted(me.seen))
        assert not crawler.wrong, "\n".join(crawler.wrong)

    # Of whom somebody has told it, the portal says nothing but to their face.
    secrets = {secret for secret in tour.secrets if not re.fullmatch(r"\d{6}", secret)}
    assert len(secrets) > 20
    links = {secret for secret in secrets if any(f"/link/{secret}" in url for url in urls)}
    assert len(links) == 2
    in_urls = [url for url in urls for secret in secrets - links if secret in url]
    assert not in_urls
    referrers = [each.request.headers.get("referer", "") for each in visitor.responses]
    assert not [referrer for referrer in referrers for secret in secrets if secret in referrer]
    assert not [title for title in titles for secret in secrets if secret in title]
    assert not [text for text in (*me.errors, *stranger.errors) for secret in secrets if secret in text]
    visitor.page.close()
    until(lambda: "/link/{token}" in logged(sandbox), "the visits are logged")
    assert not [secret for secret in secrets if secret in logged(sandbox)]


@pytest.mark.parametrize(
    "said",
    [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n", b"x" * 70_000],
)
def test_what_is_no_request_is_refused_with_the_headers_as_well(sandbox: Sandbox, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", sandbox.portal_port), timeout=20) as client:
        client.sendall(said)
        answer = http.client.HTTPResponse(client)
        answer.begin()
        assert answer.status == 400
        headers = {name.lower(): content for name, content in answer.getheaders()}
        assert not lacking(headers, "")
        assert int(headers["content-length"]) == len(answer.read())
        assert client.recv(1) == b""


def logged(sandbox: Sandbox) -> str:
    """What all servers have logged, as text."""
    return sandbox.logged()


def ask_for_errors(crawler: Crawler, paths: list[str]) -> None:
    """Ask for what is refused: without a token, by other methods, too much, for another host, for nothing."""
    statuses = set()
    own = {"Origin": crawler.portal}
    for path in paths:
        statuses.add(crawler.ask("POST", path, form={"password": "x", "code": "123456"}, headers=own).status)
        statuses.add(crawler.ask("DELETE", path, headers=own).status)
    for path in (
        "/nothing",
        "/account/nothing",
        "/static/../../etc/passwd",
        "/link/",
        "/%00",
        "/static/%2e%2e/app.py",
        "/static/nothing.css",
        "/" + "a" * 4000,
        "/account/app-passwords/9/revoke",
        "/account/app-passwords/0/waiting",
        "/account/app-passwords/99999999999999999999/revoke",
    ):
        statuses.add(crawler.ask("GET", path).status)
    statuses.add(
        crawler.ask("POST", "/login", headers={"Origin": "https://evil.example"}, form={"account": "x"}).status
    )
    statuses.add(crawler.ask("GET", "/login", headers={"Host": "evil.example"}).status)
    statuses.add(crawler.ask("POST", "/login", data="x" * 100_000, headers=own).status)
    crawler.ask("HEAD", "/login")
    crawler.ask("OPTIONS", "/login")
    assert {400, 403, 404, 405, 413} <= statuses, statuses
    assert not {status for status in statuses if status >= 500}
