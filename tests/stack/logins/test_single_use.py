"""Without the login memory a code works once (RFC 6238 s5.2), at every door, for the same client too."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.stack.doors import IN, Door
from tests.stack.people import Site
from tests.stack.ways import on_the_first


@pytest.fixture
def forgetful(site: Site) -> Iterator[Site]:
    site.sandbox.set("login_memory.life_s=0")
    yield site
    site.sandbox.set("login_memory.life_s=600")


@on_the_first
def test_a_spent_code_is_refused_at_every_door_to_the_client_that_spent_it(forgetful: Site) -> None:
    def twice(door: Door) -> list[str]:
        owner = forgetful.enrolled()
        typed = owner.typed()
        return [door.login(forgetful, owner.name, typed) for _ in range(2)]

    tried = forgetful.way.doors
    with ThreadPoolExecutor(len(tried)) as pool:
        found = dict(zip(tried, pool.map(twice, tried), strict=True))
    assert found == {door: [IN, door.refusal()] for door in tried}
