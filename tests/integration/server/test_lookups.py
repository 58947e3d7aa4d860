"""Whether an account exists, without a password, as Dovecot asks before it takes mail for somebody (DOOR1)."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from mailauth.usecases.lookups import Exists, Lookups, Unknown
from mailauth.vocabulary.model import AccountName, Granted
from tests.integration.server.conftest import SiteMaker
from tests.integration.serving import Server, Site
from tests.integration.talking import Talk, granted, look_up
from tests.world import World

UNKNOWN = "FAIL\t1\tuser={}\tcode=unknown"
LATER = "FAIL\t1\tuser={}\tcode=temp_fail"


@pytest.fixture(scope="module")
def server_with_lookups(make_site: SiteMaker) -> tuple[Site, Server]:
    """A site whose socket answers look-ups."""
    site = make_site()
    socket = site.directory / "lookups.sock"
    config, _ = site.second_configuration(f'server.socket=[{{path="{socket}", lookups=true}}]')
    return site, site.serve(config=config, socket=socket)


@pytest.fixture
def asked(server_with_lookups: tuple[Site, Server]) -> Iterator[tuple[Site, Talk]]:
    """That site, and a connection to it."""
    site, server = server_with_lookups
    with site.talk(server) as talk:
        yield site, talk


def test_who_exists_is_told_by_the_accounts_name_and_who_does_not_in_a_word(asked: tuple[Site, Talk]) -> None:
    site, talk = asked
    alice, gone = site.person(), site.person(enrolled=False)
    site.installation.accounts.add_alias(alice.name, "info@mailitwize.be")
    site.installation.accounts.set_disabled(gone.name, disabled=True)
    exists = f"OK\t1\tuser={alice.name}"
    assert look_up(talk, alice.name) == exists
    assert look_up(talk, alice.name.partition("@")[0].upper()) == exists, "the default domain is added"
    assert look_up(talk, "Info@MailITwize.be") == exists, "mail to an alias lies in the account's mailbox"
    assert look_up(talk, gone.name) == f"OK\t1\tuser={gone.name}", "mail to a disabled account arrives"
    for name in ("nobody@mailitwize.be", "a/../b@mailitwize.be", "x", "@", ""):
        assert look_up(talk, name) == UNKNOWN.format(name)
    assert look_up(talk, b"\xff@mailitwize.be").endswith("\tcode=unknown"), "what is no name is nobody's"
    site.installation.accounts.remove(gone.name)
    assert look_up(talk, gone.name) == UNKNOWN.format(gone.name)


def test_a_look_up_is_no_login(asked: tuple[Site, Talk], server_with_lookups: tuple[Site, Server]) -> None:
    site, talk = asked
    alice = site.person()
    token = site.installation.app_passwords.make(alice.name, "phone").password
    _, server = server_with_lookups
    for number in range(200):
        assert look_up(talk, alice.name, number + 1).startswith("OK\t")
        assert look_up(talk, f"nobody{number}@mailitwize.be", number + 1).startswith("FAIL\t")
    assert granted(talk.login(alice.name, token)), "nothing was tried, so nothing is counted"
    server.wait_for(f"account={alice.name}")
    logged = [line for line in server.log.splitlines() if alice.name in line or "nobody" in line]
    assert len(logged) == 1, "or logged as a try"


@pytest.mark.parametrize("name", ["person1@mailitwize.be", "nobody@mailitwize.be"])
def test_a_socket_that_is_not_dovecots_tells_nobody_who_exists_and_mail_waits(
    site: Site, name: str, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("server")
    site.person()
    with site.talk(server) as talk:
        assert look_up(talk, name) == LATER.format(name)
    server.wait_for("lookups = true")


def test_mail_waits_while_the_database_is_away(asked: tuple[Site, Talk]) -> None:
    site, talk = asked
    alice = site.person()
    moved = site.database.with_suffix(".away")
    site.database.rename(moved)
    try:
        for name in (alice.name, "newcomer@mailitwize.be"):
            assert look_up(talk, name) == LATER.format(name)
    finally:
        moved.rename(site.database)
    assert look_up(talk, alice.name) == f"OK\t1\tuser={alice.name}"


async def test_an_unknown_name_is_answered_from_memory_for_a_minute(world: World) -> None:
    """Spam asks for them all day."""
    installation, now = world.installation, [1000.0]
    lookups = Lookups(installation.database, installation.passwords, "mailitwize.be", 10.0, lambda: now[0])
    try:
        assert isinstance(await lookups.find("new@mailitwize.be"), Unknown)
        world.add("new@mailitwize.be")
        now[0] += 59
        assert isinstance(await lookups.find("NEW@mailitwize.be"), Unknown)
        now[0] += 2
        assert await lookups.find("new@mailitwize.be") == Exists(AccountName("new@mailitwize.be"))
        installation.accounts.remove("new@mailitwize.be")
        assert isinstance(await lookups.find("new@mailitwize.be"), Unknown), "who is gone is unknown at once"
    finally:
        lookups.close()


async def test_look_ups_and_logins_do_not_wait_for_one_another(world: World) -> None:
    """Each has threads of its own: no flood of mail holds up logins, and no flood of logins holds up mail."""
    alice = world.enrol("alice")
    lookups, database = world.installation.lookups, world.installation.database

    async def look() -> bool:
        return await lookups.find(alice.name) == Exists(alice.name)

    async def log_in() -> bool:
        return isinstance(await world.login(alice.name, alice.password + alice.code(world.clock())), Granted)

    for busy, other in ((database.run, look), (lookups._pool.run, log_in)):
        gate = threading.Event()
        waiting = [asyncio.ensure_future(busy(gate.wait)) for _ in range(50)]
        await asyncio.sleep(0)
        try:
            assert await other()
            assert not any(each.done() for each in waiting)
        finally:
            gate.set()
            await asyncio.gather(*waiting)


async def test_what_is_remembered_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailauth.usecases.lookups.MAX_UNKNOWN", 3)
    lookups = world.installation.lookups
    for number in range(10):
        await lookups.find(f"n{number}@mailitwize.be")
    assert len(lookups._unknown) == 3
