"""Statements on how the listing of each source went, and on what its brake holds back."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from mailauth.effects.store import dialects
from mailauth.effects.store.tables import directory_held, directory_run


class DirectoryRun(NamedTuple):
    """The last time that a source was listed. `error`: why it could not be; empty where it could."""

    source: str
    tried_at: datetime
    succeeded_at: datetime | None
    error: str
    listed: int


class HeldBack(NamedTuple):
    """Accounts of a domain (empty: of all domains together) that are not disabled before somebody says so.

    `kind`: `absent`, not listed any more, or `inactive`. `number` of `of`.
    """

    source: str
    domain: str
    kind: str
    number: int
    of: int
    since: datetime


def begin(connection: Connection, source: str, now: datetime, not_within: timedelta) -> bool:
    """Note that a source is about to be listed; False where somebody else began to, not long ago."""
    row = {"source": source, "tried_at": now}
    if connection.execute(dialects.statements(connection).insert_if_absent(directory_run), row).rowcount == 1:
        return True
    is_due = (directory_run.c.source == source) & (
        (directory_run.c.tried_at <= now - not_within) | (directory_run.c.tried_at > now)
    )
    return connection.execute(update(directory_run).where(is_due).values(tried_at=now)).rowcount == 1


def fail(connection: Connection, source: str, error: str) -> None:
    """Note why a source could not be listed."""
    failed = update(directory_run).where(directory_run.c.source == source)
    connection.execute(failed.values(error=error[:300]))


def succeed(
    connection: Connection, source: str, listed: int, held: Sequence[HeldBack], now: datetime
) -> tuple[HeldBack, ...]:
    """Note that a source was listed, and what is held back now; return what was not before."""
    done = update(directory_run).where(directory_run.c.source == source)
    connection.execute(done.values(succeeded_at=now, error="", listed=listed))
    before = {(each.domain, each.kind): each.since for each in of_held(connection) if each.source == source}
    connection.execute(delete(directory_held).where(directory_held.c.source == source))
    for each in held:
        row = each._replace(since=before.get((each.domain, each.kind), each.since))._asdict()
        connection.execute(insert(directory_held), row)
    return tuple(each for each in held if (each.domain, each.kind) not in before)


def of_runs(connection: Connection) -> tuple[DirectoryRun, ...]:
    """Return the last run of each source, in order of name."""
    return tuple(
        DirectoryRun(*row) for row in connection.execute(select(directory_run).order_by(directory_run.c.source))
    )


def of_held(connection: Connection) -> tuple[HeldBack, ...]:
    """Return all that is held back."""
    order = (directory_held.c.source, directory_held.c.domain, directory_held.c.kind)
    return tuple(HeldBack(*row) for row in connection.execute(select(directory_held).order_by(*order)))
