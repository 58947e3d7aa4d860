"""Whether a SQLite database's file is damaged: what `PRAGMA quick_check` finds."""

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from mailauth.effects.store.dialects.sqlite import write_ahead_log
from mailauth.vocabulary.errors import StoreUnavailable

MAX_FINDINGS = 10
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""What SQLite's errors are when it comes across damage by itself (primary result codes)."""


def findings(file: Path, opened: Callable[[sqlite3.Connection], None] = lambda _: None) -> tuple[str, ...]:
    """Return what is damaged, in SQLite's words; nothing where all is well. Takes as long as reading all of it.

    Looks at the file with its log, as everybody sees it. Raises StoreUnavailable where nothing can be said, also when
    the connection, which `opened` is told, was interrupted.
    """
    write_ahead_log.require_own(file)
    try:
        # Whoever stops waiting interrupts it from another thread.
        connection = sqlite3.connect(
            f"file:{quote(str(file))}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            opened(connection)
            rows = connection.execute(f"PRAGMA quick_check({MAX_FINDINGS})").fetchall()
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return (str(error),)
        raise StoreUnavailable(f"database {file} could not be checked: {error}") from error
    words = tuple(" ".join(str(row[0]).split()) for row in rows)
    return () if words == ("ok",) else words


def is_damage(error: BaseException | None) -> bool:
    """Tell whether an error of SQLite's means that the file is damaged."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in DAMAGED


def take_turn(file: Path) -> int | None:
    """Return a descriptor that is this process's turn to inspect a file, until it is closed; None: another's turn.

    A lock on the directory: to close another descriptor of the file itself would end SQLite's locks (fcntl(2)).
    """
    try:
        descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


class SqliteInspection:
    """A check in a thread of its own, for those who wait a while for it, and then let it go on."""

    def __init__(self, file: Path, ended: Callable[[tuple[str, ...]], None], turn: int | None = None) -> None:
        """`ended` is told what was found, in that thread, at whose end the turn ends as well."""
        self._file = file
        self._turn = turn
        self._ended = ended
        self._connection: sqlite3.Connection | None = None
        self._found: tuple[str, ...] | None = None
        self._error: StoreUnavailable | None = None
        # It must never keep a process from ending: SQLite looks up from a large table only at its end.
        self._thread = threading.Thread(target=self._run, name="inspection", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> tuple[str, ...] | None:
        """Return what is damaged; None where it is not known after some seconds. Raises StoreUnavailable."""
        self._thread.join(seconds)
        if self._error is not None:
            raise self._error
        return self._found

    def stop(self) -> None:
        """Let it end early, if it has not; nobody waits for that."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(sqlite3.ProgrammingError):  # closed in between
                connection.interrupt()

    def _run(self) -> None:
        try:
            found = findings(self._file, self._opened)
            self._ended(found)
            self._found = found
        except StoreUnavailable as error:
            self._error = error
        finally:
            if self._turn is not None:
                os.close(self._turn)

    def _opened(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
