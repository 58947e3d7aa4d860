"""What makes a network an account's own, for what, and when that ends (requirements LIM1, LIM7)."""

from datetime import timedelta
from ipaddress import ip_address

from sqlalchemy import func, select

from mailauth.core.limiter import MAX_NETWORKS_BY_APP_PASSWORD, Kinship
from mailauth.effects.store import familiar_networks, tables
from mailauth.vocabulary.model import AccountName, Denied, Granted
from mailauth.vocabulary.notices import Origin
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted
from mailauth.vocabulary.secret import Secret
from tests.integration.limits.conftest import DEFAULTS, HOME, THIRD, throttled, use_up_the_accounts_limit
from tests.transactions import reading
from tests.world import CUTOVER, Person, World, WorldMaker, enrol_account


async def codes_judged(world: World, alice: Person, clients: list[str], tries: int) -> int:
    """Return how many wrong codes with the right password were judged, from all of these clients in turn."""
    good = {alice.code(world.clock(), step) for step in range(-2, 3)}
    wrong = [f"{n:06}" for n in range(tries + 5) if f"{n:06}" not in good][:tries]
    judged = 0
    for n, code in enumerate(wrong):
        verdict = await world.login("alice", alice.password + code, client=clients[n % len(clients)])
        judged += verdict.reason is WhyDenied.CODE_WRONG
    return judged


def among_strangers(clients: list[str]) -> list[str]:
    """Return clients, each before one that nobody logged in from: meters of their own would add to the strangers'."""
    strangers = [f"203.0.113.{n}" for n in range(len(clients))]
    return [client for pair in zip(clients, strangers, strict=True) for client in pair]


async def test_networks_opened_by_the_password_alone_give_no_wrong_codes(make_world: WorldMaker) -> None:
    """Forty networks of one /48 log in before the owner enrols: together they have what any stranger has."""
    world = make_world(*DEFAULTS, now=CUTOVER - timedelta(days=9))
    world.add("alice")
    thief = [f"2001:db8:0:{n:x}::1" for n in range(40)]
    for client in thief:
        assert isinstance(await world.login("alice", "correct horse", client=client), Granted)
    alice = enrol_account(world.installation, AccountName("alice@mailitwize.be"))
    assert await codes_judged(world, alice, among_strangers(thief), 400) <= 50


async def test_networks_are_forgotten_with_the_password(make_world: WorldMaker) -> None:
    """Whoever knew the old one has no more guesses at the new one than any stranger."""
    world = make_world(*DEFAULTS, now=CUTOVER - timedelta(days=9))
    world.add("alice")
    thief = [f"198.51.100.{n}" for n in range(25)]
    for client in thief:
        assert isinstance(await world.login("alice", "correct horse", client=client), Granted)
    world.installation.accounts.set_password("alice", Secret(b"another horse"), revoke_app_passwords=False)
    answers = [await world.login("alice", f"guess{n}", client=thief[n % 25]) for n in range(200)]
    assert sum(isinstance(answer, Denied) for answer in answers) == 50


async def test_wrong_codes_are_bounded_over_all_networks_that_gave_both_factors(limited: World) -> None:
    """A thief who shares the owner's networks has one limit for all of them, beside the strangers' one."""
    alice = limited.enrol("alice")
    homes = [f"192.0.2.{n}" for n in range(12)]
    for client in homes:
        limited.clock.advance(seconds=30)
        assert isinstance(
            await limited.login("alice", alice.password + alice.code(limited.clock()), client=client), Granted
        )
    assert await codes_judged(limited, alice, homes[:1], 60) <= 20
    assert await codes_judged(limited, alice, [*homes, *(f"198.51.100.{n}" for n in range(12))], 900) <= 100


async def test_owner_at_home_has_codes_left_that_a_thief_elsewhere_used_up(limited: World) -> None:
    alice = limited.enrol("alice")
    right = alice.password + alice.code(limited.clock())
    assert isinstance(await limited.login("alice", right, client=HOME), Granted)
    assert await codes_judged(limited, alice, [f"198.51.100.{n}" for n in range(60)], 60) == 50
    limited.clock.advance(seconds=30)
    right = alice.password + alice.code(limited.clock())
    assert not isinstance(await limited.login("alice", right, client=THIRD), Granted)
    assert isinstance(await limited.login("alice", right, client=HOME), Granted)


async def test_network_in_which_the_owner_makes_new_recovery_codes_stays_familiar(limited: World) -> None:
    """As it does where an authenticator is set up; a thief elsewhere may have used up the codes of strangers."""
    alice = limited.enrol("alice")
    for client in (HOME, THIRD):
        right = alice.password + alice.code(limited.clock())
        verdict = await limited.login("alice", right, "portal", client)
        assert isinstance(verdict, Granted)
        limited.clock.advance(seconds=30)
    assert await codes_judged(limited, alice, [f"198.51.100.{n}" for n in range(60)], 60) == 50
    sessions = limited.installation.sessions
    here = Origin("portal", ip_address(THIRD))
    assert isinstance(verdict, Granted)
    session = sessions.load(sessions.open(verdict, here))
    assert session is not None
    limited.installation.recovery_codes.issue("alice", here, session)
    for client, is_let_in in ((HOME, False), (THIRD, True)):
        right = alice.password + alice.code(limited.clock())
        assert isinstance(await limited.login("alice", right, client=client), Granted) == is_let_in, client
    limited.installation.recovery_codes.issue("alice")
    limited.clock.advance(seconds=30)
    right = alice.password + alice.code(limited.clock())
    assert not isinstance(await limited.login("alice", right, client=THIRD), Granted), "an administrator's change"


