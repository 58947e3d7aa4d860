"""SQLite's write-ahead log, and whether the one beside a database belongs to it.

SQLite applies whatever log it finds under the right name. One that was left there when the database was replaced by
a backup undoes the restore, or makes a mixture of both. So each log carries a mark: the database's `user_version`, a
number that rises with every log. A log's marks go on where its database's file stopped; those of another one do not.

Reads files, and one header through SQLite. It must never open the database's file itself: closing it would end all
locks that this process has on it (fcntl(2)).
"""

import os
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection

from mailauth.vocabulary.errors import StoreUnavailable

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
"""SQLite's file format, s4.1."""
_SALTS = slice(16, 24)
_USER_VERSION = slice(60, 64)
"""SQLite's file format, s1.3."""
_FIRST_PAGE = b"SQLite format 3\x00"
_LIMIT = 2**30
"""Below this a database's first mark is drawn, so that a signed 32-bit number has room for as many logs more."""
_TRIES = 20


class LogOfAnother(StoreUnavailable):
    """The log beside a database is another database's; opening it would change what is in the file."""


class Marks:
    """Sees to it that each log has a mark. For those who hold the lock for writing, one at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._marked = b""

    def begin(self, connection: Connection) -> bytes:
        """Mark the log, at the beginning of a transaction that writes, unless this process did; return which it is."""
        log = _salts(self._file)
        if not log or log != self._marked:
            before = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            connection.exec_driver_sql(f"PRAGMA user_version = {_next(before)}")
        return log

    def committed(self, log: bytes) -> None:
        """Note that what `begin` returned is marked, unless the transaction began another log."""
        self._marked = log if _salts(self._file) == log else b""


def require_own(file: Path) -> None:
    """Raise LogOfAnother where a database's log does not go on where its file stopped. May run beside writers."""
    for _ in range(_TRIES):
        log = _salts(file)
        first = _marks(file)
        if not log or first is None:
            return
        stopped_at = mark_of(file)
        last = _marks(file)
        if log != _salts(file) or last is None:
            continue  # somebody has begun a new log meanwhile, and so is at home here
        if stopped_at == 0 or first[0] - 1 <= stopped_at <= last[1]:
            return
        raise LogOfAnother(
            f"the log {log_of(file)} is not that of {file}: it was left there when the file was replaced, and would "
            "undo that or damage it. Nothing was changed. Stop mailauth; then restore with `mailauth db restore "
            f"FILE`, or move away what is not to be in force, the log or {file.name}"
        )


def log_of(file: Path) -> Path:
    """Return where SQLite keeps a database's log."""
    return file.with_name(f"{file.name}-wal")


def mark_of(file: Path) -> int:
    """Return the mark in a database's file, without its log. 0: none. Where the file is no database, too."""
    connection = sqlite3.connect(f"file:{quote(str(file))}?mode=ro&immutable=1", uri=True)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError:
        return 0  # SQLite will say the same to whoever opens it to read
    finally:
        connection.close()


def begin_anew(execute: Callable[[str], object]) -> None:
    """Give a database, which nobody else has open, a mark that no log of another one goes on from."""
    execute(f"PRAGMA user_version = {_drawn()}")


def _next(mark: int) -> int:
    return mark + 1 if 0 < mark < 2**31 - 1 else _drawn()


def _drawn() -> int:
    return 1 + int.from_bytes(os.urandom(4)) % _LIMIT


def _salts(file: Path) -> bytes:
    """Return what tells a log from the one before it; nothing where there is no log."""
    try:
        descriptor = os.open(log_of(file), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(descriptor, _HEADER_BYTES, 0)[_SALTS]
    finally:
        os.close(descriptor)


def _marks(file: Path) -> tuple[int, int] | None:
    """Return the first and the last mark in a log; None where it has none."""
    found: list[int] = []
    try:
        descriptor = os.open(log_of(file), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        header = os.pread(descriptor, _HEADER_BYTES, 0)
        if len(header) < _HEADER_BYTES:
            return None
        (page_bytes,) = struct.unpack(">I", header[8:12])
        place = _HEADER_BYTES
        while True:
            frame = os.pread(descriptor, _FRAME_HEADER_BYTES, place)
            # Behind the log's end there is what is left of the one before it, which has other salts.
            if len(frame) < _FRAME_HEADER_BYTES or frame[8:16] != header[_SALTS]:
                break
            if frame[:4] == b"\x00\x00\x00\x01":
                page = os.pread(descriptor, 100, place + _FRAME_HEADER_BYTES)
                if not page.startswith(_FIRST_PAGE):
                    break  # torn by a power cut: the log ends before it
                found.append(int.from_bytes(page[_USER_VERSION], signed=True))
            place += _FRAME_HEADER_BYTES + page_bytes
    finally:
        os.close(descriptor)
    return (found[0], found[-1]) if found else None
