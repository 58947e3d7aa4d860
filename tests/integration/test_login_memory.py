"""The login memory: one accepted string serves one client for a while, and nobody else (requirement MEM1)."""

import asyncio
from collections.abc import Callable

import pytest

from mailauth.usecases.enrolment import Confirmed
from mailauth.vocabulary.model import Credential, Denied, Granted
from mailauth.vocabulary.reasons import Reason, WhyDenied, WhyGranted
from mailauth.vocabulary.secret import Secret
from tests.transactions import reading, writing
from tests.world import Person, World, WorldMaker

HERE, ELSEWHERE = "192.0.2.7", "198.51.100.9"


@pytest.fixture
def remembering(make_world: WorldMaker) -> World:
    return make_world("login_memory.life_s=600")


def presented(world: World, person: Person) -> str:
    return person.password + person.code(world.clock())


async def test_further_connections_of_the_client_pass_on_the_same_string(remembering: World) -> None:
    alice = remembering.enrol("alice")
    secret = presented(remembering, alice)
    assert (await remembering.login("alice", secret, "imap", HERE)).reason is WhyGranted.SECOND_FACTOR_GIVEN
    for service in ("imap", "submission", "smtp", "pop3", "sieve"):
        assert await remembering.login("alice", secret, service, HERE) == Granted(
            alice.name, Credential.PASSWORD_AND_CODE, WhyGranted.REMEMBERED
        )


async def test_parallel_connections_of_one_client_all_pass_and_spend_one_step(remembering: World) -> None:
    alice = remembering.enrol("alice")
    secret = presented(remembering, alice)
    verdicts = await asyncio.gather(*(remembering.login("alice", secret, "imap", HERE) for _ in range(12)))
    reasons = [verdict.reason for verdict in verdicts]
    assert reasons.count(WhyGranted.SECOND_FACTOR_GIVEN) == 1
    assert reasons.count(WhyGranted.REMEMBERED) == 11


async def test_twenty_clients_with_one_code_are_one_client_that_passes(remembering: World) -> None:
    alice = remembering.enrol("alice")
    secret = presented(remembering, alice)
    verdicts = await asyncio.gather(
        *(remembering.login("alice", secret, "imap", f"192.0.2.{host}") for host in range(1, 21))
    )
    assert sum(isinstance(verdict, Granted) for verdict in verdicts) == 1


@pytest.mark.parametrize(
    ("service", "client"), [("imap", ELSEWHERE), ("portal", HERE), ("imap", None), ("imap", "2001:db8::7")]
)
async def test_string_is_spent_for_another_network_or_class(
    remembering: World, service: str, client: str | None
) -> None:
    alice = remembering.enrol("alice")
    secret = presented(remembering, alice)
    await remembering.login("alice", secret, "imap", HERE)
    assert await remembering.login("alice", secret, service, client) == Denied(
        WhyDenied.CODE_REPLAYED, alice.name, password_was_right=True
    )


async def test_ipv6_clients_of_one_64_are_one_client(remembering: World) -> None:
    alice = remembering.enrol("alice")
    secret = presented(remembering, alice)
    await remembering.login("alice", secret, "imap", "2001:db8::1")
    assert isinstance(await remembering.login("alice", secret, "imap", "2001:db8::ffff:1"), Granted)
    assert isinstance(await remembering.login("alice", secret, "imap", "2001:db8:0:1::1"), Denied)


async def test_no_part_of_a_remembered_string_passes(remembering: World) -> None:
    alice = remembering.enrol("alice")
    secret = presented(remembering, alice)
    await remembering.login("alice", secret, "imap", HERE)
    for part in ("", secret[-6:], secret[:-6], secret[:-1], secret + " ", secret.upper(), "x" + secret):
        assert not isinstance(await remembering.login("alice", part, "imap", HERE), Granted), part


async def test_another_account_does_not_profit(remembering: World) -> None:
    alice = remembering.enrol("alice")
    remembering.enrol("bob")
    secret = presented(remembering, alice)
    await remembering.login("alice", secret, "imap", HERE)
    assert isinstance(await remembering.login("bob", secret, "imap", HERE), Denied)


async def test_memory_ends_with_its_life_however_much_it_is_used(remembering: World) -> None:
    alice = remembering.enrol("alice")
    secret = presented(remembering, alice)
    await remembering.login("alice", secret, "imap", HERE)
    for _ in range(5):
        remembering.clock.advance(seconds=119)
        assert isinstance(await remembering.login("alice", secret, "imap", HERE), Granted)
    remembering.clock.advance(seconds=10)
    assert isinstance(await remembering.login("alice", secret, "imap", HERE), Denied)


async def test_replay_by_the_same_client_is_told_from_one_elsewhere(remembering: World) -> None:
    alice = remembering.enrol("alice")
    secret = presented(remembering, alice)
    await remembering.login("alice", secret, "imap", HERE)
    elsewhere = await remembering.login("alice", secret, "imap", ELSEWHERE)
    assert elsewhere.reason is WhyDenied.CODE_REPLAYED
    # Its uses are over while its code still matches a step: the same client, but served no more.
    remembering.close()
    again = await _exhausted(remembering.directory)
    assert again is WhyDenied.CODE_REPLAYED_BY_SAME_CLIENT


