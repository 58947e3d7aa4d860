"""SQLite's write-ahead log, and whether the one beside a database belongs to it.

SQLite applies whatever log it finds under the right name. One that was left there when the database was replaced by
a backup undoes the restore, or makes a mixture of both. So each log carries a mark: the database's `user_version`, a
number that rises with every log. A log's marks go on where its database's file stopped; those of another one do not.
Where the file is a copy made just before the log began, the mark fits, and the copy is known by its times: while it
holds nothing of its log, a file is as it was when the log was marked, which the mark's `application_id` tells.

Reads files, and one header through SQLite. It must never open the database's file itself: closing it would end all
locks that this process has on it (fcntl(2)).
"""

import os
import sqlite3
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from sqlalchemy import Connection

from mailauth.vocabulary.errors import StoreUnavailable

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
"""SQLite's file format, s4.1."""
_SALTS = slice(16, 24)
_USER_VERSION, _APPLICATION_ID = slice(60, 64), slice(68, 72)
"""SQLite's file format, s1.3."""
_FIRST_PAGE = b"SQLite format 3\x00"
_LIMIT = 2**30
"""Below this a database's first mark is drawn, so that a signed 32-bit number has room for as many logs more."""
_TRIES = 20
_POWER_CUT_NS = 120 * 10**9
"""Linux writes times back after 30 s (vm.dirty_expire_centisecs)."""


_TICK_S = 0.05
"""More than what two times of a file system may be apart and yet the same."""


class _LogState(NamedTuple):
    salts: bytes
    file: tuple[int, int]
    log: tuple[int, int]


class _Mark(NamedTuple):
    mark: int
    stamp: int


class LogOfAnother(StoreUnavailable):
    """The log beside a database is another database's; opening it would change what is in the file."""


class Marks:
    """Sees to it that each log has a mark. For those who hold the lock for writing, one at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._log = str(log_of(file))
        self._marked = b""
        self._open: tuple[int, tuple[int, int]] | None = None

    def begin(self, connection: Connection) -> bytes:
        """Mark the log, at the beginning of a transaction that writes, unless this process did; return which it is.

        Raises sqlite3.OperationalError where somebody took the log away: what is written to it would be lost.
        """
        log = self._salts()
        if not log or log != self._marked:
            self._marked = b""
            before = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            connection.exec_driver_sql(f"PRAGMA user_version = {_next(before)}")
            try:
                stamp = _stamp(self._file)
            except OSError as error:
                raise sqlite3.OperationalError(f"the log of the database is gone: {error.strerror}") from error
            connection.exec_driver_sql(f"PRAGMA application_id = {stamp}")
        return log

    def committed(self, log: bytes) -> None:
        """Note that what `begin` returned is marked, unless the transaction began another log."""
        if not self._marked and self._salts() == log:
            self._marked = log

    def close(self) -> None:
        """Close the log, which is kept open: a process that has run out of descriptors goes on deciding logins."""
        if self._open is not None:
            os.close(self._open[0])
            self._open = None

    def _salts(self) -> bytes:
        """Return what tells the log that is there now from the one before it; nothing where there is none."""
        try:
            now = os.stat(self._log)
            if self._open is None or self._open[1] != (now.st_dev, now.st_ino):
                self.close()
                descriptor = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
                opened = os.fstat(descriptor)
                self._open = descriptor, (opened.st_dev, opened.st_ino)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise sqlite3.OperationalError(f"the log of the database cannot be read: {error.strerror}") from error
        return os.pread(self._open[0], _HEADER_BYTES, 0)[_SALTS]


def require_own(file: Path) -> None:
    """Raise LogOfAnother where a database's log does not go on where its file stopped. May run beside writers."""
    suspected: _LogState | None = None
    for _ in range(_TRIES):
        try:
            seen = _seen(file)
            if _goes_on(file):
                return
        except FileNotFoundError:
            return  # there is no log, or somebody took it into the file meanwhile
        if seen != suspected:
            # What was read may be of different moments, where somebody is at work here. Look again, a tick later.
            suspected = seen
            time.sleep(_TICK_S)
            continue
        raise LogOfAnother(
            f"the log {log_of(file)} is not that of {file}: it was left there when the file was replaced, and would "
            "undo that or damage it. Nothing was changed. Stop mailauth; then restore with `mailauth db restore "
            f"FILE`, or move away what is not to be in force, the log or {file.name}"
        )


def _goes_on(file: Path) -> bool:
    """Tell whether a log, if it has a mark, goes on where its database's file stopped."""
    marks = _marks(file)
    if not marks:
        return True
    first, last, stopped_at = marks[0], marks[-1], mark_of(file)
    if stopped_at in (0, first.mark - 1):
        return not _was_replaced(file, first.stamp)
    return first.mark <= stopped_at <= last.mark


def _seen(file: Path) -> _LogState:
    """Return what changes with every write to a database or its log. Raises FileNotFoundError where there is none."""
    now, log = file.stat(), log_of(file).stat()
    return _LogState(_salts(str(log_of(file))), (now.st_ino, now.st_mtime_ns), (log.st_size, log.st_mtime_ns))


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


def _salts(log: str) -> bytes:
    """Return what tells a log from the one before it; nothing where there is no log. Done for each transaction."""
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(descriptor, _HEADER_BYTES, 0)[_SALTS]
    finally:
        os.close(descriptor)


def _stamp(file: Path) -> int:
    """Return which log this is, as the file system knows it, and when the file was written last, as far as it fits."""
    return _inode(file) << 16 | file.stat().st_mtime_ns // 1_000_000 % 2**16


def _inode(file: Path) -> int:
    return log_of(file).stat().st_ino % 2**15


def _was_replaced(file: Path, stamp: int) -> bool:
    """Tell whether a file that holds nothing of its log was written or moved there after the log was written last.

    Copies of both are fine. Across a power cut, what a file system tells of times may be from half a minute before.
    """
    if _stamp(file) == stamp or _inode(file) != stamp >> 16:
        return False  # the file is as it was, whatever the clock was then; or the log was copied along
    now, log = file.stat(), log_of(file).stat()
    booted_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    slack_ns = 0 if now.st_ctime_ns > booted_ns else _POWER_CUT_NS
    return now.st_ctime_ns > log.st_ctime_ns + slack_ns


def _marks(file: Path) -> list[_Mark]:
    """Return the marks in a log, in their order."""
    found: list[_Mark] = []
    try:
        descriptor = os.open(log_of(file), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return found
    try:
        header = os.pread(descriptor, _HEADER_BYTES, 0)
        if len(header) < _HEADER_BYTES:
            return found
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
                found.append(_Mark(_number(page[_USER_VERSION]), _number(page[_APPLICATION_ID])))
            place += _FRAME_HEADER_BYTES + page_bytes
    finally:
        os.close(descriptor)
    return found


def _number(four_bytes: bytes) -> int:
    return int.from_bytes(four_bytes, signed=True)
