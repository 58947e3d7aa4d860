"""The running authentication server: listen, sweep, and finish what is under way when it is to stop.

Privileges: none beyond reading the key file, the database and its sockets. What belongs to the process is in
../process.py.
"""

import asyncio
import functools
import itertools
import logging
import os
import time

from mailauth.core import names
from mailauth.edges import process
from mailauth.edges.server import listening
from mailauth.edges.server.connection import AuthConnection, May, ServerContext
from mailauth.effects.log_lines import FIELDS
from mailauth.wiring import Installation

_log = logging.getLogger(__name__)

SWEEP_S = 0.5
"""How often connections are looked at for being overdue."""


async def answer_logins(installation: Installation, stop: asyncio.Event) -> None:
    """Answer logins until `stop` is set; then answer what is under way, and return.

    Raises CannotListen or InvalidConfiguration for its sockets.
    """
    loop = asyncio.get_running_loop()
    settings = installation.configuration.server
    connections: set[AuthConnection] = set()
    under_way: set[asyncio.Task[None]] = set()
    context = ServerContext(
        verifier=installation.verifier,
        lookups=installation.lookups,
        refusal_text=lambda service, name: _refusal_text(installation, service, name),
        handshake_s=settings.handshake_s,
        idle_s=settings.idle_s,
        connections=connections,
        under_way=under_way,
        max_connections=settings.max_connections,
    )
    numbers = itertools.count(1)

    # By the file, for systemd may hand a socket over under another name of it.
    with_lookups = {os.path.realpath(entry.path) for entry in settings.socket if entry.lookups}
    with_password = {os.path.realpath(entry.path) for entry in settings.socket if entry.forward_password}
    with_fields = {os.path.realpath(entry.path) for entry in settings.socket if entry.fields}

    def connection(allowed_uids: frozenset[int] | None, path: str) -> AuthConnection:
        may = May(look_up=path in with_lookups, read_fields=path in with_fields, read_password=path in with_password)
        return AuthConnection(context, allowed_uids, may, next(numbers))

    listeners = listening.open_all(settings.socket, others=installation.configuration.portal.socket_path)
    servers = []
    try:
        for listener in listeners:
            accept = functools.partial(connection, listener.allowed_uids, os.path.realpath(listener.path))
            # Not `create_unix_server`: from Python 3.13 on it removes the file at the end, which may be systemd's.
            servers.append(await loop.create_server(accept, sock=listener.socket, backlog=listening.BACKLOG))
            _log.info("listening", extra={FIELDS: {"socket": listener.path}})
        process.ready()
        await _sweep_until(stop, connections)
        _log.info("stopping", extra={FIELDS: {"connections": len(connections)}})
    finally:
        for server in servers:
            server.close()
        for listener in listeners:
            listener.remove()
    await _drain(connections, under_way, settings.deadline_s)


async def _sweep_until(stop: asyncio.Event, connections: set[AuthConnection]) -> None:
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), SWEEP_S)
        except TimeoutError:
            now = time.monotonic()
            for connection in tuple(connections):
                connection.close_if_overdue(now)


async def _drain(connections: set[AuthConnection], under_way: set[asyncio.Task[None]], deadline_s: float) -> None:
    ends_at = time.monotonic() + deadline_s
    while (connections or under_way) and time.monotonic() < ends_at:
        for connection in tuple(connections):
            connection.finish()
        await asyncio.sleep(0.01)


def _refusal_text(installation: Installation, service: str, name: str) -> str:
    domain = names.presented_domain(name, installation.configuration.accounts.default_domain)
    return installation.refusal_texts.text(service, installation.policy.announced(domain, installation.clock()))
