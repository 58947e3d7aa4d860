"""Whether somebody exists whom mailauth does not know yet: their source says so, and mail waits while it is away."""

from datetime import timedelta
from pathlib import Path

import pytest

from mailauth.usecases.lookups import Exists, LookupUnanswered, Unknown
from mailauth.vocabulary.model import Granted
from tests.estates.places import Place, passwd_file, sqlite
from tests.world import CUTOVER, WorldMaker

ANNA, PASSWORD = "anna@hoster.example", "correct horse battery"
BEFORE = CUTOVER - timedelta(days=30)


@pytest.fixture(params=[passwd_file, sqlite])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    made: Place = request.param(tmp_path)
    return made


async def test_somebody_of_a_source_exists_before_their_first_login(make_world: WorldMaker, place: Place) -> None:
    place.put(ANNA, PASSWORD)
    place.put("bert@hoster.example", PASSWORD, active=False)
    world = make_world(f"sources=[{{{place.section}}}]", now=BEFORE)
    find = world.installation.lookups.find
    assert await find("Anna@HOSTER.example") == Exists(ANNA)
    assert await find("bert@hoster.example") == Exists("bert@hoster.example"), "mail to a disabled account arrives"
    assert isinstance(await find("nobody@hoster.example"), Unknown)


async def test_mail_waits_while_the_source_is_away(make_world: WorldMaker, tmp_path: Path) -> None:
    place = passwd_file(tmp_path)
    place.put(ANNA, PASSWORD)
    world = make_world(f"sources=[{{{place.section}}}]", now=BEFORE)
    (tmp_path / "users").rename(tmp_path / "away")
    for name in (ANNA, "nobody@hoster.example"):
        assert isinstance(await world.installation.lookups.find(name), LookupUnanswered)
    (tmp_path / "away").rename(tmp_path / "users")
    assert await world.installation.lookups.find(ANNA) == Exists(ANNA)


async def test_who_has_left_is_unknown(make_world: WorldMaker, place: Place) -> None:
    for name in (ANNA, *(f"user{n}@hoster.example" for n in range(5))):
        place.put(name, PASSWORD)
    world = make_world(f'sources=[{{name="estate",{place.section}}}]', now=BEFORE)
    world.installation.directory.sync("estate")
    place.drop(ANNA)
    world.installation.directory.sync("estate")
    assert isinstance(await world.installation.lookups.find(ANNA), Unknown)


@pytest.mark.parametrize(("accounts", "expected"), [("login", LookupUnanswered), ("sync", Unknown)])
async def test_source_without_a_look_up_may_know_anybody_of_whom_it_makes_accounts(
    make_world: WorldMaker, accounts: str, expected: type
) -> None:
    world = make_world(f'sources=[{{kind="pam",service="other",accounts="{accounts}"}}]', now=BEFORE)
    assert isinstance(await world.installation.lookups.find(ANNA), expected)


async def test_mail_servers_hear_the_sources_own_spelling(make_world: WorldMaker, tmp_path: Path) -> None:
    """The mailbox lies where it has lain: maildirs have names with capitals."""
    (tmp_path / "users").write_text(f"Anna@Hoster.example:{{PLAIN}}{PASSWORD}\n")
    world = make_world(f'sources=[{{kind="passwd-file",file="{tmp_path}/users"}}]', now=BEFORE)
    assert await world.installation.lookups.find(ANNA) == Exists("Anna@Hoster.example")
    verdict = await world.login(ANNA, PASSWORD)
    assert isinstance(verdict, Granted)
    assert (verdict.account, verdict.reply_name) == (ANNA, "Anna@Hoster.example")
    assert await world.installation.lookups.find(ANNA) == Exists("Anna@Hoster.example")
    token = world.installation.app_passwords.make(ANNA, "phone").password
    verdict = await world.login("anna@hoster.EXAMPLE", token)
    assert isinstance(verdict, Granted)
    assert verdict.reply_name == "Anna@Hoster.example"
