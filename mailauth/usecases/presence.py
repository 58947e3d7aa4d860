"""Which parts of mailauth run, and whether they have the configuration that the file has now.

A running part keeps what it read when it started. Each process notes its parts in the database and confirms them
once a minute; `config check` and `explain` compare, and say what has to be restarted.
"""

import os
import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from mailauth.core.clock import Clock
from mailauth.effects.store import running_parts
from mailauth.effects.store.database import Database
from mailauth.effects.store.running_parts import RunningPart

EVERY_S = 60
UNSEEN_FOR = timedelta(minutes=5)
"""After how long without a word a part counts as gone, where its process cannot be looked for."""
_MAX_HOST, _MAX_SOURCE = 64, 400


class Presence:
    """Notes the parts of this process, and tells what others run with."""

    def __init__(self, database: Database, version: str, digest: str, clock: Clock) -> None:
        self._database = database
        self._version = version
        self._digest = digest
        self._clock = clock
        self._host = socket.gethostname()[:_MAX_HOST]
        self._parts: tuple[RunningPart, ...] = ()

    @property
    def digest(self) -> str:
        """The digest of the configuration that this process read."""
        return self._digest

    def enter(self, parts: Iterable[str], source: Path) -> None:
        """Note that this process runs parts with the configuration in a file. Raises StoreUnavailable."""
        now, where = self._clock(), _resolved(source)
        self._parts = tuple(
            RunningPart(part, self._host, os.getpid(), self._version, self._digest, where, now, now) for part in parts
        )

        def enter(connection: Connection) -> None:
            before = running_parts.all_of_them(connection)
            gone = [part.pid for part in before if part.host == self._host and not _lives(part.pid)]
            running_parts.remove(connection, self._host, [*gone, os.getpid()])
            for part in self._parts:
                running_parts.add(connection, part)

        self._database.write(enter, durable=False)

    def confirm(self) -> None:
        """Note that this process runs still. Raises StoreUnavailable."""
        now = self._clock()

        def confirm(connection: Connection) -> None:
            if running_parts.seen(connection, self._host, os.getpid(), now) == 0:
                for part in self._parts:  # another database is in its place
                    running_parts.add(connection, part._replace(seen_at=now))

        self._database.write(confirm, durable=False)

    def leave(self) -> None:
        """Note that this process ends. Raises StoreUnavailable."""
        self._database.write(
            lambda connection: running_parts.remove(connection, self._host, [os.getpid()]), durable=False
        )

    def warnings(self, source: Path) -> tuple[str, ...]:
        """Return in sentences which parts run with another version or configuration than a file has now.

        Raises StoreUnavailable.
        """
        now, where = self._clock(), _resolved(source)
        parts = self._database.read(running_parts.all_of_them)
        return tuple(
            self._sentence(part, where)
            for part in parts
            if part.source == where and self._runs(part, now) and self._differs(part)
        )

    def _differs(self, part: RunningPart) -> bool:
        return (part.version, part.digest) != (self._version, self._digest)

    def _runs(self, part: RunningPart, now: datetime) -> bool:
        if part.host == self._host and not _lives(part.pid):
            return False
        return abs(now - part.seen_at) < UNSEEN_FOR

    def _sentence(self, part: RunningPart, where: str) -> str:
        since = f"{part.started_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        who = f"{part.part} (process {part.pid} on {part.host}, since {since})"
        if part.version != self._version:
            return f"{who} runs mailauth {part.version}, and this is {self._version}: restart it."
        return (
            f"{who} runs with another configuration ({part.digest}) than {where} has now ({self._digest}): restart it "
            "to put the file in force."
        )


def _resolved(source: Path) -> str:
    return str(source.resolve())[:_MAX_SOURCE]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True
