"""Logins of people whom mailauth does not know, until their own system has let them in. On a file and a database."""

import sqlite3
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from mailauth.core.limiter import MeterKind
from mailauth.effects.store import accounts
from mailauth.vocabulary.model import AccountName, Ask, Attempt, Credential, Denied, Granted, Unavailable, Verdict
from mailauth.vocabulary.notices import Origin
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable
from mailauth.vocabulary.secret import Secret
from tests.estates.places import Place, passwd_file, sqlite
from tests.transactions import reading
from tests.world import CUTOVER, World, WorldMaker, enrol_account

ANNA = "anna@hoster.example"
PASSWORD = "correct horse battery"
ELSEWHERE = "198.51.100.4"
"""Another network than the one from which the password was right a moment ago."""
BEFORE = CUTOVER - timedelta(days=30)


@pytest.fixture(params=[passwd_file, sqlite])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    made: Place = request.param(tmp_path)
    return made


def account_exists(world: World, name: str = ANNA) -> bool:
    with reading(world.installation.database) as connection:
        return accounts.exists(connection, AccountName(name))


def world_of(make_world: WorldMaker, place: Place, *settings: str, **options: object) -> World:
    return make_world(f"sources=[{{{place.section}}}]", *settings, **options)


def reason(verdict: Verdict) -> object:
    return verdict.reason


async def test_first_right_password_makes_an_account_and_the_policy_applies_at_once(
    make_world: WorldMaker, place: Place
) -> None:
    place.put(ANNA, PASSWORD)
    for now, expected in ((BEFORE, WhyGranted.BEFORE_CUTOVER), (CUTOVER, WhyDenied.NOT_ENROLLED)):
        world = world_of(make_world, place, now=now)
        verdict = await world.login(ANNA, "wrong")
        assert reason(verdict) is WhyDenied.PASSWORD_WRONG
        assert not account_exists(world), "nobody has shown that it is theirs"
        verdict = await world.login(ANNA, PASSWORD)
        assert reason(verdict) is expected
        assert account_exists(world)
        assert not isinstance(verdict, Unavailable)
        assert verdict.source in ("passwd-file", "sql")
        assert verdict.account == ANNA


async def test_somebody_taken_over_enrols_and_needs_both_factors_from_then_on(
    make_world: WorldMaker, place: Place
) -> None:
    place.put(ANNA, PASSWORD)
    world = world_of(make_world, place, now=BEFORE)
    assert isinstance(await world.login(ANNA, PASSWORD), Granted)
    anna = enrol_account(world.installation, AccountName(ANNA), PASSWORD)
    assert reason(await world.login(ANNA, PASSWORD)) is WhyDenied.CODE_MISSING
    verdict = await world.login(ANNA, PASSWORD + anna.code(world.clock()))
    assert isinstance(verdict, Granted)
    assert verdict.credential is Credential.PASSWORD_AND_CODE
    assert reason(await world.login(ANNA, "wrong" + anna.code(world.clock(), 1))) is WhyDenied.PASSWORD_WRONG


async def test_unknown_inactive_and_gone_are_refused(make_world: WorldMaker, place: Place) -> None:
    place.put(ANNA, PASSWORD, active=False)
    world = world_of(make_world, place, now=BEFORE)
    assert reason(await world.login("nobody@hoster.example", PASSWORD)) is WhyDenied.ACCOUNT_UNKNOWN
    assert reason(await world.login(ANNA, PASSWORD)) is WhyDenied.DISABLED_AT_SOURCE
    assert not account_exists(world)
    place.put(ANNA, PASSWORD)
    assert isinstance(await world.login(ANNA, PASSWORD), Granted)
    place.put(ANNA, PASSWORD, active=False)
    assert reason(await world.login(ANNA, PASSWORD, client=ELSEWHERE)) is WhyDenied.DISABLED_AT_SOURCE
    place.drop(ANNA)
    assert isinstance(await world.login(ANNA, PASSWORD, client=ELSEWHERE), Denied)


