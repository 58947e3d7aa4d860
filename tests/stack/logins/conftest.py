"""The sites that logins are tested on: each way in which this machine's servers can ask mailauth.

Started once for all modules here; hashes are cheap, for hundreds log in. Tests take accounts of
their own and leave a site as they found it. The search for secrets in the logs comes last.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack import sandboxes
from tests.stack.people import SetUp, Site, set_ups

CHEAP_HASHES = ("--set", "password.argon2.time_cost=1", "--set", "password.argon2.memory_kib=64")


@pytest.fixture(scope="session", params=set_ups(), ids=str)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running site, enforcing since a date long past, with the login memory as shipped."""
    set_up: SetUp = request.param
    options = ("--dovecot", set_up.dovecot, "--postfix", set_up.postfix, *CHEAP_HASHES)
    with sandboxes.running(tmp_path_factory.mktemp("site"), *options) as sandbox:
        made = Site(sandbox, set_up)
        yield made
        made.close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Site by site, each started once; and last the search for secrets in all that it has logged."""
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[int, bool]:
    call = getattr(item, "callspec", None)
    set_up = call.params.get("site") if call else None
    turn = set_ups().index(set_up) + 1 if isinstance(set_up, SetUp) else 0
    return turn, item.path.name == "test_no_secret_is_logged.py"
