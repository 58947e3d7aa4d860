"""App passwords of another system: tried where the password was wrong, ours from the first use on. EST14, EST15."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from unittest.mock import patch

import pytest

from mailauth.effects import password_schemes
from mailauth.effects.imports import FoundAppPassword
from mailauth.usecases.app_password_import import MAX_PER_ACCOUNT
from mailauth.usecases.authenticator_import import Row
from mailauth.vocabulary.errors import Overloaded
from mailauth.vocabulary.model import Credential, Denied, Granted, Network, Unavailable
from mailauth.vocabulary.reasons import WhyDenied, WhyUnavailable
from mailauth.vocabulary.secret import Secret
from tests.cases import case
from tests.estates.places import sqlite
from tests.world import CUTOVER, Person, World, WorldMaker, enrol_account

PHONE, LAPTOP = "phone-of-hers", "laptop of hers 123456"
HOME, ABROAD = "192.0.2.7", "198.51.100.9"
AS_SHIPPED = ("limits.source_burst=60", "limits.account_and_source_burst=20", "limits.account_burst=50")


def imported(world: World, owner: Person, *passwords: str, **more: object) -> list[Row]:
    """Import app passwords, stored in a scheme that costs nothing; return what became of them."""
    found = [
        FoundAppPassword(f"row {number}", owner.name, f"device {number}", stored(password), **more)  # type: ignore[arg-type]
        for number, password in enumerate(passwords)
    ]
    rows: list[Row] = []
    world.installation.app_password_import.put_in_force(found, rows.append)
    return rows


def stored(password: str) -> str:
    """Return a hash as a panel stores it; of bcrypt at the least cost, as any slow one."""
    return password if password.startswith("{") else "{PLAIN}" + password


@pytest.fixture
def compared() -> Iterator[list[str]]:
    """Give the list of stored hashes that something is compared with."""
    seen: list[str] = []
    real = password_schemes.matches

    def counting(kept: str, password: bytes, name: str = "", default: str = "CRYPT") -> bool:
        seen.append(kept)
        return real(kept, password, name, default)

    with patch.object(password_schemes, "matches", counting):
        yield seen


def is_by_app_password(verdict: object) -> bool:
    return isinstance(verdict, Granted) and verdict.credential is Credential.APP_PASSWORD


async def test_first_use_makes_it_ours_and_the_second_costs_no_hash(world: World, compared: list[str]) -> None:
    alice = world.enrol("alice")
    imported(world, alice, PHONE, LAPTOP)
    for password in (PHONE, LAPTOP):
        assert is_by_app_password(await world.login("alice", password))
        compared.clear()
        for service, client in (("imap", HOME), ("smtp", ABROAD)):
            assert is_by_app_password(await world.login("alice", password, service, client))
        assert compared == []
    (phone, laptop) = world.installation.app_passwords.all("alice")
    assert (phone.name, phone.expires_at, laptop.expires_at) == ("device 0", None, None)
    assert isinstance(await world.login("alice", "phone-of-his"), Denied)


async def test_it_opens_no_portal_and_proves_no_password(world: World) -> None:
    alice = world.enrol("alice")
    imported(world, alice, PHONE)
    for _ in range(2):
        assert isinstance(await world.login("alice", PHONE, "portal"), Denied)
        assert is_by_app_password(await world.login("alice", PHONE))
        assert isinstance(await world.login("alice", PHONE + alice.code(world.clock())), Denied)


async def test_its_services_and_networks_are_kept(world: World) -> None:
    alice = world.enrol("alice")
    networks: tuple[Network, ...] = (_network("192.0.2.0/24"),)
    imported(world, alice, PHONE, services=frozenset({"imap"}), networks=networks)
    for _ in range(2):  # the first time as an imported one, then as one of ours
        assert (await world.login("alice", PHONE, "smtp")).reason is WhyDenied.APP_PASSWORD_SERVICE
        assert (await world.login("alice", PHONE, "imap", ABROAD)).reason is WhyDenied.APP_PASSWORD_NETWORK
        assert is_by_app_password(await world.login("alice", PHONE, "imap", HOME))


async def test_what_is_the_accounts_own_password_as_well_stays_one(world: World) -> None:
    """Panels let people choose: the second factor must not fall by that."""
    for number, password in enumerate(("correct horse", "correct horse 123456")):
        person = world.enrol(f"person{number}", password)
        imported(world, person, password)
        with case(password):
            verdict = await world.login(person.name, password)
            assert isinstance(verdict, Denied)
            assert isinstance(await world.login(person.name, password + person.code(world.clock())), Granted)


async def test_revoked_one_stays_revoked_whatever_is_imported_again(world: World) -> None:
    alice = world.enrol("alice")
    imported(world, alice, PHONE, LAPTOP)
    assert is_by_app_password(await world.login("alice", PHONE))
    assert world.installation.app_passwords.revoke("alice", None) == 2
    assert [row.outcome for row in imported(world, alice, PHONE, LAPTOP)] == ["there already"] * 2
    for password in (PHONE, LAPTOP):
        assert isinstance(await world.login("alice", password), Denied)


@pytest.mark.parametrize("is_used", [False, True])
async def test_it_ends_with_what_ends_app_passwords(world: World, is_used: bool) -> None:
    alice = world.enrol("alice")
    imported(world, alice, PHONE)
    if is_used:
        assert is_by_app_password(await world.login("alice", PHONE))
    world.installation.accounts.set_disabled("alice", disabled=True)
    assert isinstance(await world.login("alice", PHONE), Denied)
    world.installation.accounts.set_disabled("alice", disabled=False)
    assert is_by_app_password(await world.login("alice", PHONE))
    world.installation.accounts.set_password("alice", Secret(b"another horse"), revoke_app_passwords=True)
    assert isinstance(await world.login("alice", PHONE), Denied)


@pytest.mark.parametrize("is_used", [False, True])
async def test_it_goes_on_when_the_account_gets_another_name(world: World, is_used: bool) -> None:
    alice = world.enrol("alice")
    imported(world, alice, PHONE)
    if is_used:
        assert is_by_app_password(await world.login("alice", PHONE))
    world.installation.renaming.rename("alice", "alicia", keep_alias=True)
    for name in ("alicia", "alice"):
        assert is_by_app_password(await world.login(name, PHONE)), name


async def test_it_has_to_be_used_within_some_weeks(make_world: WorldMaker) -> None:
    world = make_world("imports.foreign_days=60")
    alice = world.enrol("alice")
    imported(world, alice, PHONE, LAPTOP)
    world.clock.advance(days=59)
    assert is_by_app_password(await world.login("alice", PHONE))
    world.clock.advance(days=2)
    assert isinstance(await world.login("alice", LAPTOP), Denied)
    assert is_by_app_password(await world.login("alice", PHONE)), "for good, since it is ours"


async def test_of_two_first_uses_at_once_both_come_in(world: World) -> None:
    alice = world.enrol("alice")
    imported(world, alice, PHONE)
    verdicts = await asyncio.gather(*(world.login("alice", PHONE) for _ in range(8)))
    assert [is_by_app_password(verdict) for verdict in verdicts] == [True] * 8
    assert len(world.installation.app_passwords.all("alice")) == 1


async def test_wrong_one_counts_once_and_a_right_one_never(make_world: WorldMaker) -> None:
    world = make_world(*AS_SHIPPED)
    alice = world.enrol("alice")
    world.enrol("bob")
    imported(world, alice, PHONE, LAPTOP, "third", "fourth")

    async def denied_before_throttled(name: str) -> int:
        for number in range(100):
            if isinstance(await world.login(name, f"guess {number}", client=ABROAD), Unavailable):
                return number
        return 100

    assert await denied_before_throttled("bob") == await denied_before_throttled("alice") == 20
    for _ in range(60):
        assert is_by_app_password(await world.login("alice", PHONE, client=HOME))


async def test_all_devices_at_once_come_in_at_home(make_world: WorldMaker) -> None:
    """On the first morning: eight of them, with four connections each, over and over until they are in."""
    world = make_world(*AS_SHIPPED)
    alice = world.enrol("alice")
    devices = [f"device {number}" for number in range(MAX_PER_ACCOUNT)]
    imported(world, alice, *devices)
    for _ in range(4):
        verdicts = await asyncio.gather(*(world.login("alice", each, client=HOME) for each in devices * 4))
        assert not [verdict for verdict in verdicts if isinstance(verdict, Denied)]
    assert [is_by_app_password(verdict) for verdict in verdicts] == [True] * len(verdicts)


async def test_comparison_that_takes_too_long_says_nothing_and_the_wrong_password_counts(
    make_world: WorldMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else guesses at the password would be free while the lane is full."""
    world = make_world(*AS_SHIPPED)
    alice = world.enrol("alice")
    imported(world, alice, PHONE)

    async def match(*_: object) -> object:
        raise Overloaded("the test says so")

    monkeypatch.setattr(world.installation.verifier._app_passwords._foreign, "match", match)
    for number in range(20):
        assert (await world.login("alice", f"guess {number}")).reason is WhyUnavailable.OVERLOADED
    assert (await world.login("alice", "guess")).reason is WhyUnavailable.THROTTLED


