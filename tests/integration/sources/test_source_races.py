"""First logins and the directory at once: one account, and everybody gets in who has the password."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from mailauth.vocabulary.model import Denied, Granted
from tests.estates.places import Place, passwd_file, sqlite
from tests.world import CUTOVER, World, WorldMaker

ANNA, PASSWORD = "anna@hoster.example", "correct horse battery"
BEFORE = CUTOVER - timedelta(days=30)
PEOPLE = tuple(f"user{n}@hoster.example" for n in range(20))


@pytest.fixture(params=[passwd_file, sqlite])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    made: Place = request.param(tmp_path)
    return made


def world_of(make_world: WorldMaker, place: Place) -> World:
    return make_world(f'sources=[{{name="estate",{place.section}}}]', now=BEFORE)


async def test_first_logins_of_one_person_at_once_make_one_account(make_world: WorldMaker, place: Place) -> None:
    place.put(ANNA, PASSWORD)
    world = world_of(make_world, place)
    secrets = [PASSWORD, "wrong"] * 10
    logins = [world.login(ANNA, secret, client=f"192.0.2.{n}") for n, secret in enumerate(secrets)]
    verdicts = await asyncio.gather(*logins)
    for secret, verdict in zip(secrets, verdicts, strict=True):
        assert isinstance(verdict, Granted if secret == PASSWORD else Denied), (secret, verdict)
    assert [each.name for each in world.installation.accounts.all()] == [ANNA]


async def test_directory_and_first_logins_at_once(make_world: WorldMaker, place: Place) -> None:
    for name in PEOPLE:
        place.put(name, PASSWORD)
    world = world_of(make_world, place)
    syncs = [asyncio.to_thread(world.installation.directory.sync, "estate") for _ in range(3)]
    logins = [world.login(name, PASSWORD) for name in PEOPLE for _ in range(3)]
    *verdicts, _, _, _ = await asyncio.gather(*logins, *syncs)
    assert [verdict for verdict in verdicts if not isinstance(verdict, Granted)] == []
    assert {each.name for each in world.installation.accounts.all()} == set(PEOPLE)
    assert world.installation.directory.sync("estate").unchanged == len(PEOPLE)


async def test_password_that_changes_amid_logins_is_right_or_wrong_and_never_both(
    make_world: WorldMaker, place: Place
) -> None:
    place.put(ANNA, PASSWORD)
    world = world_of(make_world, place)
    assert isinstance(await world.login(ANNA, PASSWORD), Granted)

    async def change() -> None:
        await asyncio.to_thread(place.put, ANNA, "another password")

    logins = [world.login(ANNA, PASSWORD, client=f"198.51.100.{n}") for n in range(10)]
    await asyncio.gather(*logins[:5], change(), *logins[5:])
    assert isinstance(await world.login(ANNA, PASSWORD, client="203.0.113.1"), Denied)
    assert isinstance(await world.login(ANNA, "another password", client="203.0.113.1"), Granted)
