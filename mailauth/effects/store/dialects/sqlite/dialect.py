"""SQLite as the rest of the store sees it: one writer at a time, a file that may be replaced or damaged.

A transaction that writes takes the write lock when it begins: SQLite refuses a reader that turns into a writer at
once, whatever its busy timeout. A file that proves damaged is neither read nor written to from then on.

Must not decide what a damaged or missing database means for a login.
"""

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

from sqlalchemy import URL, ColumnElement, Connection, Engine, Insert, Table, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.pool import NullPool

from mailauth.effects.store.dialects import Dialect, Statements
from mailauth.effects.store.dialects.sqlite import backup, soundness
from mailauth.effects.store.dialects.sqlite.soundness import SqliteInspection, is_damage, take_turn
from mailauth.effects.store.dialects.sqlite.write_ahead_log import LogOfAnother, Marks, log_of, require_own
from mailauth.vocabulary.errors import MailauthError, StoreMissing, StoreUnavailable

BUSY_TIMEOUT_S = 4.0
"""How long a writer waits for the lock: well inside the 10 s that mail servers wait for our answer."""

_FileId = tuple[int, int]

_WRITES = "mailauth_writes"
_DURABLE = "mailauth_durable"

log = logging.getLogger(__name__)


class _Statements(Statements):
    def insert_if_absent(self, table: Table) -> Insert:
        return insert(table).on_conflict_do_nothing()

    def upsert(
        self,
        table: Table,
        by: Sequence[str],
        row: Mapping[str, Any],
        values: Mapping[str, Any],
        only_if: ColumnElement[bool] | None = None,
    ) -> Insert:
        return insert(table).values(row).on_conflict_do_update(index_elements=by, set_=values, where=only_if)


class SQLite(Dialect):
    """A database in a file. `MailauthError` for a URL that names none: one in memory is another for each thread."""

    own_errors = (sqlite3.Error,)
    statements = _Statements()

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        if not url.database or url.database == ":memory:":
            raise MailauthError("a database in memory cannot be shared; name a file: sqlite:////var/lib/mailauth/x.db")
        # SQLite keeps its log beside the file itself, wherever a symbolic link to it lies.
        self.file = Path(url.database).resolve()
        self.engine = _engine(url)
        self._marks = Marks(self.file)
        self._damaged: tuple[_FileId, str] | None = None
        self._looked_at: Hashable = None
        # There is one writer; waiting for it here is fair, SQLite's own busy handler sleeps and guesses.
        self._turn = threading.Lock()

    def is_missing(self) -> bool:
        return not self.file.exists()

    def create(self) -> None:
        """Create the file, readable by its owner alone, before anything else would create it.

        Raises LogOfAnother where a log lies there without its database: it would be taken into the new one.
        """
        if self.is_missing() and log_of(self.file).exists() and log_of(self.file).stat().st_size > 0:
            raise LogOfAnother(
                f"the log {log_of(self.file)} is there without its database {self.file}. Nothing was changed. Put the "
                "database back beside it, or move the log away"
            )
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def identity(self) -> Hashable:
        """Return which file is under the path now; SQLite itself would make an empty one, readable by everybody.

        Another one is a restored backup. SQLite would go on with the deleted one, so that a code spent there would be
        unspent after the next restart.
        """
        file = self._file_now()
        if self._damaged is not None and self._damaged[0] == file:
            raise StoreUnavailable(f"database {self._name()}: {self.damage_words([self._damaged[1]])}")
        return file

    def opening(self, identity: Hashable) -> None:
        if self._looked_at != identity:
            require_own(self.file)
            self._looked_at = identity

    def writing_turn(self) -> AbstractContextManager[object]:
        return self._turn

    def prepare(self, connection: Connection, *, writes: bool, durable: bool) -> None:
        connection.info[_WRITES] = writes
        connection.info[_DURABLE] = durable

    def began(self, connection: Connection) -> object:
        return self._marks.begin(connection)

    def committed(self, begun: object) -> None:
        self._marks.committed(cast(bytes, begun))

    def failed(self, error: Exception) -> None:
        if is_damage(getattr(error, "orig", error)):
            cause = getattr(error, "orig", None) or error
            self.condemn([f"{type(cause).__name__}: {cause}"])

    def findings(self) -> tuple[str, ...]:
        return soundness.findings(self.file) if self.file.exists() else ()

    def inspect(self, patience_s: float) -> SqliteInspection | None:
        """Do so unless another process does. See `Dialect.inspect`."""
        turn = take_turn(self.file)
        if turn is None:
            return None
        inspection = SqliteInspection(self.file, lambda found: self.condemn(found) if found else None, turn)
        if found := inspection.wait(patience_s):
            raise StoreUnavailable(f"database {self._name()}: {self.damage_words(found)}")
        return inspection

    def condemn(self, findings: Sequence[str]) -> None:
        with contextlib.suppress(StoreUnavailable):
            file = self._file_now()
            if self._damaged is None or self._damaged[0] != file:
                words = "; ".join(findings)
                self._damaged = file, words
                log.error("the database is damaged, nothing is written to it any more: %s", words)

    def damage_words(self, findings: Sequence[str]) -> str:
        return (
            f"{super().damage_words(findings)}; nothing is written to it. Stop mailauth, restore the last backup with "
            "`mailauth db restore FILE`, which keeps the damaged file, and start it again"
        )

    def back_up(self, target: Path, *, replace: bool = False) -> int:
        return backup.back_up(self.file, target, replace=replace)

    def in_place_of(self, source: Path) -> AbstractContextManager[URL]:
        return self._in_place_of(source)

    @contextmanager
    def _in_place_of(self, source: Path) -> Iterator[URL]:
        if source.exists() and self.file.exists() and source.samefile(self.file):
            raise MailauthError(f"{source} is the database itself")
        with backup.in_place_of(self.file, source) as draft:
            yield self.url.set(database=str(draft))

    def aside(self) -> tuple[Path, ...]:
        return backup.aside(self.file)

    def close(self) -> None:
        super().close()
        self._marks.close()

    def _file_now(self) -> _FileId:
        try:
            status = os.stat(self.file)
        except OSError as error:
            words = f"database {self._name()}: {error.strerror}"
            if isinstance(error, FileNotFoundError):
                raise StoreMissing(
                    f"{words}; restore it from the backup if there was one, else `mailauth init` makes it"
                ) from error
            raise StoreUnavailable(words) from error
        return status.st_dev, status.st_ino

    def _name(self) -> str:
        return self.url.render_as_string()


DIALECT = SQLite


def _engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,  # an error that nobody foresaw is logged with its traceback
        poolclass=NullPool,
        # isolation_level None: the driver begins nothing by itself; `begin` below does.
        connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None, "check_same_thread": False},
    )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in ("journal_mode = WAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    if not connection.info.get(_WRITES):
        connection.exec_driver_sql("BEGIN")
        return
    # FULL: a spent code must be on the disk before anybody is told that it was accepted.
    level = "FULL" if connection.info.get(_DURABLE, True) else "NORMAL"
    connection.exec_driver_sql(f"PRAGMA synchronous = {level}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
