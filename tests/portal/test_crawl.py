"""What no page may get wrong: the headers on every response, and no secret in any address, log line or error page."""

from __future__ import annotations

import re

import httpx

from tests.portal.browsing import Visitor
from tests.portal.conftest import Come
from tests.portal.touring import Tour
from tests.stack.sandboxes import Sandbox

HEADERS = {
    "content-security-policy": r"default-src 'none'(?!.*unsafe)(?=.*frame-ancestors 'none')(?=.*form-action 'self').*",
    "x-content-type-options": r"nosniff",
    "referrer-policy": r"no-referrer",
    "cache-control": r".*no-store.*",
    "strict-transport-security": r"max-age=\d{7,}.*",
}
"""WEB3."""


def missing(headers: httpx.Headers | dict[str, str]) -> list[str]:
    return [name for name, pattern in HEADERS.items() if not re.fullmatch(pattern, headers.get(name, ""))]


def test_every_response_of_a_walk_past_every_page_has_the_headers_and_no_secret(come: Come, sandbox: Sandbox) -> None:
    """WEB3, WEB4, and point 24 of a good portal: no secret in an address, a log, a title or a referrer."""
    visitor = come()
    tour = Tour(visitor, sandbox)
    titles = [visitor.page.title() for _name in tour.pages()]
    assert len(tour.secrets) > 15
    assert len(visitor.responses) > 80
    wrong = [(each.url, found) for each in visitor.responses if (found := missing(each.headers))]
    assert wrong == []
    # A link in a mail has to carry its token; all other secrets are in no address at all.
    tokens = {each for each in tour.secrets if len(each) == 43 and any(each in r.url for r in visitor.responses)}
    for secret in tour.secrets:
        assert not [title for title in titles if secret in title]
        if secret not in tokens:
            assert not [each.url for each in visitor.responses if secret in each.url]
        referrers = [each.request.headers.get("referer", "") for each in visitor.responses]
        assert not [referrer for referrer in referrers if secret in referrer]
    logged = sandbox.logged()
    assert tour.account.name in logged
    # Six digits may be part of a number; everything else is nowhere.
    found = {secret for secret in tour.secrets if len(secret) > 6 and secret in logged}
    assert found == set()


ODD = (
    ("GET", "/nothing"),
    ("POST", "/nothing"),
    ("PUT", "/login"),
    ("DELETE", "/account"),
    ("GET", "/static/../app.py"),
    ("GET", "/static/%2e%2e/app.py"),
    ("GET", "/static/nothing.css"),
    ("GET", "/link/short"),
    ("GET", "/setup/cancel"),
    ("GET", "/" + "a" * 4000),
    ("GET", "/account/app-passwords/99999999999999999999/revoke"),
    ("GET", "/account/app-passwords/0/waiting"),
    ("OPTIONS", "/login"),
    ("HEAD", "/login"),
    ("GET", "/%00"),
)


def test_errors_have_the_headers_too(sandbox: Sandbox) -> None:
    """WEB3: also what nobody links to, and what is refused before any page is asked."""
    with httpx.Client(base_url=sandbox.portal) as client:
        for method, path in ODD:
            answer = client.request(method, path)
            assert missing(answer.headers) == [], (method, path, answer.status_code)
            assert answer.status_code < 500, (method, path)
            assert "Traceback" not in answer.text
        too_big = client.post("/login", content=b"x" * 200_000)
        assert too_big.status_code == 413
        assert missing(too_big.headers) == []
        other_host = client.get("/login", headers={"Host": "evil.example.org"})
        assert other_host.status_code == 400
        assert missing(other_host.headers) == []


def test_every_link_of_every_page_leads_somewhere(come: Come, sandbox: Sandbox) -> None:
    visitor = come()
    seen: set[str] = set()
    for _name in Tour(visitor, sandbox).pages():
        seen.update(links_of(visitor))
    cookies = {each["name"]: each["value"] for each in visitor.context.cookies()}
    with httpx.Client(base_url=sandbox.portal, cookies=cookies, follow_redirects=True) as client:
        for link in sorted(seen):
            answer = client.get(link)
            assert answer.status_code == 200, (link, answer.status_code)
            assert missing(answer.headers) == []


def links_of(visitor: Visitor) -> set[str]:
    """The portal's own addresses that a page links to, without those that are gone by design."""
    found = visitor.page.eval_on_selector_all("a[href^='/']", "all => all.map(each => each.getAttribute('href'))")
    return {str(link).partition("#")[0] for link in found if not str(link).startswith("/link/")}