async def test_changed_password_at_the_source_ends_what_was_remembered(make_world: WorldMaker, place: Place) -> None:
    place.put(ANNA, PASSWORD)
    world = world_of(make_world, place, "login_memory.life_s=86400", now=BEFORE)
    await world.login(ANNA, PASSWORD)
    anna = enrol_account(world.installation, AccountName(ANNA), PASSWORD)
    secret = PASSWORD + anna.code(world.clock())
    assert isinstance(await world.login(ANNA, secret), Granted)
    world.clock.advance(minutes=5)
    assert reason(await world.login(ANNA, secret)) is WhyGranted.REMEMBERED
    place.put(ANNA, "another password")
    assert isinstance(await world.login(ANNA, "another password" + anna.code(world.clock())), Granted)
    assert isinstance(await world.login(ANNA, secret), Denied)


async def test_session_is_not_proved_again_by_a_password_that_has_changed_meanwhile(
    make_world: WorldMaker, place: Place
) -> None:
    place.put(ANNA, PASSWORD)
    world = world_of(make_world, place, "login_memory.life_s=600", now=BEFORE)
    await world.login(ANNA, PASSWORD)
    anna = enrol_account(world.installation, AccountName(ANNA), PASSWORD)
    secret = PASSWORD + anna.code(world.clock())
    granted = await world.login(ANNA, secret, "portal")
    assert isinstance(granted, Granted)
    origin = Origin("portal", ip_address("192.0.2.7"))
    session = world.installation.sessions.load(world.installation.sessions.open(granted, origin))
    assert session is not None
    proof = Attempt(ANNA, Secret(secret.encode()), "portal", origin.client, session=str(session.id), ask=Ask.PROOF)
    assert isinstance(await world.installation.verifier.verify(proof), Granted)
    place.put(ANNA, "another password")
    assert isinstance(await world.installation.verifier.verify(proof), Denied)


async def test_another_person_under_a_known_name_gets_nothing_of_the_first_ones(
    make_world: WorldMaker, tmp_path: Path
) -> None:
    place = sqlite(tmp_path)
    place.put(ANNA, PASSWORD)
    world = world_of(make_world, place, now=BEFORE)
    await world.login(ANNA, PASSWORD)
    anna = enrol_account(world.installation, AccountName(ANNA), PASSWORD)
    token = world.installation.app_passwords.make(ANNA, "phone").password
    place.drop(ANNA)
    place.put(ANNA, "the second Anna's")
    for secret in ("a guess", PASSWORD, "the second Anna's"):
        assert reason(await world.login(ANNA, secret)) is WhyUnavailable.SOURCE_UNAVAILABLE, (
            "until the directory knows"
        )
    assert world.installation.directory.sync("sql").replaced == 1
    assert reason(await world.login(ANNA, "the second Anna's")) is WhyGranted.BEFORE_CUTOVER
    world.clock.advance(minutes=1)
    assert isinstance(await world.login(ANNA, "the second Anna's" + anna.code(world.clock())), Denied)
    assert isinstance(await world.login(ANNA, token), Denied)


async def test_an_account_belongs_to_one_source(make_world: WorldMaker, tmp_path: Path) -> None:
    """Whoever may make users in one place must not get an account of another one's by that."""
    (tmp_path / "b").mkdir()
    first, second = passwd_file(tmp_path), passwd_file(tmp_path / "b")
    sections = f'{{name="one",on_unknown="next",{first.section}}},{{name="two",{second.section}}}'
    world = make_world(f"sources=[{sections}]", now=BEFORE)
    second.put(ANNA, PASSWORD)
    assert isinstance(await world.login(ANNA, PASSWORD), Granted)
    first.put(ANNA, "chosen by somebody else")
    assert isinstance(await world.login(ANNA, "chosen by somebody else"), Denied)
    assert isinstance(await world.login(ANNA, PASSWORD), Granted)
    second.drop(ANNA)
    assert isinstance(await world.login(ANNA, "chosen by somebody else"), Denied)


