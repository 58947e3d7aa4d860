"""What is done with a whole database: make it, copy it, and let a copy take its place. The dialect knows how."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from mailauth.effects.store import dialects


def is_missing(url: str) -> bool:
    """Tell whether nobody has made a database yet, as far as that is known without asking it."""
    return dialects.of(make_url(url)).is_missing()


def create(url: str) -> None:
    """Make what has to be there before a database is used for the first time. Raises OSError."""
    dialects.of(make_url(url)).create()


def back_up(url: str, target: Path, *, replace: bool = False) -> int:
    """Copy a database, which may be in use, into a file; return its bytes. Raises CannotBackUp."""
    return dialects.of(make_url(url)).back_up(target, replace=replace)


@contextmanager
def in_place_of(url: str, source: Path) -> Iterator[URL]:
    """Give the URL of a checked draft of a backup; at the end, without an error, it takes the place of the database.

    Raises CannotRestore, and StoreUnavailable while any process has the database open.
    """
    with dialects.of(make_url(url)).in_place_of(source) as draft:
        yield draft


def aside(url: str) -> tuple[Path, ...]:
    """Return the databases that were replaced by backups, the last one at the end."""
    return dialects.of(make_url(url)).aside()
