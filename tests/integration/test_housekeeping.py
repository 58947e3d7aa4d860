"""Tables do not grow for ever: what is over is deleted, what still counts is not."""

from sqlalchemy import func, select

from mailauth.effects.store import tables
from mailauth.vocabulary.model import Credential, Unavailable
from mailauth.vocabulary.notices import Origin
from tests.integration.portal_sessions.people import granted
from tests.transactions import reading
from tests.world import World, WorldMaker


def rows(world: World, name: str) -> int:
    with reading(world.installation.database) as connection:
        return connection.execute(select(func.count()).select_from(tables.metadata.tables[name])).scalar_one()


def tidied(world: World) -> int:
    """Tidy up at the end of an hour in which no clock was set: what is over now goes then."""
    before = world.installation.housekeeping.tidy()
    world.clock.advance(hours=1)
    return before + world.installation.housekeeping.tidy()


async def test_meters_in_use_stay_and_unused_ones_go(make_world: WorldMaker) -> None:
    world = make_world("limits.account_and_source_burst=5", "limits.account_burst=1000")
    world.add("alice")
    for n in range(8):
        await world.login("alice", f"guess{n}", client="198.51.100.9")
    counted = rows(world, "limiter")
    world.installation.housekeeping.tidy()
    assert isinstance(await world.login("alice", "guess", client="198.51.100.9"), Unavailable)
    world.clock.advance(days=6)
    assert tidied(world) == counted
    assert rows(world, "limiter") == 0


async def test_familiar_sources_and_memories_go_when_they_are_over(make_world: WorldMaker) -> None:
    world = make_world("login_memory.life_s=600")
    alice = world.enrol("alice")
    await world.login("alice", alice.password + alice.code(world.clock()))
    tidied(world)
    assert (rows(world, "familiar_source"), rows(world, "login_memory")) == (1, 1)
    world.clock.advance(days=31)
    tidied(world)
    assert (rows(world, "familiar_source"), rows(world, "login_memory")) == (0, 0)


async def test_administrator_sees_and_clears_what_is_counted(make_world: WorldMaker) -> None:
    world = make_world("limits.account_and_source_burst=5")
    world.add("alice")
    world.add("alice2")
    for n in range(8):
        await world.login("alice", f"guess{n}", client="198.51.100.9")
    keys = [stored.key for stored in world.installation.limits.tats("Alice")]
    assert keys == ["account alice@mailitwize.be", "account+source alice@mailitwize.be 198.51.100.9"]
    assert world.installation.limits.tats("alice2") == ()
    assert world.installation.limits.clear("alice") == 2
    assert not isinstance(await world.login("alice", "guess9", client="198.51.100.9"), Unavailable)


async def test_sessions_go_when_they_are_over_or_their_account_has_changed(world: World) -> None:
    alice, bob, carol = (world.add(name) for name in ("alice", "bob", "carol"))
    sessions = world.installation.sessions
    alice_s = sessions.open(granted(world, alice.name, Credential.PASSWORD), Origin("portal"))
    sessions.open(granted(world, bob.name, Credential.PASSWORD), Origin("portal"))
    world.installation.accounts.set_disabled("bob", disabled=True)
    assert sessions.load(alice_s) is not None
    tidied(world)
    assert rows(world, "portal_session") == 1
    world.clock.advance(days=6)
    sessions.open(granted(world, carol.name, Credential.PASSWORD), Origin("portal"))
    world.clock.advance(days=1)
    tidied(world)
    assert rows(world, "portal_session") == 1


async def test_links_go_a_week_after_their_end(world: World) -> None:
    world.enrol("alice")
    world.clock.advance(days=3 + 7, seconds=-3601)
    world.installation.housekeeping.tidy()
    world.clock.advance(hours=1)
    world.installation.housekeeping.tidy()
    assert rows(world, "mail_link") == 1
    world.clock.advance(seconds=1)
    tidied(world)
    assert rows(world, "mail_link") == 0


async def test_clock_that_ran_ahead_deletes_nothing_that_counts(make_world: WorldMaker) -> None:
    """LIM10: the counters, the memories and the networks are there when it is set right, however often was tidied."""
    world = make_world("login_memory.life_s=600", "limits.account_burst=5")
    alice = world.enrol("alice")
    await world.login("alice", alice.password + alice.code(world.clock()))
    for n in range(5):
        await world.login("alice", f"guess{n}", client=f"198.51.100.{n}")
    world.installation.housekeeping.tidy()
    world.clock.advance(minutes=30)  # the jump begins the hour anew
    world.clock.jump(days=400)
    for _ in range(6):
        world.installation.housekeeping.tidy()
        world.clock.advance(minutes=9)
    world.clock.jump(days=-400)
    world.installation.housekeeping.tidy()
    assert (rows(world, "familiar_source"), rows(world, "login_memory")) == (1, 1)
    assert isinstance(await world.login("alice", "guess", client="198.51.100.99"), Unavailable)
