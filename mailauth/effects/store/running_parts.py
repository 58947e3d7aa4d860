"""Statements on the parts of mailauth that run now, with what version and configuration."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, update

from mailauth.effects.store import dialects
from mailauth.effects.store.tables import running_part

_KEY = ("host", "pid", "part")


class RunningPart(NamedTuple):
    """One part of one process: where it runs, since when, and what it read when it started."""

    part: str
    host: str
    pid: int
    version: str
    digest: str
    source: str
    started_at: datetime
    seen_at: datetime


def all_of_them(connection: Connection) -> tuple[RunningPart, ...]:
    """Return all that were noted and have not left, also those that were killed."""
    columns = [running_part.c[name] for name in RunningPart._fields]
    statement = select(*columns).order_by(running_part.c.part, running_part.c.host, running_part.c.pid)
    return tuple(RunningPart(*row) for row in connection.execute(statement))


def add(connection: Connection, part: RunningPart) -> None:
    """Note a part, in place of one that was killed and had the same number."""
    row = part._asdict()
    new = {name: value for name, value in row.items() if name not in _KEY}
    connection.execute(dialects.statements(connection).upsert(running_part, _KEY, row, new))


def seen(connection: Connection, host: str, pid: int, now: datetime) -> int:
    """Note that a process runs; return how many parts it has here."""
    statement = update(running_part).where(running_part.c.host == host, running_part.c.pid == pid)
    return connection.execute(statement.values(seen_at=now)).rowcount


def remove(connection: Connection, host: str, pids: list[int]) -> None:
    """Remove all parts of processes."""
    connection.execute(delete(running_part).where(running_part.c.host == host, running_part.c.pid.in_(pids)))
