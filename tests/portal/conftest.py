"""One sandbox for all modules, with the portal among its servers; a Chromium in front of it for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.portal.browsing import Visitor, chromium
from tests.stack import sandboxes
from tests.stack.conftest import _alive, pytest_runtest_makereport, pytest_runtest_setup  # noqa: F401 - logs in reports
from tests.stack.sandboxes import Account, Sandbox

CHEAP_HASHES = ("--set", "password.argon2.time_cost=1", "--set", "password.argon2.memory_kib=64")
# Tests come in hundreds, from one address.
ROOMY_LIMITS = ("--set", "limits.account_and_source_burst=1000", "--set", "limits.source_burst=1000")


# What is logged at its fullest must hold no secret either: see test_crawl.
TALKATIVE = ("--set", "log.level=debug")


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One for all modules; tests take accounts of their own."""
    with sandboxes.running(tmp_path_factory.mktemp("sandbox"), *CHEAP_HASHES, *ROOMY_LIMITS, *TALKATIVE) as made:
        _alive[made.dir] = made
        yield made
        del _alive[made.dir]


@pytest.fixture(scope="module")  # where it runs, no test can have an event loop of its own
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium(playwright, tmp_path_factory.mktemp("browser")) as made:
        yield made


Come = Callable[..., Visitor]


@pytest.fixture
def come(browser: Browser, sandbox: Sandbox) -> Iterator[Come]:
    """Make visitors: come(device=PHONE, language="nl", script=False). They leave at the end."""
    present: list[Visitor] = []

    def make(**options: object) -> Visitor:
        visitor = Visitor.come(browser, sandbox.portal, **options)  # type: ignore[arg-type]
        present.append(visitor)
        return visitor

    yield make
    for visitor in present:
        visitor.leave()


@pytest.fixture
def visitor(come: Come) -> Visitor:
    """Somebody at a desk, in English."""
    return come()


@pytest.fixture
def newcomer(sandbox: Sandbox) -> Account:
    """An account that has not been set up."""
    return sandbox.account()


@pytest.fixture
def enrolled(sandbox: Sandbox) -> Account:
    """An account with an authenticator; two codes can be used without waiting."""
    return sandbox.account(enrolled=True)
