"""What holds on every page: nothing that axe-core objects to, in light, dark, on a phone; zoom; one thing a screen."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.portal.browsing import DESK, NARROW, PHONE, PRIMARY, Album, Device, Visitor
from tests.portal.conftest import Come
from tests.portal.touring import Tour
from tests.stack.sandboxes import Sandbox

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RULES_OF_COLOUR = ["color-contrast", "link-in-text-block"]
LOOKS = {
    "en": ((DESK, False), (DESK, True)),
    "de": ((PHONE, False),),
}
"""How each page is looked at: on what, and whether it is dark. German has long words, and gets no room for them."""
TOKENS = {"username", "current-password", "one-time-code", "off", "email"}
axe = Axe()


def violations(visitor: Visitor, *, dark: bool) -> list[str]:
    """What axe-core finds; of a dark page, which differs by its colours alone, what it finds in those."""
    only = {"type": "rule", "values": RULES_OF_COLOUR} if dark else {"type": "tag", "values": RULES}
    found: Any = axe.run(visitor.page, options={"runOnly": only, "resultTypes": ["violations"]}).response
    return [
        f"{each['id']}: {each['help']}: {node['html'][:200]}" for each in found["violations"] for node in each["nodes"]
    ]


def looks(visitor: Visitor, device: Device, *, dark: bool = False) -> None:
    visitor.page.set_viewport_size({"width": device.width, "height": device.height})
    visitor.page.emulate_media(color_scheme="dark" if dark else "light")


def is_too_wide(visitor: Visitor) -> bool:
    measured: bool = visitor.page.evaluate("document.scrollingElement.scrollWidth > window.innerWidth")
    return measured


def shape(visitor: Visitor) -> list[str]:
    """What is wrong with a page's outline."""
    page = visitor.page
    wrong = []
    for name, selector, most, least in (
        ("main", "main", 1, 1),
        ("h1", "h1", 1, 1),
        ("primary button", PRIMARY, 1, 0),
        ("way to the help for a lost phone", 'a[href="/help/lost-phone"]', 9, 1),
    ):
        count = page.locator(selector).count()
        if not least <= count <= most:
            wrong.append(f"{count} times {name}")
    for each in page.locator("main input:not([type=hidden]):not([type=checkbox]):not([type=date])").all():
        token, field = each.get_attribute("autocomplete"), each.get_attribute("name")
        if token not in TOKENS and field in {"account", "password", "code"}:
            wrong.append(f"{field} says autocomplete={token}")
    return wrong


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "In your own time zone:"), ("nl", "In uw eigen tijdzone:"), ("fr", "Dans votre fuseau")],
)
def test_the_date_in_ones_own_zone_stands_on_a_line_of_its_own(come: Come, language: str, words: str) -> None:
    visitor = come(device=DESK, language=language)
    visitor.open("/login")
    banner, own = visitor.page.locator(".date p").all()
    assert own.inner_text().startswith(words)
    assert words not in banner.inner_text()
    above, below = banner.bounding_box(), own.bounding_box()
    assert above is not None
    assert below is not None
    assert below["y"] >= above["y"] + above["height"]


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_page_is_for_everybody(come: Come, sandbox: Sandbox, language: str) -> None:
    """WCAG 2.2 AA as far as axe-core can tell, and no sideways scrolling at 320 pixels (WCAG 1.4.10)."""
    visitor = come(device=DESK, language=language)
    album = Album.new(f"every-page-{language}")
    problems: dict[str, list[str]] = {}
    seen: set[str] = set()
    for name in Tour(visitor, sandbox).pages():
        assert name not in seen
        seen.add(name)
        found = shape(visitor)
        step = name.strip("/").replace("/", "-").replace(" ", "-").replace(":", "").replace(",", "")
        for device, dark in LOOKS[language]:
            looks(visitor, device, dark=dark)
            found += [f"{device.name}{' dark' * dark}: {each}" for each in violations(visitor, dark=dark)]
            if language == "en":
                visitor.page.screenshot(
                    path=album.folder / f"{len(seen):02d}-{step}-{device.name}{'-dark' * dark}.png"
                )
        looks(visitor, NARROW)
        if is_too_wide(visitor):
            found.append("scrolls sideways at 320 pixels")
        looks(visitor, DESK)
        if found:
            problems[name] = found
    assert len(seen) > 30
    assert not problems, "\n".join(f"{name}: {each}" for name, found in problems.items() for each in found)
