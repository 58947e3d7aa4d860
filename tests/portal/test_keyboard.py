"""The set-up by the keyboard alone, and what is seen of where one is."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page

from tests.portal.browsing import Visitor, shown_codes
from tests.portal.conftest import Come
from tests.portal.holding import Phone
from tests.portal.touring import uri_of
from tests.stack.sandboxes import Account

MOST_STOPS = 30
"""Nobody presses Tab more often than this to get to what a page is about."""


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until something has the focus; each stop on the way is seen."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is not reached by Tab on {page.url}")


def enter(page: Page, key: str = "Enter") -> None:
    with page.expect_navigation(wait_until="load"):
        page.keyboard.press(key)


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_the_set_up_needs_no_mouse(come: Come, newcomer: Account, *, script: bool) -> None:
    visitor: Visitor = come(script=script)
    page = visitor.page
    visitor.open("/login")
    tab_to(page, "input[name=account]")
    page.keyboard.type(newcomer.name)
    tab_to(page, "input[name=password]")
    page.keyboard.type(newcomer.password)
    enter(page)
    tab_to(page, "main .primary")
    enter(page)
    tab_to(page, "main input[name=password]")
    page.keyboard.type(newcomer.password)
    enter(page)
    visitor.is_at("/setup/scan")
    tab_to(page, "main details:nth-of-type(1) summary")
    while page.locator("#key").is_hidden():
        page.keyboard.press("Enter")
        if page.locator("#key").is_hidden():
            tab_to(page, "main summary")
    key = re.sub(r"\s", "", page.locator("#key").inner_text())
    tab_to(page, "main input[name=code]")
    page.keyboard.type(Phone(uri_of(key, newcomer.name)).code())
    enter(page)
    codes = shown_codes(visitor.text)
    tab_to(page, "main input[name=code]")
    page.keyboard.type(codes[3])
    tab_to(page, "main button.primary")
    enter(page, "Space")
    visitor.is_at("/setup/done")


def test_the_first_stop_leads_past_the_top(visitor: Visitor) -> None:
    visitor.open("/login")
    visitor.page.keyboard.press("Tab")
    assert visitor.page.evaluate("document.activeElement.getAttribute('href')") == "#main"
    visitor.page.keyboard.press("Enter")
    visitor.page.keyboard.press("Tab")
    assert visitor.page.evaluate("document.activeElement.name") == "account"
