"""The sites that logins are tested on: each way in which this machine's servers can ask mailauth.

All are up from the first test to the last, for all modules here; hashes are cheap, for hundreds log in.
Tests take accounts of their own and leave a site as they found it. The search for secrets in the logs
comes last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.stack import sandboxes, web_mail
from tests.stack.people import SetUp, Site, set_ups

CHEAP_HASHES = ("--set", "password.argon2.time_cost=1", "--set", "password.argon2.memory_kib=64")


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[SetUp, Site]]:
    """All sites, enforcing since a date long past, with the login memory as shipped, a web mail host added."""
    directories = {set_up: tmp_path_factory.mktemp("site") for set_up in set_ups()}

    def start(set_up: SetUp) -> Site:
        options = ("--dovecot", set_up.dovecot, "--postfix", set_up.postfix, *CHEAP_HASHES, *web_mail.SETTINGS)
        sandbox = sandboxes.up(directories[set_up], *options)
        stack.callback(lambda: ended.append(pool.submit(sandbox.down)))
        site = Site(sandbox, set_up)
        stack.callback(site.close)
        return site

    ended: list[Any] = []
    with ThreadPoolExecutor(len(directories)) as pool:
        with contextlib.ExitStack() as stack:
            started = {set_up: pool.submit(start, set_up) for set_up in directories}
            yield {set_up: future.result() for set_up, future in started.items()}
        for each in ended:
            each.result()


@pytest.fixture(scope="session", params=set_ups(), ids=str)
def site(request: pytest.FixtureRequest, sites: dict[SetUp, Site]) -> Site:
    """One site after the other."""
    set_up: SetUp = request.param
    return sites[set_up]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Search for secrets behind everything that could have left one."""
    items.sort(key=lambda item: item.path.name == "test_no_secret_is_left.py")
