"""Connections and transactions.

Each thread of a small pool holds one connection, because checking one out for every login costs more than the
query. A transaction that writes takes the write lock when it begins: SQLite refuses a reader that turns into a
writer at once, whatever its busy timeout. Errors of the database come out as StoreUnavailable, after which
the thread's connection is replaced; nothing of the transaction is in force then. A file that proves damaged is neither
read nor written to from then on.

Must not decide anything, and must not be used from the event loop's thread except through `run`.
"""

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from mailauth.effects.pools import BoundedPool
from mailauth.effects.store.soundness import Inspection, is_damage, take_turn
from mailauth.effects.store.write_ahead_log import Marks, require_own
from mailauth.vocabulary.errors import Overloaded, StoreUnavailable

T = TypeVar("T")
_FileId = tuple[int, int] | None

THREADS = 4
READERS = 2
BUSY_TIMEOUT_S = 4.0
"""How long a writer waits for the lock: well inside the 10 s that mail servers wait for our answer."""
MAX_WAITING = 2048

_WRITES = "mailauth_writes"
_DURABLE = "mailauth_durable"
_FILE = "mailauth_file"

log = logging.getLogger(__name__)


class Database:
    """A database and the threads that talk to it."""

    def __init__(self, url: str, threads: int = THREADS, max_waiting: int = MAX_WAITING) -> None:
        self.url = make_url(url)
        self.engine = _engine(self.url)
        self._held = threading.local()
        self._all_held: list[Connection] = []
        self._threads = BoundedPool(threads, max_waiting, "database jobs")
        # Apart, because what writes may hold all the other threads while it waits for the lock.
        self._readers = BoundedPool(READERS, max_waiting, "database look-ups")
        self._sqlite_file = file_of(self.url)
        self._marks = None if self._sqlite_file is None else Marks(self._sqlite_file)
        self._damaged: tuple[_FileId, str] | None = None
        self._looked_at: _FileId = None
        # SQLite has one writer; waiting for it here is fair, its own busy handler sleeps and guesses.
        self._write_lock = threading.Lock() if self.is_sqlite else nullcontext()

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.url.get_backend_name() == "sqlite"

    async def run(self, job: Callable[[], T]) -> T:
        """Return what a job returns that one of the database's threads ran. Raises Overloaded at once."""
        return await self._threads.run(job)

    async def run_reading(self, job: Callable[[], T]) -> T:
        """Do the same for a job that only reads: it never waits behind those that write."""
        return await self._readers.run(job)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection on which all statements see one state of the database."""
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Connection]:
        """Give a connection whose statements are committed together at the end, or not at all on an error.

        Durable: on the disk before this returns, as what is spent must be. Otherwise a power failure (not a
        crash of ours) may lose it, which is good enough for counting and several times faster.
        """
        with self._write_lock, self._transaction(writes=True, durable=durable) as connection:
            yield connection

    def inspect(self, patience_s: float) -> Inspection | None:
        """Begin to look for damage, unless another process does; let it go on after the patience is at an end.

        What is found then condemns the file. Raises StoreUnavailable for what is found before.
        """
        if self._sqlite_file is None:
            return None
        turn = take_turn(self._sqlite_file)
        if turn is None:
            return None
        inspection = Inspection(self._sqlite_file, lambda found: self.condemn(found) if found else None, turn)
        if found := inspection.wait(patience_s):
            raise StoreUnavailable(f"database {self.url.render_as_string()}: {damage_words(found)}")
        return inspection

    def condemn(self, findings: Sequence[str]) -> None:
        """Neither read nor write this file any more: it is damaged. What takes its place is used again."""
        with contextlib.suppress(StoreUnavailable):
            file = _file_now(self.url)
            if self._damaged is None or self._damaged[0] != file:
                words = "; ".join(findings)
                self._damaged = file, words
                log.error("the database is damaged, nothing is written to it any more: %s", words)

    def later(self, job: Callable[[], object]) -> None:
        """Have a job done soon that nobody waits for; it is done before `close` returns. Its failure is logged."""

        def logged() -> None:
            try:
                job()
            except StoreUnavailable as error:
                log.warning("a deferred write was lost: %s", error)

        try:
            self._threads.later(logged)
        except Overloaded as error:
            log.warning("a deferred write was lost: %s", error)

    def close(self) -> None:
        """Let all jobs end, then close every connection."""
        self._threads.close(finish=True)
        self._readers.close(finish=True)
        while self._all_held:
            self._all_held.pop().close()
        self.engine.dispose()
        if self._marks is not None:
            self._marks.close()

    @contextmanager
    def _transaction(self, *, writes: bool, durable: bool = True) -> Iterator[Connection]:
        try:
            connection = self._connection()
            connection.info[_WRITES] = writes
            connection.info[_DURABLE] = durable
            with connection.begin():
                mark = self._marks.begin(connection) if writes and self._marks is not None else b""
                yield connection
            if writes and self._marks is not None:
                self._marks.committed(mark)
        except IntegrityError:
            raise  # a name that is taken: the use case knows what that means
        except (DBAPIError, sqlite3.Error, SQLAlchemyError) as error:
            self._drop()
            if is_damage(getattr(error, "orig", error)):
                self.condemn([_cause(error)])
            raise StoreUnavailable(f"database {self.url.render_as_string()}: {_cause(error)}") from error

    def _connection(self) -> Connection:
        held: Connection | None = getattr(self._held, "connection", None)
        file = _file_now(self.url)
        if self._damaged is not None and self._damaged[0] == file:
            raise StoreUnavailable(f"database {self.url.render_as_string()}: {damage_words([self._damaged[1]])}")
        if held is not None and held.info.get(_FILE) != file:
            # A restored backup, or no file at all. SQLite would go on with the deleted one, so that a code
            # spent there would be unspent after the next restart.
            self._drop()
            held = None
        if held is None or held.closed or held.invalidated:
            if self._sqlite_file is not None and self._looked_at != file:
                require_own(self._sqlite_file)
                self._looked_at = file
            held = self.engine.connect()
            held.info[_FILE] = file
            self._held.connection = held
            self._all_held.append(held)
        return held

    def _drop(self) -> None:
        held: Connection | None = getattr(self._held, "connection", None)
        self._held.connection = None
        if held is not None:
            if held in self._all_held:
                self._all_held.remove(held)
            try:
                held.invalidate()
                held.close()
            except SQLAlchemyError:
                pass  # it was broken already, which is why it is dropped


def damage_words(findings: Sequence[str]) -> str:
    """Return the sentence about a damaged database."""
    return (
        f"is damaged ({'; '.join(findings)}); nothing is written to it. Stop mailauth, restore the last backup with "
        "`mailauth db restore FILE`, which keeps the damaged file, and start it again"
    )


def file_of(url: str | URL) -> Path | None:
    """Return where a SQLite database's file is; None where there is none, and never will be."""
    made = make_url(url)
    if made.get_backend_name() != "sqlite" or not made.database or made.database == ":memory:":
        return None
    return Path(made.database)