async def test_strangers_cannot_use_up_the_codes(limited: World) -> None:
    """Whoever lacks the password is charged to no meter of codes, however many try at once."""
    alice = limited.enrol("alice")
    for n in range(300):
        await limited.login("alice", f"guess{n:06}", client=f"198.51.{n // 200}.{n % 200}")
    right = alice.password + alice.code(limited.clock())
    assert isinstance(await limited.login("alice", right, client=THIRD), Granted)


async def test_app_password_makes_its_network_the_accounts_own(limited: World) -> None:
    """Who uses app passwords as told is not out of the portal at home when strangers have used up the limit."""
    limited.add("alice")
    device = limited.installation.app_passwords.make("alice", "phone")
    assert isinstance(await limited.login("alice", device.password, client=HOME), Granted)
    limited.installation.device_networks.flush()
    await use_up_the_accounts_limit(limited)
    assert throttled(await limited.login("alice", "correct horse", "portal", client=THIRD))
    at_home = await limited.login("alice", "correct horse", "portal", client=HOME)
    assert at_home.reason is WhyGranted.TO_ENROL


async def test_app_password_does_not_make_a_network_familiar_for_codes(limited: World) -> None:
    alice = limited.enrol("alice")
    device = limited.installation.app_passwords.make("alice", "phone")
    homes = [f"192.0.2.{n}" for n in range(10)]
    for client in homes:
        await limited.login("alice", device.password, client=client)
    limited.installation.device_networks.flush()
    assert await codes_judged(limited, alice, among_strangers(homes), 200) <= 50


async def test_networks_of_app_passwords_have_one_limit_for_all(limited: World) -> None:
    """A thief with one app password may use it in many networks, for weeks: no guesses are won by that."""
    limited.add("alice")
    device = limited.installation.app_passwords.make("alice", "phone")
    networks = [f"192.0.2.{n}" for n in range(40)]
    for _ in range(2):
        limited.clock.advance(days=1, minutes=1)
        for client in networks:
            await limited.login("alice", device.password, client=client)
            limited.installation.device_networks.flush()
    answers = [await limited.login("alice", f"guess {n}", client=networks[n % 40]) for n in range(300)]
    assert sum(isinstance(answer, Denied) for answer in answers) <= 100


async def test_password_makes_a_network_more_than_that_of_an_app_password(make_world: WorldMaker) -> None:
    """A phone polls at home all day; and when nobody gives the password there any more, that ends."""
    world = make_world(*DEFAULTS, now=CUTOVER - timedelta(days=200))
    world.add("alice")
    device = world.installation.app_passwords.make("alice", "phone")

    async def kinship() -> Kinship:
        await world.login("alice", device.password, client=HOME)
        world.installation.device_networks.flush()
        account = world.installation.accounts.get("alice")
        with reading(world.installation.database) as connection:
            found = familiar_networks.find(connection, account.id, HOME)
        assert found is not None
        return found.kinship(account.epoch, world.clock())

    assert await kinship() is Kinship.BY_APP_PASSWORD
    assert isinstance(await world.login("alice", "correct horse", client=HOME), Granted)
    assert await kinship() is Kinship.BY_PASSWORD
    for _ in range(31):
        world.clock.advance(days=1, minutes=1)
        last = await kinship()
    assert last is Kinship.BY_APP_PASSWORD


async def test_networks_by_app_passwords_are_few_and_go_with_a_revocation(limited: World) -> None:
    limited.add("alice")
    device = limited.installation.app_passwords.make("alice", "phone")
    for day in range(2):
        for n in range(40):
            limited.clock.advance(minutes=1)
            await limited.login("alice", device.password, client=f"192.0.2.{n}")
            limited.installation.device_networks.flush()
        limited.clock.advance(days=1 - day)
    database = limited.installation.database
    count = select(func.count()).select_from(tables.familiar_source)
    with reading(database) as connection:
        assert connection.execute(count).scalar_one() == MAX_NETWORKS_BY_APP_PASSWORD
        assert familiar_networks.find(connection, 1, "192.0.2.39") is not None, "the oldest go first"
    await limited.login("alice", device.password, client="192.0.2.77")
    limited.installation.app_passwords.revoke("alice", device.id)
    limited.installation.device_networks.flush()
    with reading(database) as connection:
        assert connection.execute(count).scalar_one() == 0, "also what was only about to be noted"
