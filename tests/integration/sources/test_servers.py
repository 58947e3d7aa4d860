"""Each kind of server that passwords are kept on: what its answers come to, and its silence, and that it recovers."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from mailauth.vocabulary.model import AccountName, Denied, Granted, Verdict
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable
from tests.estates.kept import KINDS, Kept
from tests.world import CUTOVER, World, WorldMaker, enrol_account

ANNA, BERT = "anna@hoster.example", "bert@hoster.example"
PASSWORD = "correct horse battery"
BEFORE = CUTOVER - timedelta(days=30)
TIMEOUT_S = 1.0
OPEN_S = 0.5


@pytest.fixture(scope="module", params=KINDS)
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    made = KINDS[request.param](tmp_path_factory.mktemp("server"))
    yield made
    made.server.stop()


@pytest.fixture
def world(make_world: WorldMaker, kept: Kept) -> World:
    kept.place.put(ANNA, PASSWORD)
    made = make_world(f'sources=[{{name="estate",timeout_s={TIMEOUT_S},{kept.place.section}}}]', now=BEFORE)
    (source,) = made.installation.passwords.sources
    source._guard.breaker.open_s = OPEN_S  # type: ignore[attr-defined]
    return made


async def login(world: World, name: str = ANNA, secret: str = PASSWORD, **where: str) -> object:
    verdict: Verdict = await world.login(name, secret, **where)
    return verdict.reason


async def test_right_wrong_unknown_inactive_and_gone(world: World, kept: Kept) -> None:
    assert await login(world, secret="wrong") is WhyDenied.PASSWORD_WRONG
    assert await login(world, "nobody@hoster.example") is WhyDenied.ACCOUNT_UNKNOWN
    assert await login(world) is WhyGranted.BEFORE_CUTOVER
    for secret in ("wrong", "", "\u00e9" * 200, "*", "a" * 500):
        assert isinstance(await world.login(ANNA, secret), Denied), secret
    kept.place.put(BERT, PASSWORD, active=False)
    assert await login(world, BERT) is WhyDenied.DISABLED_AT_SOURCE
    kept.place.put(BERT, PASSWORD)
    assert await login(world, BERT) is WhyGranted.BEFORE_CUTOVER
    kept.place.drop(BERT)
    assert isinstance(await world.login(BERT, PASSWORD, client="198.51.100.3"), Denied)


async def test_names_and_secrets_change_no_question(world: World) -> None:
    """SQL, filters and DNs take what a client sends as what it is."""
    for name in (
        "*@hoster.example",
        "anna*@hoster.example",
        "a%@hoster.example",
        "_nna@hoster.example",
        "anna'--@hoster.example",
        "anna'='anna@hoster.example",
        "x'||'y@hoster.example",
        "anna+)(uid=*@hoster.example",
        "ánna@hoster.example",
        "ANNA'OR'1'='1@hoster.example",
    ):
        assert isinstance(await world.login(name, PASSWORD), Denied), name
    for secret in ("*", "' OR '1'='1", "%", "{PLAIN}" + PASSWORD, PASSWORD + "\u0000"):
        assert isinstance(await world.login(ANNA, secret), Denied), secret


async def test_stopped_server_is_no_answer_and_its_return_is_noticed(world: World, kept: Kept) -> None:
    assert await login(world) is WhyGranted.BEFORE_CUTOVER
    kept.server.stop()
    try:
        for number in range(3):
            assert await login(world, client=f"198.51.100.{number}") is WhyUnavailable.SOURCE_UNAVAILABLE
    finally:
        kept.server.start()
    assert await login(world, client="198.51.100.9") is WhyGranted.BEFORE_CUTOVER
    assert world.installation.limits.usages(ANNA) == (), "an outage counts against nobody"


async def test_hung_server_is_no_answer_in_time_and_app_passwords_do_not_wait(world: World, kept: Kept) -> None:
    assert await login(world) is WhyGranted.BEFORE_CUTOVER
    enrol_account(world.installation, AccountName(ANNA), PASSWORD)
    token = world.installation.app_passwords.make(ANNA, "phone").password
    kept.server.hang()
    try:
        waiting = [asyncio.create_task(world.login(ANNA, f"guess {n}", client=f"198.51.100.{n}")) for n in range(4)]
        await asyncio.sleep(0.1)
        assert isinstance(await world.login(ANNA, token), Granted)
        assert {verdict.reason for verdict in await asyncio.gather(*waiting)} == {WhyUnavailable.SOURCE_UNAVAILABLE}
        reasons = [await login(world, secret="more", client=f"203.0.113.{n}") for n in range(3)]
        assert set(reasons) == {WhyUnavailable.SOURCE_UNAVAILABLE}
    finally:
        kept.server.wake()
    ends = time.monotonic() + 60
    while await login(world, secret="wrong", client="203.0.113.200") is WhyUnavailable.SOURCE_UNAVAILABLE:
        assert time.monotonic() < ends
        await asyncio.sleep(OPEN_S / 10)


def test_directory_follows_it(make_world: WorldMaker, kept: Kept) -> None:
    names = [f"user{n:04}@hoster.example" for n in range(20)]
    for name in names:
        kept.place.put(name, PASSWORD)
    kept.place.put(ANNA, PASSWORD)
    world = make_world(f'sources=[{{name="estate",{kept.place.section}}}]', now=BEFORE)
    sync = world.installation.directory.sync
    assert sync("estate").added == len(names) + 1
    again = sync("estate")
    assert (again.unchanged, again.added, again.updated) == (len(names) + 1, 0, 0)
    kept.place.put(names[0], PASSWORD, active=False)
    assert sync("estate").inactive == 1
    for name in names:
        kept.place.drop(name)
