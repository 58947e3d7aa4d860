"""Worlds with the limits that an installation has by default, for the tests of the limiter."""

import pytest

from mailauth.vocabulary.model import Unavailable, Verdict
from mailauth.vocabulary.reasons import WhyUnavailable
from tests.world import World, WorldMaker

DEFAULTS = (
    "limits.source_burst=60",
    "limits.site_burst=600",
    "limits.account_and_source_burst=20",
    "limits.account_burst=50",
    "limits.factor_burst=50",
    "limits.code_burst=50",
    "limits.code_and_source_burst=20",
    "limits.repeat_burst=60",
)
HOME, THIEF, THIRD = "192.0.2.7", "198.51.100.9", "203.0.113.77"


@pytest.fixture
def limited(make_world: WorldMaker) -> World:
    """Give a world with the limits that an installation has by default, after the cut-over."""
    return make_world(*DEFAULTS)


def throttled(verdict: Verdict) -> bool:
    return isinstance(verdict, Unavailable) and verdict.reason is WhyUnavailable.THROTTLED


async def use_up_the_accounts_limit(world: World, name: str = "alice", *, guesses: int = 60) -> None:
    """Let strangers, each from an address of their own, guess until the account's limit is used up."""
    for n in range(guesses):
        await world.login(name, f"stranger's guess {n}", client=f"198.18.{n // 200}.{n % 200}")
    assert throttled(await world.login(name, "one more", client="198.18.9.9"))
