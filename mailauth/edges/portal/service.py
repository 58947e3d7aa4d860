"""The portal as a part of the process: listen where the configuration says, serve until it is to stop.

Speaks HTTP without TLS, for a web server in front of it, on a Unix socket that only the web server may open: systemd's
where there is one. Privileges: none beyond the key file, the database and its socket or port. Signals belong to the
process, not to uvicorn.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn

from mailauth.edges import process, unix_sockets
from mailauth.edges.portal import app
from mailauth.edges.portal.connections import Connection, Connections, Deadlines
from mailauth.edges.unix_sockets import CannotListen
from mailauth.effects.configuration.fields import endpoint
from mailauth.effects.configuration.schema import Configuration
from mailauth.effects.log_lines import FIELDS
from mailauth.vocabulary.errors import InvalidConfiguration, Mistake
from mailauth.wiring import Installation

_log = logging.getLogger(__name__)

BACKLOG = 512
DEADLINES = Deadlines()
KEEP_ALIVE_S = 15
FEWEST = 16
"""Connections that there are however few descriptors are left; they are among the spare ones."""
FINISH_S = 10
"""How long what is under way may take when the process is to stop: as long as a login may."""
MAX_HEADER_BYTES = 32 * 1024


class _Server(uvicorn.Server):
    """uvicorn, without its hands on the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


async def serve_pages(installation: Installation, stop: asyncio.Event, deadlines: Deadlines = DEADLINES) -> None:
    """Serve the pages until `stop` is set; then finish what is under way, and return.

    Raises CannotListen or InvalidConfiguration.
    """
    portal = app.build(installation)
    listener = _listen(installation.configuration)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    config = uvicorn.Config(
        portal,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # middleware.py decides whom to believe
        server_header=False,
        date_header=True,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=FINISH_S,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    server = _Server(config)
    connections = Connections(_limit(installation.configuration), deadlines)

    def connection() -> Connection:
        return Connection(connections, config=config, server_state=server.server_state, app_state={})

    async def accept() -> None:
        while not server.started:
            await asyncio.sleep(0.01)
        _log.info("listening", extra={FIELDS: {"portal": listener.where}})
        process.ready()
        await connections.accept(listener.socket, connection)

    # uvicorn gets no listening socket: connections.py accepts.
    serving = asyncio.ensure_future(server.serve(sockets=[]))
    stopping = asyncio.ensure_future(stop.wait())
    accepting = asyncio.ensure_future(accept())
    sweeping = asyncio.ensure_future(connections.sweep())
    try:
        await asyncio.wait([serving, stopping, accepting, sweeping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        accepting.cancel()
        await asyncio.wait([accepting])
        listener.remove()
        server.should_exit = True
        await serving
        sweeping.cancel()
        for task in (accepting, sweeping):
            if task.done() and not task.cancelled():
                task.result()


def _limit(configuration: Configuration) -> int:
    """Return how many connections there may be, so that logins in the same process keep their descriptors."""
    wanted = configuration.portal.max_connections
    left = process.descriptors_beside(configuration.server.max_connections)
    if left >= wanted:
        return wanted
    allowed = max(left, min(FEWEST, wanted))
    _log.warning("fewer descriptors than portal.max_connections needs", extra={FIELDS: {"allowed": allowed}})
    return allowed


@dataclass(frozen=True, slots=True)
class _Listener:
    """The listening socket, what it is called in the log, and its file's inode where we made the file."""

    socket: socket.socket
    where: str
    inode: int | None = None

    def remove(self) -> None:
        self.socket.close()
        if self.inode is not None:
            unix_sockets.remove(self.where, self.inode)


def _listen(configuration: Configuration) -> _Listener:
    """Return systemd's socket where there is one, otherwise our own. Raises CannotListen or InvalidConfiguration."""
    settings, others = configuration.portal, [entry.path for entry in configuration.server.socket]
    path = settings.socket_path
    for given_path, given in unix_sockets.handed_over(lambda it: not any(unix_sockets.is_same(it, o) for o in others)):
        if path is not None and unix_sockets.is_same(given_path, path):
            return _Listener(given, given_path)
        problem = f"systemd hands over {given_path}, and here stands {settings.listen}"
        raise InvalidConfiguration("configuration", (Mistake("portal.listen", problem),))
    if path is None:
        return _listen_on_port(settings.listen)
    gid = unix_sockets.group_id(settings.socket_group, "portal.socket_group")
    try:
        listening, inode = unix_sockets.listen(path, int(settings.socket_mode, 8), gid)
    except CannotListen as error:
        raise CannotListen(f"the portal {error}") from error
    return _Listener(listening, path, inode)


def _listen_on_port(where: str) -> _Listener:
    host, port = endpoint(where)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise CannotListen(f"the portal cannot listen on {where}: {error.strerror or error}") from error
    host, port = listener.getsockname()[:2]
    return _Listener(listener, f"{host}:{port}")
