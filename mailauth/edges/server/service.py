"""The running authentication server: start, tell systemd, sweep, stop gracefully.

Privileges: none beyond reading the key file, the database and its sockets. It makes itself undumpable, so that
neither a core file nor another process of the same user shows its keys.
"""

import asyncio
import ctypes
import functools
import itertools
import logging
import os
import resource
import signal
import socket
import time
from collections.abc import Callable

from mailauth.edges.server import listening
from mailauth.edges.server.connection import AuthConnection, Context
from mailauth.effects.log_lines import FIELDS
from mailauth.usecases import housekeeping
from mailauth.vocabulary.errors import Overloaded, StoreUnavailable
from mailauth.wiring import Installation

_log = logging.getLogger(__name__)

SWEEP_S = 0.5
"""How often connections are looked at for being overdue."""
SPARE_DESCRIPTORS = 64
"""For the database (three a thread), the sockets, the log and the event loop."""
_PR_SET_DUMPABLE = 4
"""prctl(2)."""


def serve(installation: Installation) -> None:
    """Serve until SIGTERM or SIGINT; then answer what is under way, and return."""
    _be_undumpable()
    _allow_descriptors(installation.configuration.server.max_connections)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(installation))


async def _serve(installation: Installation) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings = installation.configuration.server
    connections: set[AuthConnection] = set()
    under_way: set[asyncio.Task[None]] = set()
    context = Context(
        verifier=installation.verifier,
        refusal_text=lambda service: installation.refusal_texts.text(
            service, installation.policy.cutover, installation.clock()
        ),
        handshake_s=settings.handshake_s,
        idle_s=settings.idle_s,
        connections=connections,
        under_way=under_way,
        max_connections=settings.max_connections,
    )
    numbers = itertools.count(1)

    def connection(allowed_uids: frozenset[int] | None) -> AuthConnection:
        return AuthConnection(context, allowed_uids, next(numbers))

    listeners = listening.open_all(settings.socket)
    servers = []
    try:
        for listener in listeners:
            accept = functools.partial(connection, listener.allowed_uids)
            servers.append(await loop.create_unix_server(accept, sock=listener.socket, backlog=listening.BACKLOG))
            _log.info("listening", extra={FIELDS: {"socket": listener.path}})
        _notify("READY=1")
        tidying = loop.create_task(_tidy_for_ever(installation))
        await _sweep_until(stop, connections)
        tidying.cancel()
        _notify("STOPPING=1")
        _log.info("stopping", extra={FIELDS: {"connections": len(connections)}})
    finally:
        for server in servers:
            server.close()
        for listener in listeners:
            listener.remove()
    await _drain(connections, under_way, settings.deadline_s)
    _log.info("stopped")


async def _sweep_until(stop: asyncio.Event, connections: set[AuthConnection]) -> None:
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), SWEEP_S)
        except TimeoutError:
            now = time.monotonic()
            for connection in tuple(connections):
                connection.close_if_overdue(now)


async def _tidy_for_ever(installation: Installation) -> None:
    while True:
        try:
            deleted = await installation.database.run(installation.housekeeping.tidy)
            _log.debug("tidied", extra={FIELDS: {"rows": deleted}})
        except (StoreUnavailable, Overloaded) as error:
            _log.warning("could not tidy up: %s", error)
        await asyncio.sleep(housekeeping.EVERY_S)


async def _drain(connections: set[AuthConnection], under_way: set[asyncio.Task[None]], deadline_s: float) -> None:
    ends_at = time.monotonic() + deadline_s
    while (connections or under_way) and time.monotonic() < ends_at:
        for connection in tuple(connections):
            connection.finish()
        await asyncio.sleep(0.01)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return uvloop's event loop where the extra `fast` is installed, else the standard one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _notify(state: str) -> None:
    """Tell systemd, where it wants to be told (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notification:
        try:
            notification.sendto(state.encode(), address.replace("@", "\x00", 1) if address[0] == "@" else address)
        except OSError as error:
            _log.warning("systemd could not be told %s: %s", state, error)


def _allow_descriptors(max_connections: int) -> None:
    """Raise the soft limit of open files to what the promised connections need, as far as the hard one allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = max_connections + SPARE_DESCRIPTORS
    if needed <= soft:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        _log.warning("fewer descriptors than server.max_connections needs", extra={FIELDS: {"allowed": allowed}})


def _be_undumpable() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