async def test_source_that_is_away_is_no_wrong_password_and_recovers(make_world: WorldMaker, tmp_path: Path) -> None:
    place = passwd_file(tmp_path)
    place.put(ANNA, PASSWORD)
    world = world_of(make_world, place, now=BEFORE)
    path = tmp_path / "users"
    path.rename(tmp_path / "elsewhere")
    for _ in range(3):
        assert reason(await world.login(ANNA, PASSWORD)) is WhyUnavailable.SOURCE_UNAVAILABLE
    (tmp_path / "elsewhere").rename(path)
    assert isinstance(await world.login(ANNA, PASSWORD), Granted)


async def test_names_outside_of_the_domains_are_never_asked_for(make_world: WorldMaker, place: Place) -> None:
    place.put(ANNA, PASSWORD)
    place.put("carl@other.example", PASSWORD)
    world = make_world(f'sources=[{{domains=["hoster.example"],{place.section}}}]', now=BEFORE)
    assert isinstance(await world.login(ANNA, PASSWORD), Granted)
    assert reason(await world.login("carl@other.example", PASSWORD)) is WhyDenied.ACCOUNT_UNKNOWN


async def test_source_for_the_directory_alone_makes_no_account_at_login(make_world: WorldMaker, place: Place) -> None:
    place.put(ANNA, PASSWORD)
    world = make_world(f'sources=[{{accounts="sync",{place.section}}}]', now=BEFORE)
    assert reason(await world.login(ANNA, PASSWORD)) is WhyDenied.ACCOUNT_UNKNOWN
    assert not account_exists(world)


async def test_first_login_after_the_date_opens_the_set_up_in_the_portal(make_world: WorldMaker, place: Place) -> None:
    place.put(ANNA, PASSWORD)
    world = world_of(make_world, place, now=CUTOVER)
    assert reason(await world.login(ANNA, "wrong", service="portal")) is WhyDenied.PASSWORD_WRONG
    assert not account_exists(world)
    assert reason(await world.login(ANNA, PASSWORD, service="portal")) is WhyGranted.TO_ENROL
    assert account_exists(world)
    assert reason(await world.login(ANNA, PASSWORD)) is WhyDenied.NOT_ENROLLED


async def test_guesses_by_another_name_count_against_the_account_that_has_it(
    make_world: WorldMaker, tmp_path: Path
) -> None:
    """An alias that mailauth does not know yet is no way around the account's limits."""
    place = sqlite(tmp_path)
    place.put(ANNA, PASSWORD)
    with sqlite3.connect(tmp_path / "panel.sqlite") as tables:
        tables.execute("INSERT INTO alias_domain VALUES ('hoster.test', 'hoster.example', 1)")
    world = world_of(make_world, place, "limits.account_burst=5", now=BEFORE)
    for number in range(5):
        verdict = await world.login("anna@hoster.test", f"guess {number}", client=f"203.0.113.{number}")
        assert reason(verdict) is WhyDenied.PASSWORD_WRONG
        assert verdict.account == ANNA
    for name in (ANNA, "anna@hoster.test"):
        verdict = await world.login(name, PASSWORD, client="198.51.100.9")
        assert reason(verdict) is WhyUnavailable.THROTTLED, name
    assert MeterKind.ACCOUNT in {usage.meter.kind for usage in world.installation.limits.usages(ANNA)}


async def test_account_that_was_typed_in_is_not_the_panels_to_give(make_world: WorldMaker, tmp_path: Path) -> None:
    place = sqlite(tmp_path)
    place.put(ANNA, PASSWORD)
    panel = place.section
    for sections in (f'{{kind="own",on_unknown="next"}},{{{panel}}}', f'{{on_unknown="next",{panel}}},{{kind="own"}}'):
        world = make_world(f"sources=[{sections}]", now=BEFORE)
        world.add(ANNA, "typed in by hand")
        assert isinstance(await world.login(ANNA, PASSWORD), Denied)
        assert isinstance(await world.login(ANNA, "typed in by hand"), Granted)
