"""Copying a SQLite database out while it is used, and putting a copy in its place.

A copy is one state of the database, checked, in one file without a log; it takes its name in one step. What is put in
place takes it while nobody has the database open, and what was there is kept beside it, log included.

The database's file must not be open in this process but through here: closing it ends its locks (fcntl(2)).
"""

import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from mailauth.effects.store.dialects import CannotBackUp, CannotRestore
from mailauth.effects.store.dialects.sqlite import soundness, write_ahead_log
from mailauth.effects.store.dialects.sqlite.write_ahead_log import log_of
from mailauth.vocabulary.errors import MailauthError, StoreUnavailable

_LOCKS_BEGIN, _LOCKS_BYTES = 0x40000000, 512
"""The bytes of a database's file that SQLite locks (PENDING_BYTE and those behind it)."""


def back_up(file: Path, target: Path, *, replace: bool = False) -> int:
    """Copy a database, which may be in use, into a file of mode 0600; return its bytes.

    Raises CannotBackUp, also where there is a file of that name and it is not to be replaced.
    """
    if target.exists() and target.samefile(file):
        raise CannotBackUp(f"{target} is the database itself")
    if _is_part_of(target, file):
        raise CannotBackUp(f"{target} has a name that SQLite uses beside the database, and would be lost")
    if target.exists() and not replace:
        raise CannotBackUp(f"{target} exists; replace it with --force")
    if target.exists() and not target.is_file():
        raise CannotBackUp(f"{target} is no file that a copy may replace")
    write_ahead_log.require_own(file)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with _draft(draft):
            _copy(file, draft)
            _require_sound(draft, CannotBackUp, "the copy was not kept: the database")
            _flush(draft)
            draft.replace(target)
            _flush(target.parent)
            return target.stat().st_size
    except (OSError, sqlite3.Error) as error:
        raise CannotBackUp(f"cannot copy {file} to {target}: {_words(error)}") from error


@contextmanager
def in_place_of(file: Path, source: Path) -> Iterator[Path]:
    """Give a checked draft of a backup; at the end, without an error, it takes the place of the database.

    What it replaces is found by `aside` afterwards. Raises CannotRestore, and StoreUnavailable while any process has
    the database open.
    """
    draft = file.with_name(f".{file.name}.restored")
    with _alone(file):
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            log_of(draft).unlink(missing_ok=True)
            with _draft(draft):
                _take(source, draft)
                yield draft
                _fold(draft)
                _like(file, draft)
                _flush(draft)
                _put_aside(file)
                draft.replace(file)
                _flush(file.parent)
        except (OSError, sqlite3.Error) as error:
            raise CannotRestore(f"cannot restore {file} from {source}: {_words(error)}") from error


def aside(file: Path) -> tuple[Path, ...]:
    """Return the databases that were replaced here, the last one at the end."""
    return tuple(
        path
        for path in sorted(file.parent.glob(f"{file.name}.replaced-*"))
        if not path.name.endswith(("-wal", "-shm"))
    )


def _is_part_of(target: Path, file: Path) -> bool:
    """Tell whether a file is, or would be, the log of a database or the like: whoever opens it next deletes that."""
    whole = file.resolve()
    parts = [whole.with_name(f"{whole.name}-{part}") for part in ("wal", "shm", "journal")]
    return target.resolve() in parts or any(_are_one(target, part) for part in parts)


def _are_one(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _copy(file: Path, draft: Path) -> None:
    with _open(file) as source, _open(draft) as copy:
        # All in one step: one state, without keeping anybody from writing meanwhile (WAL).
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        # So that a log of the database that is left behind one day is known as another one's.
        write_ahead_log.begin_anew(copy.execute)


def _take(source: Path, draft: Path) -> None:
    """Copy a backup, with a log that lies beside it where somebody copied the files by hand."""
    shutil.copyfile(source, draft)
    log = log_of(source)
    if log.exists() and log.stat().st_size > 0:
        write_ahead_log.require_own(source)
        shutil.copyfile(log, log_of(draft))
        log_of(draft).chmod(0o600)
    _require_sound(draft, CannotRestore, f"nothing was changed: {source}")
    _fold(draft)


def _fold(draft: Path) -> None:
    """Bring the log of a draft into its file, and give it a mark of its own."""
    with _open(draft) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        write_ahead_log.begin_anew(connection.execute)


def _require_sound(draft: Path, error: type[MailauthError], whose: str) -> None:
    found = soundness.findings(draft)
    if found:
        raise error(f"{whose} is damaged ({'; '.join(found)})")


@contextmanager
def _draft(path: Path) -> Iterator[None]:
    """Make an empty file of mode 0600, and leave nothing behind under its name."""
    leftovers = (path, log_of(path), path.with_name(f"{path.name}-shm"), path.with_name(f"{path.name}-journal"))
    for each in leftovers:
        each.unlink(missing_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield
    finally:
        for each in leftovers:
            each.unlink(missing_ok=True)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold the locks that every connection of SQLite's to a database needs. Raises StoreUnavailable."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise CannotRestore(f"cannot open {file}: {error.strerror}") from error
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCKS_BYTES, _LOCKS_BEGIN)
        except OSError as error:
            raise StoreUnavailable(
                f"{file} is in use; nothing was changed. Stop mailauth first, its sockets too, so that no login "
                "starts it: systemctl stop 'mailauth-*.socket' 'mailauth-*.service'"
            ) from error
        yield
    finally:
        os.close(descriptor)


def _put_aside(file: Path) -> None:
    """Keep a database and its log under another name. First the file: a crash must not part it from its log unseen."""
    kept = file.with_name(f"{file.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    if file.exists():
        file.rename(kept)
        with contextlib.suppress(FileNotFoundError):
            log_of(file).rename(log_of(kept))
    elif log_of(file).exists():
        _put_log_aside(file, kept)
    file.with_name(f"{file.name}-shm").unlink(missing_ok=True)


def _put_log_aside(file: Path, kept: Path) -> None:
    """Keep a log whose database is gone: beside the last one that was replaced if it is its own, else by itself.

    It is that one's where the restore before was killed between the two. What it holds is nowhere else.
    """
    earlier = aside(file)[-1:]
    if earlier and not log_of(earlier[0]).exists():
        log_of(file).rename(log_of(earlier[0]))
        try:
            write_ahead_log.require_own(earlier[0])
        except write_ahead_log.LogOfAnother:
            log_of(earlier[0]).rename(log_of(kept))
    else:
        log_of(file).rename(log_of(kept))


def _like(file: Path, draft: Path) -> None:
    """Give a draft the owner of what it replaces, or of the directory that it goes to."""
    before = (file if file.exists() else file.parent).stat()
    now = draft.stat()
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        os.chown(draft, before.st_uid, before.st_gid)


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None, timeout=10.0)
    try:
        yield connection
    finally:
        connection.close()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _words(error: OSError | sqlite3.Error) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
