"""Many logins in the same instant: over IMAP, over Postfix, over authentication sockets.

What comes of each is IN, the server's words, or what the connection died of: nothing is raised, for
servers are killed meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.integration.talking import Talk, auth
from tests.stack import clients
from tests.stack.clients import Address
from tests.stack.doors import IN
from tests.stack.people import Site


class Try(NamedTuple):
    """One login of a burst."""

    name: str
    secret: str
    source: str


def sources(count: int, first: int = 2) -> list[str]:
    """Return so many client addresses: 127.0.0.2 and so on."""
    return [f"127.0.0.{number}" for number in range(first, first + count)]


def over_socket(path: Path, tries: Sequence[Try], service: str = "imap") -> list[bytes]:
    """Open a connection for each, then send all attempts, then read the replies."""
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(path)).introduced() for _ in tries]
        for talk, each in zip(talks, tries, strict=True):
            talk.send(auth(1, each.name, each.secret, service=service, client=each.source))
        return [talk.line() for talk in talks]


async def over_imap(site: Site, tries: Sequence[Try]) -> list[str]:
    """Open a connection for each, then log in by all of them."""
    site.presented.update((each.name, each.secret) for each in tries)
    all_greeted = asyncio.Barrier(len(tries))
    return await asyncio.gather(*(_imap_login(site.sandbox.imap, each, all_greeted) for each in tries))


async def _imap_login(address: Address, each: Try, all_greeted: asyncio.Barrier) -> str:
    async with clients.imap_session(address, each.source) as client:
        await all_greeted.wait()
        reply = await client.login(each.name, each.secret)
        words = b" ".join(bytes(line) for line in reply.lines[-1:]).decode(errors="replace")
        return IN if reply.result == "OK" else words


class SmtpSession:
    """A client of Postfix that has said EHLO and has not logged in yet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, address: Address, source: str) -> SmtpSession:
        session = cls(*await asyncio.open_connection(*address, local_addr=(source, 0)))
        await session._reply()
        await session._say(b"EHLO client.test")
        return session

    async def log_in(self, name: str, secret: str) -> str:
        """Return IN, or the reply, or why there is none."""
        initial = base64.b64encode(f"\0{name}\0{secret}".encode())
        try:
            async with asyncio.timeout(clients.TIMEOUT_S):
                reply = await self._say(b"AUTH PLAIN " + initial)
        except (OSError, TimeoutError) as error:
            return repr(error)
        return IN if reply.startswith("235 ") else reply

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _say(self, line: bytes) -> str:
        self._writer.write(line + b"\r\n")
        await self._writer.drain()
        return await self._reply()

    async def _reply(self) -> str:
        line = await self._reader.readline()
        while line[3:4] == b"-":
            line = await self._reader.readline()
        if not line:
            raise ConnectionResetError("the server closed the connection")
        return line.decode(errors="replace").strip()
