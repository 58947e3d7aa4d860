"""Whatever is broken underneath, nobody gets in: the database, a key, a seal, a hash, time, room (LIM5, F3, F4)."""

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from mailauth.effects.store.database import Database
from mailauth.effects.store.dialects.sqlite import dialect
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import Denied, Granted, Unavailable, Verdict
from mailauth.vocabulary.reasons import Reason, WhyDenied, WhyUnavailable
from tests.cases import case
from tests.transactions import writing
from tests.world import Person, World, WorldMaker


def file_of(world: World) -> Path:
    return world.directory / "mailauth.db"


def remove(path: Path) -> None:
    path.unlink()


def remove_all(path: Path) -> None:
    for each in path.parent.glob("mailauth.db*"):
        each.unlink()


def empty(path: Path) -> None:
    os.truncate(path, 0)


def overwrite(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def replace_by_rubbish(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"no database" * 1000)


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_an_older_one(path: Path) -> None:
    shutil.copy(path.with_suffix(".old"), path.with_suffix(".new"))
    path.with_suffix(".new").rename(path)


BREAKS = [remove, remove_all, empty, overwrite, replace_by_rubbish, replace_by_directory]


async def fresh_login(world: World, person: Person, steps: int = 0) -> Verdict:
    return await world.login(person.name, person.password + person.code(world.clock(), steps))


def is_unavailable(verdict: Verdict, reason: Reason) -> bool:
    return isinstance(verdict, Unavailable) and verdict.reason is reason


def run_sql(world: World, statement: str, **values: object) -> None:
    with writing(world.installation.database) as connection:
        assert connection.execute(text(statement), values).rowcount > 0


@pytest.mark.parametrize("break_it", BREAKS)
@pytest.mark.parametrize("after", ["a login", "nothing"])
async def test_broken_database_grants_nothing(
    make_world: WorldMaker, monkeypatch: pytest.MonkeyPatch, after: str, break_it: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(dialect, "BUSY_TIMEOUT_S", 0.05)
    world = make_world()
    alice = world.enrol("alice")
    robot = world.add("robot")
    world.installation.accounts.exempt("robot", world.clock.now.replace(year=2030), "sends invoices")
    token = world.installation.app_passwords.make("alice", "phone").password
    if after == "a login":
        assert isinstance(await fresh_login(world, alice), Granted)
    else:
        world.installation.database.close()
        world = reopened(world)
    with sqlite3.connect(file_of(world)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    break_it(file_of(world))
    world.installation.verifier._app_passwords._cache._entries.clear()
    for _ in range(3):
        for secret in (alice.password + alice.code(world.clock(), 1), alice.password, "wrong"):
            assert is_unavailable(await world.login("alice", secret), WhyUnavailable.STORE_UNAVAILABLE)
        assert is_unavailable(await world.login("robot", robot.password), WhyUnavailable.STORE_UNAVAILABLE)
        assert is_unavailable(await world.login("alice", token), WhyUnavailable.STORE_UNAVAILABLE)
    if break_it in (remove, remove_all):
        assert not file_of(world).exists(), "an empty database was made in its place"


def reopened(world: World) -> World:
    """Give the world a database that no thread has opened yet."""
    fresh = Database(world.installation.configuration.database.url)
    old = world.installation.database
    vars(old).update(vars(fresh))
    return world


async def test_database_that_comes_back_is_used_again(world: World) -> None:
    alice = world.enrol("alice")
    assert isinstance(await fresh_login(world, alice), Granted)
    away = file_of(world).with_suffix(".away")
    file_of(world).rename(away)
    assert is_unavailable(await fresh_login(world, alice, 1), WhyUnavailable.STORE_UNAVAILABLE)
    away.rename(file_of(world))
    assert isinstance(await fresh_login(world, alice), Denied)
    assert isinstance(await fresh_login(world, alice, 1), Granted)


async def test_damaged_database_makes_every_login_unavailable(world: World) -> None:
    """BAK1: also by app password; what was revoked may be in the damaged part."""
    alice = world.enrol("alice")
    token = world.installation.app_passwords.make("alice", "phone").password
    world.installation.database.condemn(["page 7 is amiss"])
    assert is_unavailable(await fresh_login(world, alice, 1), WhyUnavailable.STORE_UNAVAILABLE)
    assert is_unavailable(await world.login("alice", token), WhyUnavailable.STORE_UNAVAILABLE)


async def test_database_that_was_replaced_is_the_one_in_force(world: World) -> None:
    # Else a restored backup, and every revocation after it, would be ignored until the next restart.
    alice = world.enrol("alice")
    with sqlite3.connect(file_of(world)) as source, sqlite3.connect(file_of(world).with_suffix(".old")) as copy:
        source.backup(copy)
    source.close()
    copy.close()
    assert isinstance(await fresh_login(world, alice), Granted)
    bob = world.enrol("bob")
    assert isinstance(await fresh_login(world, bob), Granted)
    for name in ("-wal", "-shm"):
        Path(f"{file_of(world)}{name}").unlink(missing_ok=True)
    replace_by_an_older_one(file_of(world))
    assert await fresh_login(world, bob, 1) == Denied(WhyDenied.ACCOUNT_UNKNOWN, bob.name)


@contextmanager
def locked(path: Path, how: str = "IMMEDIATE") -> Iterator[None]:
    """Hold a lock on the database, as a backup or a forgotten shell would."""
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute(f"BEGIN {how}")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


async def test_locked_database_grants_no_code_and_recovers(
    make_world: WorldMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # CON2
    monkeypatch.setattr(dialect, "BUSY_TIMEOUT_S", 0.2)
    world = make_world()
    alice = world.enrol("alice")
    with locked(file_of(world)):
        verdict = await fresh_login(world, alice)
        assert is_unavailable(verdict, WhyUnavailable.STORE_UNAVAILABLE)
    assert isinstance(await fresh_login(world, alice), Granted)


async def test_writer_waits_for_a_lock_that_is_short(world: World) -> None:
    alice = world.enrol("alice")
    released = threading.Event()
    is_held = threading.Event()

    def hold() -> None:
        with locked(file_of(world)):
            is_held.set()
            released.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert is_held.wait(10)
    threading.Timer(0.3, released.set).start()
    assert isinstance(await fresh_login(world, alice), Granted)
    holder.join()


async def test_app_password_works_while_the_database_is_locked(world: World) -> None:
    alice = world.enrol("alice")
    token = world.installation.app_passwords.make("alice", "phone").password
    with locked(file_of(world)):
        for _ in range(3):
            world.installation.verifier._app_passwords._cache._entries.clear()
            assert isinstance(await world.login("alice", token), Granted)
    assert alice.name


async def test_damaged_row_makes_logins_unavailable_and_burns_no_code(make_world: WorldMaker) -> None:
    for statement, reason in (
        ("UPDATE totp SET key_id = 'gone'", WhyUnavailable.KEY_UNAVAILABLE),
        ("UPDATE totp SET sealed_seed = substr(sealed_seed, 1, 20)", WhyUnavailable.KEY_UNAVAILABLE),
        ("UPDATE totp SET sealed_seed = x''", WhyUnavailable.KEY_UNAVAILABLE),
        ("UPDATE totp SET sealed_seed = zeroblob(48)", WhyUnavailable.KEY_UNAVAILABLE),
        ("UPDATE account SET password_hash = ''", WhyUnavailable.HASH_UNREADABLE),
        ("UPDATE account SET password_hash = 'plain'", WhyUnavailable.HASH_UNREADABLE),
        ("UPDATE account SET password_hash = '{NTLM}correct horse'", WhyUnavailable.HASH_UNREADABLE),
        ("UPDATE account SET password_hash = '{ARGON2ID}'", WhyUnavailable.HASH_UNREADABLE),
        (
            "UPDATE account SET password_hash = '{ARGON2ID}$argon2id$v=19$m=64,t=1,p=1$x$y'",
            WhyUnavailable.HASH_UNREADABLE,
        ),
        ("UPDATE account SET password_hash = password_hash || 'é'", WhyUnavailable.HASH_UNREADABLE),
        ("UPDATE account SET password_hash = substr(password_hash, 1, 60)", WhyUnavailable.HASH_UNREADABLE),
    ):
        with case(statement, reason):
            world = make_world()
            alice = world.enrol("alice")
            with sqlite3.connect(file_of(world)) as connection:
                row = connection.execute("SELECT password_hash, sealed_seed, key_id FROM account JOIN totp").fetchone()
            connection.close()
            run_sql(world, statement)
            assert is_unavailable(await fresh_login(world, alice), reason)
            run_sql(world, "UPDATE account SET password_hash = :hash", hash=row[0])
            run_sql(world, "UPDATE totp SET sealed_seed = :seed, key_id = :key", seed=row[1], key=row[2])
            assert isinstance(await fresh_login(world, alice), Granted)


async def test_seed_of_another_account_does_not_open(world: World) -> None:
    # KEY1
    alice, bob = world.enrol("alice"), world.enrol("bob")
    with writing(world.installation.database) as connection:
        rows = connection.execute(text("SELECT id, sealed_seed FROM totp ORDER BY id")).all()
        for (row_id, _), (_, other) in zip(rows, reversed(rows), strict=True):
            connection.execute(text("UPDATE totp SET sealed_seed = :s WHERE id = :i"), {"s": other, "i": row_id})
    for one, other in ((alice, bob), (bob, alice)):
        secret = one.password + other.code(world.clock())
        assert is_unavailable(await world.login(one.name, secret), WhyUnavailable.KEY_UNAVAILABLE)


async def test_app_password_under_a_key_that_is_gone_is_unavailable_each_time(world: World) -> None:
    # KEY2; the second time it comes from the cache
    world.enrol("alice")
    token = world.installation.app_passwords.make("alice", "phone").password
    run_sql(world, "UPDATE app_password SET key_id = 'gone'")
    for _ in range(3):
        assert is_unavailable(await world.login("alice", token), WhyUnavailable.KEY_UNAVAILABLE)


async def test_damaged_network_of_an_app_password_opens_nothing(world: World) -> None:
    world.enrol("alice")
    token = world.installation.app_passwords.make("alice", "phone").password
    run_sql(world, "UPDATE app_password SET networks = 'everywhere'")
    with pytest.raises(InvalidValue, match="everywhere"):  # the edge answers "try again later"
        await world.login("alice", token)


async def test_slow_hash_ends_at_the_deadline(world: World) -> None:
    alice = world.enrol("alice")
    verifier = world.installation.verifier
    ends = threading.Event()
    verify = world.own_table.hasher.verify

    def slow(stored: str | None, password: bytes, name: str = "", default_scheme: str = "") -> bool:
        ends.wait(30)
        return verify(stored, password)

    world.own_table.hasher.verify = slow  # type: ignore[method-assign]
    verifier._deadline_s = 0.2
    began = time.monotonic()
    assert is_unavailable(await fresh_login(world, alice), WhyUnavailable.DEADLINE)
    assert time.monotonic() - began < 5
    ends.set()
    verifier._deadline_s = 10
    assert isinstance(await fresh_login(world, alice), Granted)


async def test_slow_database_ends_at_the_deadline(world: World) -> None:
    alice = world.enrol("alice")
    world.installation.verifier._deadline_s = 0.2
    with locked(file_of(world)):
        began = time.monotonic()
        assert is_unavailable(await fresh_login(world, alice), WhyUnavailable.DEADLINE)
        assert time.monotonic() - began < 3


async def test_full_queue_of_hashes_is_an_overload_and_no_denial(world: World) -> None:
    alice = world.enrol("alice")
    world.own_table.pool._max_waiting = 0
    assert is_unavailable(await fresh_login(world, alice), WhyUnavailable.OVERLOADED)
    world.own_table.pool._max_waiting = 512
    assert isinstance(await fresh_login(world, alice), Granted)


async def test_full_queue_of_the_database_is_an_overload_and_no_denial(world: World) -> None:
    alice = world.enrol("alice")
    world.installation.database._threads._max_waiting = 0
    assert is_unavailable(await fresh_login(world, alice), WhyUnavailable.OVERLOADED)
    world.installation.database._threads._max_waiting = 512
    assert isinstance(await fresh_login(world, alice), Granted)