async def test_login_whose_time_is_over_meanwhile_counts_as_well(
    make_world: WorldMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(*AS_SHIPPED, "server.deadline_s=1")
    alice = world.enrol("alice")
    imported(world, alice, PHONE)

    async def match(*_: object) -> object:
        return await asyncio.sleep(3600)

    monkeypatch.setattr(world.installation.verifier._app_passwords._foreign, "match", match)
    verdicts = await asyncio.gather(*(world.login("alice", f"guess {number}") for number in range(20)))
    assert {verdict.reason for verdict in verdicts} == {WhyUnavailable.DEADLINE}
    assert (await world.login("alice", "guess")).reason is WhyUnavailable.THROTTLED


async def test_guesses_are_no_quicker_for_one_that_is_ours_by_now(make_world: WorldMaker) -> None:
    """People have chosen some of them: a stranger who guesses is told to wait, and so is whoever is right there."""
    world = make_world(*AS_SHIPPED)
    alice = world.enrol("alice")
    imported(world, alice, PHONE)
    assert is_by_app_password(await world.login("alice", PHONE, client=HOME))
    for number in range(60):
        await world.login("alice", f"guess {number}", client=ABROAD)
    assert isinstance(await world.login("alice", PHONE, client=ABROAD), Unavailable)
    assert is_by_app_password(await world.login("alice", PHONE, client=HOME)), "the owner's own network"


async def test_nobody_else_is_compared_with_anything_more(world: World, compared: list[str]) -> None:
    alice, _bob = world.enrol("alice"), world.enrol("bob")
    imported(world, alice, PHONE, LAPTOP)
    for name, count in (("alice", 3), ("bob", 1), ("nobody", 1)):
        compared.clear()
        verdict = await world.login(name, "wrong one")
        assert verdict.reason in (WhyDenied.PASSWORD_WRONG, WhyDenied.ACCOUNT_UNKNOWN)
        assert len(compared) == count, name


async def test_a_hash_that_another_has_as_well_opens_each_owners_account_alone(world: World) -> None:
    alice, bob = world.enrol("alice"), world.enrol("bob")
    imported(world, alice, PHONE)
    imported(world, bob, PHONE)
    assert is_by_app_password(await world.login("alice", PHONE))
    assert is_by_app_password(await world.login("bob", PHONE))
    world.installation.app_passwords.revoke("alice", None)
    assert isinstance(await world.login("alice", PHONE), Denied)
    assert is_by_app_password(await world.login("bob", PHONE))


async def test_account_that_changes_between_check_and_first_use_lets_nobody_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = world.enrol("alice")
    imported(world, alice, PHONE)
    foreign = world.installation.verifier._app_passwords._foreign
    match = foreign.match

    async def match_and_change(*arguments: object) -> object:
        found = await match(*arguments)  # type: ignore[arg-type]
        world.installation.accounts.set_disabled("alice", disabled=True)
        return found

    monkeypatch.setattr(foreign, "match", match_and_change)
    assert isinstance(await world.login("alice", PHONE), Denied)


def test_what_cannot_be_taken_says_why(world: World) -> None:
    alice = world.enrol("alice")
    rows = imported(world, alice, *(f"{{PLAIN}}{number}" for number in range(MAX_PER_ACCOUNT + 1)))
    assert [row.outcome for row in rows] == ["taken"] * MAX_PER_ACCOUNT + ["refused"]
    assert "make a new one" in rows[-1].why
    bob = world.enrol("bob")
    for kept, why in (
        ("{OTP}x", "cannot be checked here"),
        ("{BLF-CRYPT}$2y$31$PuQRNosNUn71FgxhjK2kYuu99pJzyRGWovusL6eZwVB.FrAm8Wz7u", "cost too much"),
        ("{BLF-CRYPT}$2y$05$x", "damaged"),
        ("{PLAIN}" + "x" * 600, "more than 512"),
        ("{PLAIN}\u00e9", "cannot be read"),
    ):
        with case(kept):
            (row,) = imported(world, bob, kept)
            assert row.outcome == "refused"
            assert why in row.why
            assert kept not in repr(row)
    (row,) = imported(world, Person(alice.name.replace("alice", "nobody"), ""), PHONE)  # type: ignore[arg-type]
    assert "there is no such account" in row.why


async def test_a_person_of_a_source_has_them_too(make_world: WorldMaker, tmp_path: object) -> None:
    place = sqlite(tmp_path)  # type: ignore[arg-type]
    place.put("anna@hoster.example", "correct horse")
    world = make_world(f"sources=[{{{place.section}}}]", now=CUTOVER - timedelta(days=30))
    await world.login("anna@hoster.example", "correct horse")
    anna = enrol_account(world.installation, world.installation.accounts.get("anna@hoster.example").name)
    imported(world, anna, PHONE)
    world.clock.advance(seconds=1)
    for _ in range(2):
        assert is_by_app_password(await world.login(anna.name, PHONE))
    place.put("anna@hoster.example", "correct horse", active=False)
    assert isinstance(await world.login(anna.name, "wrong", client=ABROAD), Denied)


def _network(text: str) -> Network:
    from mailauth.core.addresses import parse_network

    return parse_network(text)
