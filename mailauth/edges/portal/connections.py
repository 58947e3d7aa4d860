"""The portal's connections: how many there are, and how long each may take over what it has begun.

uvicorn bounds neither: it waits for the end of a request for ever, and accepts until the process has no descriptor
left, from when on no login is answered either. Here no more are accepted than may be open, the rest waits in the
kernel's queue; who has waited longest for its own next byte makes room for it, or for its own reading of what it was
sent. A request that is being answered is never cut off for that.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from mailauth.edges.portal.middleware import HEADERS
from mailauth.effects.log_lines import FIELDS

_log = logging.getLogger(__name__)

ACCEPT_AGAIN_S = 0.5
"""After accepting failed, for want of memory or descriptors."""
WARN_EVERY_S = 60.0
SWEEP_S = 0.5
"""How often connections are looked at for being overdue."""


class Phase(Enum):
    """What a connection is at."""

    SILENT = "nothing of a request has come"
    HEAD = "part of a request's head has come"
    BODY = "part of a request's body has come"
    ANSWER = "the request is being answered"
    UNREAD = "more was answered than the other end has read"
    LEAVING = "closed, but for what the other end has not taken"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each phase may last, in seconds.

    What is sent is some kilobytes, at once; a web server in front has gathered it before it connects. An answer takes
    a login's deadline at most. It is some kilobytes as well, for which the kernel has room: who leaves more unread has
    asked for more than one.
    """

    silent_s: float = 15
    head_s: float = 10
    body_s: float = 20
    answer_s: float = 60
    unread_s: float = 30
    leaving_s: float = 10

    def of(self, phase: Phase) -> float:
        """Return that of a phase."""
        return {
            Phase.SILENT: self.silent_s,
            Phase.HEAD: self.head_s,
            Phase.BODY: self.body_s,
            Phase.ANSWER: self.answer_s,
            Phase.UNREAD: self.unread_s,
            Phase.LEAVING: self.leaving_s,
        }[phase]


class Connections:
    """All that are open. Accepts as many as there may be, and ends those that take too long."""

    def __init__(self, limit: int, deadlines: Deadlines) -> None:
        self._limit = limit
        self._deadlines = deadlines
        self._open: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}
        """Those that may go, longest waiting first."""
        self._has_left = asyncio.Event()
        self._warned_at = -WARN_EVERY_S

    def add(self, connection: "Connection") -> None:
        """Count one that was made."""
        self._open.add(connection)
        self.moved(connection, Phase.SILENT)

    def moved(self, connection: "Connection", phase: Phase) -> None:
        """Note that one has begun another phase."""
        self._waiting.pop(connection, None)
        if phase != Phase.ANSWER and connection in self._open:
            self._waiting[connection] = None

    def discard(self, connection: "Connection") -> None:
        """Forget one that is gone."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)
        self._has_left.set()

    async def accept(self, listener: socket.socket, make: Callable[[], "Connection"]) -> None:
        """Accept for ever, as long as there is room."""
        loop = asyncio.get_running_loop()
        while True:
            await self._room()
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError as error:
                _log.error("the portal cannot accept: %s", error.strerror or error)
                await asyncio.sleep(ACCEPT_AGAIN_S)
                continue
            try:
                await loop.connect_accepted_socket(make, accepted)
            except OSError:  # gone already
                accepted.close()

    async def sweep(self) -> None:
        """End what is overdue, for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = time.monotonic()
            for connection in tuple(self._open):
                phase, since = connection.state()
                if now - since > self._deadlines.of(phase):
                    _log.debug("a connection took too long", extra={FIELDS: {"phase": phase.name.lower()}})
                    connection.transport.abort()

    async def _room(self) -> None:
        """Return when there is room for one more, after making some if need be."""
        while len(self._open) >= self._limit:
            self._has_left.clear()
            if self._waiting:
                self._warn()
                next(iter(self._waiting)).transport.abort()
            await self._has_left.wait()

    def _warn(self) -> None:
        now = time.monotonic()
        if now - self._warned_at >= WARN_EVERY_S:
            self._warned_at = now
            _log.warning("portal full: the longest waiting connections go", extra={FIELDS: {"limit": self._limit}})


class Connection(H11Protocol):
    """uvicorn's HTTP, which says what it is at, and has our headers on what it answers by itself."""

    def __init__(self, counted: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._counted = counted
        self._has_begun = False
        self._since = time.monotonic()
        self._seen: tuple[Phase, object] = (Phase.SILENT, None)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self._counted.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._counted.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        super().data_received(data)
        self._has_begun = self.conn.their_state is h11.IDLE
        self.state()

    def on_response_complete(self) -> None:
        """Go on to the next request, of which a part may have come already."""
        self._has_begun = False
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE:
            self._has_begun = bool(self.conn.trailing_data[0])
        self.state()

    def pause_writing(self) -> None:
        """Wait for the other end, which does not read."""
        super().pause_writing()
        self.state()

    def resume_writing(self) -> None:
        """Go on with what it has made room for."""
        super().resume_writing()
        self.state()

    def state(self) -> tuple[Phase, float]:
        """Return what it is at, and since which moment of the monotonic clock."""
        seen = self._phase(), self.cycle
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
            self._counted.moved(self, seen[0])
        return seen[0], self._since

    def _phase(self) -> Phase:
        if self.transport.is_closing():
            return Phase.LEAVING
        if self.flow.write_paused:
            return Phase.UNREAD
        if self.conn.their_state is h11.IDLE:
            return Phase.HEAD if self._has_begun else Phase.SILENT
        return Phase.BODY if self.conn.their_state is h11.SEND_BODY else Phase.ANSWER

    def send_400_response(self, msg: str) -> None:
        """Refuse, in words of our own, and close."""
        text = b"This is no HTTP request.\n"
        headers = {
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": str(len(text)),
            "Connection": "close",
        }
        response = h11.Response(status_code=400, reason=b"Bad Request", headers=list({**headers, **HEADERS}.items()))
        for event in (response, h11.Data(data=text), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
