"""What differs between kinds of databases: the port, and the registry of those that there are.

A module here holds all that is peculiar to one kind: how its connections are made and its transactions begin, which of
its errors pass by themselves, its form of "insert, or else update", and what is known of its files. Nothing outside
names a kind of database, but for the configuration and the migrations.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol

from sqlalchemy import URL, ColumnElement, Connection, Engine, Insert, Table
from sqlalchemy.exc import DBAPIError

from mailauth.vocabulary.errors import MailauthError

DIALECTS = {"sqlite": "mailauth.effects.store.dialects.sqlite.dialect"}
"""The kinds of databases, by SQLAlchemy's names for them, and the modules that hold their `DIALECT`."""


class CannotBackUp(MailauthError):
    """The copy could not be made; what had its name before is as it was."""


class CannotRestore(MailauthError):
    """The copy was not put in place; the database is as it was."""


class Inspection(Protocol):
    """A search for damage that goes on in the background."""

    def stop(self) -> None:
        """Let it end early, if it has not; nobody waits for that."""


class Statements(ABC):
    """The forms of statements that a kind of database has of its own."""

    @abstractmethod
    def insert_if_absent(self, table: Table) -> Insert:
        """Return an INSERT that does nothing where a unique column has such a value already; it counts no row then."""

    @abstractmethod
    def upsert(
        self,
        table: Table,
        by: Sequence[str],
        row: Mapping[str, Any],
        values: Mapping[str, Any],
        only_if: ColumnElement[bool] | None = None,
    ) -> Insert:
        """Return an INSERT of `row` that updates the one which has the same in the columns `by`, if there is one.

        `values` are the new ones of that row, in terms of its columns and of parameters. The statement counts one row,
        or none where there is a row and `only_if` does not hold for it.
        """


class Dialect:
    """A database of some kind. What is here suits a database server; a kind that differs says so.

    `engine` opens connections that nobody else has. `own_errors`: what its driver raises where SQLAlchemy is not in
    between.
    """

    own_errors: ClassVar[tuple[type[Exception], ...]] = ()
    statements: ClassVar[Statements]

    engine: Engine

    def __init__(self, url: URL) -> None:
        self.url = url

    # Where the database is.

    def is_missing(self) -> bool:
        """Tell whether nobody has made the database yet, as far as that is known without asking a server."""
        return False

    def create(self) -> None:
        """Make what has to be there before the first connection. Raises OSError."""

    def identity(self) -> Hashable:
        """Return what tells the database that is there now from another one that takes its place.

        Raises StoreMissing where there is none, and StoreUnavailable where it is damaged.
        """
        return None

    def opening(self, identity: Hashable) -> None:
        """Look at the database before a connection to it is opened. Raises StoreUnavailable."""

    # Transactions.

    def writing_turn(self) -> AbstractContextManager[object]:
        """Return what a thread holds while it writes, where writers would otherwise be in one another's way."""
        return nullcontext()

    def prepare(self, connection: Connection, *, writes: bool, durable: bool) -> None:
        """Say of a connection what the transaction that begins now is for."""

    def began(self, connection: Connection) -> object:
        """Do what comes first in a transaction that writes; what this returns is handed to `committed`."""
        return None

    def committed(self, begun: object) -> None:
        """Note that a transaction that writes was committed."""

    def is_transient(self, error: DBAPIError) -> bool:
        """Tell whether a transaction that failed may succeed when it is run again: a deadlock, a conflict."""
        return False

    def failed(self, error: Exception) -> None:
        """Learn from an error of the database's."""

    # Damage and backups.

    def findings(self) -> tuple[str, ...]:
        """Return what is damaged, in the database's own words; nothing where all is well, or nobody can tell."""
        return ()

    def inspect(self, patience_s: float) -> Inspection | None:
        """Begin to look for damage; let it go on when the patience is at an end. None: nothing is being looked at.

        What is found later condemns the database. Raises StoreUnavailable for what is found before.
        """
        return None

    def condemn(self, findings: Sequence[str]) -> None:
        """Neither read nor write this database any more: it is damaged. What takes its place is used again."""

    def damage_words(self, findings: Sequence[str]) -> str:
        """Return what is said of a damaged database, behind its name."""
        return f"is damaged ({'; '.join(findings)})"

    def back_up(self, target: Path, *, replace: bool = False) -> int:
        """Copy the database, which may be in use, into a file; return its bytes. Raises CannotBackUp."""
        raise CannotBackUp(_HAS_ITS_OWN)

    def in_place_of(self, source: Path) -> AbstractContextManager[URL]:
        """Give a checked draft of a backup, which takes the database's place at the end. Raises CannotRestore."""
        raise CannotRestore(_HAS_ITS_OWN)

    def aside(self) -> tuple[Path, ...]:
        """Return the databases that were replaced by backups here, the last one at the end."""
        return ()

    def close(self) -> None:
        """Close what is open beside connections."""
        self.engine.dispose()


_HAS_ITS_OWN = "a database server has its own backups: use those"


def of(url: URL) -> Dialect:
    """Return the dialect for a database. Raises MailauthError for a kind that there is none for."""
    made: Dialect = _class_for(url.get_backend_name())(url)
    return made


def statements(connection: Connection) -> Statements:
    """Return the forms of statements that a connection's database takes."""
    return _class_for(connection.dialect.name).statements


@cache
def _class_for(name: str) -> type[Dialect]:
    if name not in DIALECTS:
        raise MailauthError(f"there is no support for databases of the kind {name}, only for {', '.join(DIALECTS)}")
    found: type[Dialect] = import_module(DIALECTS[name]).DIALECT
    return found
