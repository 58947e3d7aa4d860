"""One account under all its names: a second spelling never is a second chance (LIM3, CVE-2025-6013)."""

import pytest

from mailauth.vocabulary.errors import AccountExists
from mailauth.vocabulary.model import AccountName, Denied, Granted
from mailauth.vocabulary.reasons import WhyDenied
from tests.world import CUTOVER, World, WorldMaker

SPELLINGS = (
    "alice",
    "ALICE",
    "Alice@MailItWize.BE",
    " alice@mailitwize.be ",
    "alice@mailitwize.be",
    "sales",
    "Sales@mailitwize.be",
    "\uff41lice@mailitwize.be".replace("\uff41", "a"),
)


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_every_spelling_needs_the_second_factor(world: World, spelling: str) -> None:
    alice = world.enrol("alice")
    world.installation.accounts.add_alias("alice", "sales")
    assert await world.login(spelling, alice.password) == Denied(
        WhyDenied.CODE_MISSING, alice.name, password_was_right=True
    )
    verdict = await world.login(spelling, alice.password + alice.code(world.clock()))
    assert isinstance(verdict, Granted)
    assert verdict.account == alice.name


async def test_code_spent_under_one_name_is_spent_under_all(world: World) -> None:
    alice = world.enrol("alice")
    world.installation.accounts.add_alias("alice", "sales")
    secret = alice.password + alice.code(world.clock())
    assert isinstance(await world.login("sales", secret), Granted)
    for spelling in SPELLINGS:
        assert await world.login(spelling, secret) == Denied(
            WhyDenied.CODE_REPLAYED_BY_SAME_CLIENT, alice.name, password_was_right=True
        )


async def test_alias_is_as_enrolled_and_as_disabled_as_its_account(make_world: WorldMaker) -> None:
    world = make_world(now=CUTOVER.replace(month=4))
    alice = world.enrol("alice")
    world.installation.accounts.add_alias("alice", "sales")
    assert isinstance(await world.login("sales", alice.password), Denied)
    world.installation.accounts.set_disabled("sales", disabled=True)
    verdict = await world.login("sales", alice.password + alice.code(world.clock()))
    assert verdict == Denied(WhyDenied.ACCOUNT_DISABLED, alice.name, password_was_right=True)


async def test_alias_that_was_taken_away_opens_nothing(world: World) -> None:
    alice = world.enrol("alice")
    world.installation.accounts.add_alias("alice", "sales")
    world.installation.accounts.remove_alias("alice", "sales")
    verdict = await world.login("sales", alice.password + alice.code(world.clock()))
    assert verdict == Denied(WhyDenied.ACCOUNT_UNKNOWN, AccountName("sales@mailitwize.be"))


async def test_account_and_alias_cannot_have_one_name(world: World) -> None:
    world.add("alice")
    world.add("bob")
    world.installation.accounts.add_alias("alice", "sales")
    for add in (lambda: world.add("Sales"), lambda: world.installation.accounts.add_alias("bob", "SALES")):
        with pytest.raises(AccountExists):
            add()
    with pytest.raises(AccountExists):
        world.installation.accounts.add_alias("bob", "alice")


async def test_names_that_look_alike_are_different_accounts(world: World) -> None:
    alice = world.enrol("alice")
    secret = alice.password + alice.code(world.clock())
    for other in ("\u0430lice", "alic\u0435", "alice@m\u0430ilitwize.be", "a.lice", "alice+x"):
        assert not isinstance(await world.login(other, secret), Granted), other
    assert isinstance(await world.login("alice", secret), Granted)


async def test_internationalised_domain_is_one_name_in_both_forms(world: World) -> None:
    zoe = world.enrol("zoë@münchen.example")
    secret = zoe.password + zoe.code(world.clock())
    assert isinstance(await world.login("ZOE\u0308@XN--MNCHEN-3YA.example", secret), Granted)
    assert isinstance(await world.login("zoë@MÜNCHEN.example", secret), Denied)


async def test_name_and_app_password_are_taken_as_they_were_pasted(world: World) -> None:
    """NAME4: and count for the account that is meant."""
    alice = world.enrol("alice@mailitwize.be")
    made = world.installation.app_passwords.make(alice.name, "phone").shown
    for name in ("\ufeffalice@mailitwize.be\u200b", "<alice@mailitwize.be>", "mailto:Alice@mailitwize.be", "“alice”"):
        for secret in (made, made.replace("-", "\u2011"), f"\u200b{made}\u00a0"):
            verdict = await world.login(name, secret)
            assert isinstance(verdict, Granted), (name, secret)
            assert verdict.account == alice.name
        assert await world.login(name, "wrong") == Denied(WhyDenied.PASSWORD_WRONG, alice.name)
