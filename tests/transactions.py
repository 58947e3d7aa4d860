"""A test's own statements in one transaction, where a job would hide what the test is about.

The code under test uses `Database.read` and `write`, which run a job again where that helps; this runs once.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from mailauth.effects.store import dialects
from mailauth.effects.store.database import Database


@contextmanager
def reading(database: Database) -> Iterator[Connection]:
    """Give a connection on which all statements see one state of the database."""
    with _transaction(database, writes=False) as connection:
        yield connection


@contextmanager
def writing(database: Database) -> Iterator[Connection]:
    """Give a connection whose statements are committed together at the end, or not at all on an error."""
    with _transaction(database, writes=True) as connection:
        yield connection


@contextmanager
def _transaction(database: Database, *, writes: bool) -> Iterator[Connection]:
    dialect = dialects.of(database.url)
    try:
        with dialect.engine.connect() as connection:
            dialect.prepare(connection, writes=writes, durable=True)
            with connection.begin():
                begun = dialect.began(connection) if writes else None
                yield connection
            if writes:
                dialect.committed(begun)
    finally:
        dialect.close()
