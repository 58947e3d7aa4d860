"""The portal as a part of the process: listen where the configuration says, serve until it is to stop.

Speaks HTTP without TLS, for a web server in front of it. Privileges: none beyond the key file, the database and its
port. Signals belong to the process, not to uvicorn.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mailauth.edges import process
from mailauth.edges.portal import app
from mailauth.edges.portal.guard import HEADERS
from mailauth.effects.configuration.values import endpoint
from mailauth.effects.log_lines import FIELDS
from mailauth.vocabulary.errors import MailauthError
from mailauth.wiring import Installation

_log = logging.getLogger(__name__)

BACKLOG = 512
KEEP_ALIVE_S = 15
FINISH_S = 10
"""How long what is under way may take when the process is to stop: as long as a login may."""
MAX_HEADER_BYTES = 32 * 1024


class CannotListen(MailauthError):
    """The portal's address is taken, or is not this machine's."""


class _Server(uvicorn.Server):
    """uvicorn, without its hands on the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


class _Protocol(H11Protocol):
    """uvicorn's HTTP, with our headers on what it answers by itself to bytes that are no request."""

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


async def run(installation: Installation, stop: asyncio.Event) -> None:
    """Serve the pages until `stop` is set; then finish what is under way, and return.

    Raises CannotListen, or InvalidConfiguration for the logo.
    """
    portal = app.build(installation)
    listener = _listen(installation.configuration.portal.listen)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server = _Server(
        uvicorn.Config(
            portal,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # guard.py decides whom to believe
            server_header=False,
            date_header=True,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=FINISH_S,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
    )
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    stopping = asyncio.ensure_future(stop.wait())
    ready = asyncio.ensure_future(_say_when_ready(server, listener))
    try:
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        ready.cancel()
        stopping.cancel()
        server.should_exit = True
        await serving
        listener.close()


async def _say_when_ready(server: uvicorn.Server, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    while not server.started:
        await asyncio.sleep(0.01)
    _log.info("listening", extra={FIELDS: {"portal": f"{host}:{port}"}})
    process.ready()


def _listen(where: str) -> socket.socket:
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
    return listener