async def _exhausted(directory: object) -> Reason:
    from pathlib import Path

    inner = Path(str(directory)) / "inner"
    inner.mkdir()
    world = World(inner, "login_memory.life_s=600", "login_memory.max_uses=1")
    try:
        bob = world.enrol("bob")
        secret = presented(world, bob)
        await world.login("bob", secret, "imap", HERE)
        return (await world.login("bob", secret, "imap", HERE)).reason
    finally:
        world.close()


def change_password(world: World) -> None:
    world.installation.accounts.set_password("alice", Secret(b"correct horse"), revoke_app_passwords=False)


def change_factor(world: World) -> None:
    import base64

    from mailauth.core import otp

    begun = world.installation.enrolment.begin("alice")
    code = otp.code_at(base64.b32decode(begun.secret), otp.step_at(world.clock()) - 1)
    assert isinstance(world.installation.enrolment.confirm("alice", Secret(code.encode())), Confirmed)


def reissue_recovery_codes(world: World) -> None:
    world.installation.recovery_codes.issue("alice")


def disable_and_enable(world: World) -> None:
    world.installation.accounts.set_disabled("alice", disabled=True)
    world.installation.accounts.set_disabled("alice", disabled=False)


@pytest.mark.parametrize(
    "change", [change_password, change_factor, reissue_recovery_codes, disable_and_enable], ids=lambda f: f.__name__
)
async def test_any_change_of_password_factor_or_account_voids_it(
    remembering: World, change: Callable[[World], None]
) -> None:
    alice = remembering.enrol("alice")
    secret = presented(remembering, alice)
    await remembering.login("alice", secret, "imap", HERE)
    change(remembering)
    assert not isinstance(await remembering.login("alice", secret, "imap", HERE), Granted)


async def test_recovery_code_is_never_remembered(remembering: World) -> None:
    remembering.enrol("alice")
    _, codes = remembering.installation.recovery_codes.issue("alice")
    secret = "correct horse" + codes[0]
    assert isinstance(await remembering.login("alice", secret, "imap", HERE), Granted)
    assert isinstance(await remembering.login("alice", secret, "imap", HERE), Denied)


async def test_bare_password_is_never_remembered_beyond_the_cutover(make_world: WorldMaker) -> None:
    world = make_world("login_memory.life_s=600", "cutover.date=2030-01-01T00:00Z")
    world.add("carol")
    assert isinstance(await world.login("carol", "correct horse", "imap", HERE), Granted)
    world.clock.now = world.installation.policy.dates[0]
    assert isinstance(await world.login("carol", "correct horse", "imap", HERE), Denied)


async def test_without_an_address_nothing_is_remembered(remembering: World) -> None:
    alice = remembering.enrol("alice")
    secret = presented(remembering, alice)
    assert isinstance(await remembering.login("alice", secret, "imap", None), Granted)
    assert isinstance(await remembering.login("alice", secret, "imap", None), Denied)


async def test_uses_are_bounded(make_world: WorldMaker) -> None:
    world = make_world("login_memory.life_s=600", "login_memory.max_uses=5")
    alice = world.enrol("alice")
    secret = presented(world, alice)
    verdicts = [await world.login("alice", secret, "imap", HERE) for _ in range(8)]
    assert sum(isinstance(verdict, Granted) for verdict in verdicts) == 5


async def test_web_mail_host_has_its_own_idle_and_absolute_life(make_world: WorldMaker) -> None:
    profile = 'login_memory.profile=[{networks=["203.0.113.0/28"], life_s=36000, idle_s=1800}]'
    world = make_world("login_memory.life_s=600", profile)
    alice = world.enrol("alice")
    secret = presented(world, alice)
    host = "203.0.113.5"
    await world.login("alice", secret, "imap", host)
    for _ in range(20):
        world.clock.advance(seconds=1790)
        assert isinstance(await world.login("alice", secret, "imap", host), Granted)
    world.clock.advance(seconds=1801)
    assert isinstance(await world.login("alice", secret, "imap", host), Denied)


async def test_connection_that_was_received_first_and_is_decided_last_passes(remembering: World) -> None:
    """Connections of one client overtake one another; the moment that counts is that of their receipt."""
    alice = remembering.enrol("alice")
    secret = presented(remembering, alice)
    assert (await remembering.login("alice", secret, "imap", HERE)).reason is WhyGranted.SECOND_FACTOR_GIVEN
    remembering.clock.jump(milliseconds=-30)
    assert (await remembering.login("alice", secret, "imap", HERE)).reason is WhyGranted.REMEMBERED


async def test_clock_that_is_set_back_ends_the_memory(remembering: World) -> None:
    alice = remembering.enrol("alice")
    secret = presented(remembering, alice)
    await remembering.login("alice", secret, "imap", HERE)
    remembering.clock.advance(hours=-1)
    assert isinstance(await remembering.login("alice", secret, "imap", HERE), Denied)


async def test_rows_of_an_account_are_bounded_and_purged(remembering: World) -> None:
    from sqlalchemy import func, select

    from mailauth.effects.store import remembered_logins
    from mailauth.effects.store.tables import login_memory

    alice = remembering.enrol("alice")
    for _ in range(70):
        remembering.clock.advance(seconds=30)
        await remembering.login("alice", presented(remembering, alice), "imap", HERE)
    database = remembering.installation.database
    with reading(database) as connection:
        assert connection.execute(select(func.count()).select_from(login_memory)).scalar_one() == 64
    remembering.clock.advance(days=31)
    with writing(database) as connection:
        assert remembered_logins.purge(connection, remembering.clock()) == 64