def is_there(url: str) -> bool:
    """Tell whether there is a database to look at: the file of SQLite's, anything of others."""
    path = file_of(url)
    return path is None or path.exists()


def create_file(url: str) -> None:
    """Create a SQLite database's file, readable by its owner alone, before anything else would create it."""
    path = file_of(url)
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _file_now(url: URL) -> _FileId:
    """Return which file is under a SQLite database's path now. Raises StoreUnavailable where there is none.

    SQLite itself would make an empty one, readable by everybody.
    """
    path = file_of(url)
    if path is None:
        return None
    try:
        status = os.stat(path)
    except OSError as error:
        reason = error.strerror
        if isinstance(error, FileNotFoundError):
            reason = f"{reason}; restore it from the backup if there was one, else `mailauth init` makes it"
        raise StoreUnavailable(f"database {url.render_as_string()}: {reason}") from error
    return status.st_dev, status.st_ino


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    engine = create_engine(
        url,
        hide_parameters=True,  # an error that nobody foresaw is logged with its traceback
        poolclass=NullPool,
        # isolation_level None: the driver begins nothing by itself; `begin` below does.
        connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None, "check_same_thread": False},
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in ("journal_mode = WAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    if not connection.info.get(_WRITES):
        connection.exec_driver_sql("BEGIN")
        return
    # FULL: a spent code must be on the disk before anybody is told that it was accepted.
    level = "FULL" if connection.info.get(_DURABLE, True) else "NORMAL"
    connection.exec_driver_sql(f"PRAGMA synchronous = {level}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _cause(error: Exception) -> str:
    # SQLAlchemy's own text repeats the statement and its parameters; those are nobody's business in a log.
    original = error if isinstance(error, sqlite3.Error) else getattr(error, "orig", None)
    return f"{type(original or error).__name__}: {original or type(error).__name__}"
