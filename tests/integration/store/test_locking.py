"""CON2: one writer at a time, who waits for a while and then says so; nothing is half done."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from mailauth.effects.store import account_listing, accounts, schema, upkeep
from mailauth.effects.store.database import Database
from mailauth.effects.store.dialects.sqlite import dialect
from mailauth.effects.store.tables import account
from mailauth.vocabulary.errors import Overloaded, StoreUnavailable
from mailauth.vocabulary.model import AccountName

NOW = datetime(2025, 6, 1, tzinfo=UTC)
ALICE, BOB = AccountName("alice@mailitwize.be"), AccountName("bob@mailitwize.be")
BUSY_S = 0.2


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mailauth.db"


@pytest.fixture
def database(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(dialect, "BUSY_TIMEOUT_S", BUSY_S)
    upkeep.create(f"sqlite:///{file}")
    database = Database(f"sqlite:///{file}")
    schema.upgrade(database)
    yield database
    database.close()


@pytest.fixture
def holder(file: Path, database: Database) -> Iterator[sqlite3.Connection]:
    """Give another connection, as another process would have it, that holds the write lock."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


def add(database: Database, name: AccountName) -> None:
    database.write(lambda connection: accounts.add(connection, name, None, NOW))


def names(database: Database) -> list[str]:
    return [summary.name for summary in database.read(account_listing.summaries)]


def test_writer_waits_for_the_busy_timeout_and_then_is_unavailable(
    database: Database, holder: sqlite3.Connection
) -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="database is locked"):
        add(database, ALICE)
    assert BUSY_S * 0.9 <= time.monotonic() - began < BUSY_S + 5


def test_readers_read_on_while_somebody_writes(database: Database, holder: sqlite3.Connection) -> None:
    """WAL."""
    assert names(database) == []


def test_writer_goes_on_when_the_lock_is_given_up(database: Database, holder: sqlite3.Connection) -> None:
    with pytest.raises(StoreUnavailable):
        add(database, ALICE)
    holder.execute("ROLLBACK")
    add(database, ALICE)
    assert names(database) == [ALICE]


def test_transaction_takes_the_write_lock_when_it_begins(database: Database, file: Path) -> None:
    """A reader that turns into a writer is refused at once, whatever the timeout; so the lock comes first."""
    other = sqlite3.connect(file, isolation_level=None, timeout=0)

    def job(_: Connection) -> None:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")

    database.write(job)
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_reading_does_not_take_the_write_lock(database: Database, file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None, timeout=0)

    def job(connection: Connection) -> None:
        account_listing.summaries(connection)
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")

    database.read(job)
    other.close()


def test_all_reads_of_one_transaction_see_one_state(database: Database) -> None:
    def job(connection: Connection) -> None:
        assert account_listing.summaries(connection) == ()
        writer = threading.Thread(target=add, args=(database, ALICE))
        writer.start()
        writer.join()
        assert account_listing.summaries(connection) == ()

    database.read(job)
    assert names(database) == [ALICE]


def test_error_in_between_undoes_all_of_it(database: Database) -> None:
    def fail(connection: Connection) -> None:
        accounts.add(connection, ALICE, None, NOW)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.write(fail)
    assert names(database) == []
    add(database, BOB)
    assert names(database) == [BOB]


def test_what_was_written_is_there_for_others_at_once(database: Database, file: Path) -> None:
    """CON4."""
    add(database, ALICE)
    other = sqlite3.connect(file)
    assert other.execute("SELECT name FROM account").fetchall() == [(ALICE,)]
    other.close()


def test_pragmas_are_those_of_the_design(database: Database) -> None:
    found = database.write(
        lambda connection: [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    )
    assert found == ["wal", 2, 1, BUSY_S * 1000]


def test_busy_timeout_is_well_inside_what_mail_servers_wait() -> None:
    assert dialect.BUSY_TIMEOUT_S <= 5


def test_broken_connection_is_replaced(database: Database) -> None:
    with pytest.raises(StoreUnavailable):
        database.read(lambda connection: connection.exec_driver_sql("SELECT * FROM no_such_table"))
    assert names(database) == []


def test_error_tells_neither_statement_nor_values(database: Database) -> None:
    """AUD1, KEY3: SQLAlchemy's own text would repeat them."""
    with pytest.raises(StoreUnavailable) as refused:
        database.write(
            lambda connection: connection.exec_driver_sql("INSERT INTO no_such_table VALUES (?)", ("canary",))
        )
    assert "canary" not in f"{refused.value!s}{refused.value!r}{refused.value.__cause__!s}"
    assert "INSERT" not in str(refused.value)


def test_taken_name_is_an_answer_and_no_error(database: Database) -> None:
    add(database, ALICE)
    assert database.write(lambda connection: accounts.add(connection, ALICE, "another", NOW)) is False
    assert names(database) == [ALICE]


def test_conflict_that_nobody_foresaw_tells_no_values(database: Database) -> None:
    """AUD1: a traceback of it may be logged."""
    add(database, ALICE)
    row = {"name": ALICE, "password_hash": "canary-hash", "epoch": 1, "created_at": NOW}
    with pytest.raises(StoreUnavailable, match="UNIQUE") as refused:
        database.write(lambda connection: connection.execute(insert(account).values(row)))
    assert "canary" not in f"{refused.value!s}{refused.value!r}{refused.value.__cause__!s}"


async def test_too_many_waiting_jobs_are_refused_at_once(file: Path) -> None:
    upkeep.create(f"sqlite:///{file}")
    database = Database(f"sqlite:///{file}", threads=1, max_waiting=2)
    gate = threading.Event()
    running = [asyncio.ensure_future(database.run(gate.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="2 database jobs"):
        await database.run(gate.is_set)
    gate.set()
    assert await asyncio.gather(*running) == [True, True]
    assert await database.run(lambda: 7) == 7
    database.close()
