"""A table for one run that is larger than memory should be: a list of names, to be compared with another one.

It lies in a file without a name in the directory for temporary files, which is gone with the process. What goes in
comes out; nothing is sorted, so that no two sort orders have to agree.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, Final, NamedTuple

CHUNK: Final = 200
"""How many names are looked up, or handed out, at once: fewer than any SQLite takes as parameters."""

_COLUMNS: Final = "name, uid, digest, is_active, payload, times"


class Listed(NamedTuple):
    """One line of a list. `payload`: whatever is needed of it later; `times`: how often the name was listed."""

    name: str
    uid: str
    digest: bytes
    is_active: bool
    payload: str
    times: int = 1


class Scratch:
    """Listed names, and which of them were met in the other list."""

    def __init__(self) -> None:
        # "" is SQLite's name for a database of its own in a temporary file.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-8192;"
            "CREATE TABLE listed (name TEXT PRIMARY KEY, uid TEXT, digest BLOB, is_active INT, payload TEXT,"
            " is_met INT DEFAULT 0, times INT DEFAULT 1) WITHOUT ROWID;"
            "CREATE TABLE absent (name TEXT PRIMARY KEY, uid TEXT, id INT) WITHOUT ROWID;"
            "CREATE INDEX absent_uid ON absent (uid) WHERE uid != '';"
        )

    def __enter__(self) -> "Scratch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def put(self, lines: Iterable[Listed]) -> int:
        """Add lines; return how many. A name that comes again is counted as listed several times."""
        count = 0
        self._database.execute("BEGIN")
        for line in lines:
            self._database.execute(
                "INSERT INTO listed (name, uid, digest, is_active, payload) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET times = times + 1",
                line[:5],
            )
            count += 1
        self._database.execute("COMMIT")
        return count

    def meet(self, names: Sequence[str]) -> dict[str, Listed]:
        """Return those of some names that are listed, and note that they were met."""
        marks = ",".join("?" * len(names))
        found = {
            line.name: line
            for line in self._lines(f"SELECT {_COLUMNS} FROM listed WHERE name IN ({marks})", names)  # noqa: S608
        }
        self._database.execute(f"UPDATE listed SET is_met = 1 WHERE name IN ({marks})", names)  # noqa: S608
        return found

    def several_times(self) -> Iterator[str]:
        """Return the names that are listed several times."""
        return (row[0] for row in self._rows("SELECT name FROM listed WHERE times > 1 ORDER BY name", ()))

    def rest(self) -> Iterator[list[Listed]]:
        """Return what was not met, and is listed once, in chunks."""
        after = ""
        statement = (
            f"SELECT {_COLUMNS} FROM listed"  # noqa: S608
            " WHERE is_met = 0 AND times = 1 AND name > ? ORDER BY name LIMIT ?"
        )
        while lines := list(self._lines(statement, (after, CHUNK))):
            after = lines[-1].name
            yield lines

    def note_absent(self, name: str, uid: str, account_id: int) -> None:
        """Note somebody who is not listed."""
        self._database.execute("INSERT INTO absent VALUES (?, ?, ?)", (name, uid, account_id))

    def absent_by_uid(self, uid: str) -> str | None:
        """Return the name of the one who is not listed and has this uid; None without one, or with several."""
        rows = list(self._rows("SELECT name FROM absent WHERE uid = ? AND uid != '' LIMIT 2", (uid,)))
        return rows[0][0] if len(rows) == 1 else None

    def forget_absent(self, uid: str) -> None:
        """Forget those who have this uid: they are listed, by another name."""
        self._database.execute("DELETE FROM absent WHERE uid = ? AND uid != ''", (uid,))

    def absent(self) -> Iterator[list[tuple[str, int]]]:
        """Return name and id of those who are not listed, in chunks."""
        after, statement = "", "SELECT name, id FROM absent WHERE name > ? ORDER BY name LIMIT ?"
        while rows := list(self._rows(statement, (after, CHUNK))):
            after = rows[-1][0]
            yield [(name, account_id) for name, account_id in rows]

    def _lines(self, statement: str, values: Sequence[object]) -> Iterator[Listed]:
        for name, uid, digest, is_active, payload, times in self._rows(statement, values):
            yield Listed(name, uid, digest, bool(is_active), payload, times)

    def _rows(self, statement: str, values: Sequence[object]) -> Iterator[Any]:
        with closing(self._database.execute(statement, values)) as cursor:
            yield from cursor


class LinesOfNames:
    """On which line of a file each name stands first."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-8192;"
            "CREATE TABLE named (name TEXT PRIMARY KEY, line INT) WITHOUT ROWID; BEGIN;"
        )

    def __enter__(self) -> "LinesOfNames":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def put(self, name: str, line: int) -> int | None:
        """Note a name; return the line that it stood on before, None where it is the first."""
        if self._database.execute("INSERT OR IGNORE INTO named VALUES (?, ?)", (name, line)).rowcount:
            return None
        ((before,),) = self._rows(name)
        return int(before)

    def _rows(self, name: str) -> list[Any]:
        return self._database.execute("SELECT line FROM named WHERE name = ?", (name,)).fetchall()
