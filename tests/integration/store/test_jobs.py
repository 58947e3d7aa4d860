"""A job is run again where that may help, a few times; it follows once what follows from it; nothing is half done."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, insert
from sqlalchemy.exc import DBAPIError, OperationalError

from mailauth.effects.store import account_listing, accounts, dialects, schema, upkeep
from mailauth.effects.store.database import TRIES, Database
from mailauth.effects.store.dialects.sqlite.dialect import SQLite
from mailauth.effects.store.tables import account
from mailauth.vocabulary.errors import MailauthError, StoreUnavailable
from mailauth.vocabulary.model import AccountName

NOW = datetime(2025, 6, 1, tzinfo=UTC)
ALICE = AccountName("alice@mailitwize.be")


class Deadlock(Exception):
    """As a server's driver says that two transactions waited for each other."""


class Crowded(SQLite):
    """A database of several writers, as far as a test needs it: some of its errors pass by themselves."""

    def is_transient(self, error: DBAPIError) -> bool:
        return isinstance(error.orig, Deadlock)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/mailauth.db"
    upkeep.create(url)
    monkeypatch.setattr(dialects, "_class_for", lambda _: Crowded)
    database = Database(url)
    schema.upgrade(database)
    yield database
    database.close()


class Job:
    """Adds an account, and fails at first: so many times, with such an error."""

    def __init__(self, times: int, error: Exception) -> None:
        self.runs = 0
        self._times = times
        self._error = error

    def __call__(self, connection: Connection) -> int:
        self.runs += 1
        assert accounts.add(connection, ALICE, None, NOW), "the run before is undone"
        if self.runs <= self._times:
            raise self._error
        return self.runs


def deadlock() -> OperationalError:
    return OperationalError("UPDATE", None, Deadlock("deadlock detected"))


def lost() -> OperationalError:
    return OperationalError("UPDATE", None, Deadlock("gone"), connection_invalidated=True)


def names(database: Database) -> list[str]:
    return [summary.name for summary in database.read(account_listing.summaries)]


@pytest.mark.parametrize("error", [deadlock, lost])
def test_job_is_run_again_from_the_start(database: Database, error: type[Exception]) -> None:
    job = Job(TRIES - 1, error())
    assert database.write(job) == TRIES
    assert names(database) == [ALICE]


def test_job_that_fails_each_time_is_given_up(database: Database) -> None:
    job = Job(TRIES + 5, deadlock())
    with pytest.raises(StoreUnavailable, match="deadlock detected"):
        database.write(job)
    assert job.runs == TRIES
    assert names(database) == []


def test_what_cannot_pass_is_not_tried_again(database: Database) -> None:
    for error, raised in (
        (OperationalError("UPDATE", None, ValueError("no such table")), StoreUnavailable),
        (MailauthError("a sentence for people"), MailauthError),
        (ZeroDivisionError(), ZeroDivisionError),
    ):
        job = Job(1, error)
        with pytest.raises(raised):
            database.write(job)
        assert job.runs == 1, error
        assert names(database) == [], error


def test_commit_that_failed_is_not_tried_again(database: Database) -> None:
    """It may be in force, for all that is known here: a code would be spent twice, and a mail be queued twice."""
    job = Job(0, ValueError())

    def fail(_: Connection) -> None:
        raise lost()

    event.listen(database.engine, "commit", fail)
    with pytest.raises(StoreUnavailable):
        database.write(job)
    event.remove(database.engine, "commit", fail)
    assert job.runs == 1


def test_conflict_with_a_quicker_writer_is_looked_at_again(database: Database) -> None:
    """What was not there when the job looked for it is there when it writes."""
    runs: list[str] = []

    def job(connection: Connection) -> None:
        for name in [ALICE] if runs else [ALICE, ALICE]:
            runs.append(name)
            row = {"name": name, "epoch": 1, "created_at": NOW}
            connection.execute(insert(account).values(row))

    database.write(job)
    assert len(runs) == 3
    assert names(database) == [ALICE]


def test_kind_of_database_that_there_is_no_support_for_is_named() -> None:
    with pytest.raises(MailauthError, match="no support for databases of the kind oracle, only for sqlite"):
        Database("oracle://somewhere/x")
