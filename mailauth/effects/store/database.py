"""Transactions: jobs that talk to the database, on threads, run again where that may help.

A job is a function of a connection. It may run more than once: after a conflict with another writer, a deadlock, or a
connection that was lost before the commit, it is run again from the start, a few times. So it changes nothing but the
database; what follows from it (a mail handed over, a token, the memory of this process) is done with what it returns,
after the commit. Where the commit itself failed nobody knows what is in force, and nothing is run again.

Each thread of a small pool holds one connection, because checking one out for every login costs more than the
query. Errors of the database come out as StoreUnavailable, after which the thread's connection is replaced; nothing
of the transaction is in force then.

Must not decide anything, and must not be used from the event loop's thread except through `run`.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext, suppress
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from mailauth.effects.pools import BoundedPool
from mailauth.effects.store import dialects
from mailauth.effects.store.dialects import Dialect, Inspection
from mailauth.vocabulary.errors import Overloaded, StoreUnavailable

T = TypeVar("T")
Job = Callable[[Connection], T]
"""What happens in one transaction, and may happen again if that fails."""

THREADS = 4
READERS = 2
MAX_WAITING = 2048
TRIES = 3
"""How often a job is run at most."""
LONGEST_WAIT_S = 0.05
"""How long it waits at most before it is run again the first time; twice as long each time."""

_IDENTITY = "mailauth_identity"

log = logging.getLogger(__name__)


class Database:
    """A database and the threads that talk to it."""

    def __init__(self, url: str | URL, threads: int = THREADS, max_waiting: int = MAX_WAITING) -> None:
        """Raises MailauthError for a kind of database that there is no support for."""
        self.url = make_url(url)
        self._dialect: Dialect = dialects.of(self.url)
        self.engine = self._dialect.engine
        self._held = threading.local()
        self._all_held: list[Connection] = []
        self._threads = BoundedPool(threads, max_waiting, "database jobs")
        # Apart, because what writes may hold all the other threads while it waits for the lock.
        self._readers = BoundedPool(READERS, max_waiting, "database look-ups")

    async def run(self, job: Callable[[], T]) -> T:
        """Return what a job returns that one of the database's threads ran. Raises Overloaded at once."""
        return await self._threads.run(job)

    async def run_reading(self, job: Callable[[], T]) -> T:
        """Do the same for a job that only reads: it never waits behind those that write."""
        return await self._readers.run(job)

    def read(self, job: Job[T]) -> T:
        """Return what a job returns whose statements all see one state of the database. Raises StoreUnavailable."""
        return self._run(job, writes=False, durable=False)

    def write(self, job: Job[T], *, durable: bool = True) -> T:
        """Return what a job returns whose statements are committed together, or not at all where it raises.

        Durable: on the disk before this returns, as what is spent must be. Otherwise a power failure (not a
        crash of ours) may lose it, which is good enough for counting and several times faster.

        Raises StoreUnavailable, and whatever the job raises.
        """
        return self._run(job, writes=True, durable=durable)

    def rehearse(self, job: Job[T]) -> T:
        """Return what a job returns as `write` would, and undo what it did. Raises StoreUnavailable."""
        done: list[T] = []

        def undone(connection: Connection) -> None:
            done[:] = [job(connection)]
            raise _Undone

        with suppress(_Undone):
            self.write(undone)
        return done[0]

    def findings(self) -> tuple[str, ...]:
        """Return what is damaged, in the database's own words. Reads all of it."""
        return self._dialect.findings()

    def inspect(self, patience_s: float) -> Inspection | None:
        """Begin to look for damage, where nobody else does; let it go on after the patience is at an end.

        What is found then condemns the database. Raises StoreUnavailable for what is found before.
        """
        return self._dialect.inspect(patience_s)

    def condemn(self, findings: Sequence[str]) -> None:
        """Neither read nor write this database any more: it is damaged. What takes its place is used again."""
        self._dialect.condemn(findings)

    def damage_words(self, findings: Sequence[str]) -> str:
        """Return what is said of the damaged database, behind its name."""
        return self._dialect.damage_words(findings)

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
        self._dialect.close()

    def _run(self, job: Job[T], *, writes: bool, durable: bool) -> T:
        wait_s = LONGEST_WAIT_S
        for tries_left in reversed(range(TRIES)):
            try:
                return self._once(job, writes=writes, durable=durable)
            except _MayPass as failure:
                if not tries_left:
                    raise StoreUnavailable(f"database {self._name()}: {_cause(failure.error)}") from failure.error
            time.sleep(random.uniform(0, wait_s))  # noqa: S311  # so that two who are in each other's way part
            wait_s *= 2
        raise AssertionError("unreachable")

    def _once(self, job: Job[T], *, writes: bool, durable: bool) -> T:
        dialect, begun, is_ending = self._dialect, None, False
        try:
            with dialect.writing_turn() if writes else nullcontext():
                connection = self._connection()
                dialect.prepare(connection, writes=writes, durable=durable)
                with connection.begin():
                    if writes:
                        begun = dialect.began(connection)
                    result = job(connection)
                    is_ending = True
                if writes:
                    dialect.committed(begun)
                return result
        except IntegrityError as error:
            # Another writer was quicker: what a job looked for before it wrote is there by now, or gone.
            raise _MayPass(error) from error
        except SQLAlchemyError as error:
            self._drop()
            dialect.failed(error)
            # Where the commit failed, nobody knows whether it is in force.
            if isinstance(error, DBAPIError) and not is_ending and _may_pass(dialect, error):
                raise _MayPass(error) from error
            raise StoreUnavailable(f"database {self._name()}: {_cause(error)}") from error
        except dialect.own_errors as error:
            self._drop()
            dialect.failed(error)
            raise StoreUnavailable(f"database {self._name()}: {_cause(error)}") from error

    def _connection(self) -> Connection:
        held: Connection | None = getattr(self._held, "connection", None)
        identity: Hashable = self._dialect.identity()
        if held is not None and held.info.get(_IDENTITY) != identity:
            self._drop()
            held = None
        if held is None or held.closed or held.invalidated:
            self._dialect.opening(identity)
            held = self.engine.connect()
            held.info[_IDENTITY] = identity
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

    def _name(self) -> str:
        return self.url.render_as_string()


class _Undone(Exception):
    """What was done in a transaction is not to be committed."""


class _MayPass(Exception):
    """A transaction failed by something that may be over when it is run again."""

    def __init__(self, error: DBAPIError) -> None:
        super().__init__()
        self.error = error


def _may_pass(dialect: Dialect, error: DBAPIError) -> bool:
    return error.connection_invalidated or dialect.is_transient(error)


def _cause(error: Exception) -> str:
    # SQLAlchemy's own text repeats the statement and its parameters; those are nobody's business in a log.
    original = getattr(error, "orig", None)
    if original is None and not isinstance(error, SQLAlchemyError):
        original = error
    return f"{type(original or error).__name__}: {original or type(error).__name__}"
