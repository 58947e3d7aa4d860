"""Tables do not grow for ever: what is over is deleted, what still counts is not."""

from datetime import timedelta

from sqlalchemy import func, select

from mailauth.effects.store import tables
from mailauth.vocabulary.model import Unavailable
from tests.world import World, WorldMaker


def rows(world: World, name: str) -> int:
    with world.installation.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(tables.metadata.tables[name])).scalar_one()


async def test_full_buckets_stay_and_empty_ones_go(make_world: WorldMaker) -> None:
    world = make_world("limits.account_and_source_burst=5", "limits.account_burst=1000")
    world.add("alice")
    for n in range(8):
        await world.login("alice", f"guess{n}", client="198.51.100.9")
    assert rows(world, "limiter") == 3
    world.installation.housekeeping.tidy()
    assert isinstance(await world.login("alice", "guess", client="198.51.100.9"), Unavailable)
    world.clock.advance(days=6)
    assert world.installation.housekeeping.tidy() == 3
    assert rows(world, "limiter") == 0


async def test_familiar_sources_and_memories_go_when_they_are_over(make_world: WorldMaker) -> None:
    world = make_world("login_memory.life_s=600")
    alice = world.enrol("alice")
    await world.login("alice", alice.password + alice.code(world.clock()))
    world.clock.advance(hours=1)
    world.installation.housekeeping.tidy()
    assert (rows(world, "familiar_source"), rows(world, "login_memory")) == (1, 1)
    world.clock.now += timedelta(days=31)
    world.installation.housekeeping.tidy()
    assert (rows(world, "familiar_source"), rows(world, "login_memory")) == (0, 0)


async def test_administrator_sees_and_clears_what_is_counted(make_world: WorldMaker) -> None:
    world = make_world("limits.account_and_source_burst=5")
    world.add("alice")
    world.add("alice2")
    for n in range(8):
        await world.login("alice", f"guess{n}", client="198.51.100.9")
    keys = [level.key for level in world.installation.accounts.levels("Alice")]
    assert keys == ["account alice@mailitwize.be", "account+source alice@mailitwize.be 198.51.100.9"]
    assert world.installation.accounts.levels("alice2") == ()
    assert world.installation.accounts.clear_levels("alice") == 2
    assert not isinstance(await world.login("alice", "guess9", client="198.51.100.9"), Unavailable)
