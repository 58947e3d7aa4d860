"""Half requests: the portal neither waits for their end for ever, nor lets them have what logins need."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from mailauth.edges.portal import middleware, service
from mailauth.edges.portal.connections import Deadlines
from tests.integration.portal.browsing import HOST
from tests.integration.portal.listening import ask, socket_of, start
from tests.integration.serving import PATIENCE_S, Site, secret_of
from tests.integration.talking import granted
from tests.world import WorldMaker

HEAD = f"GET /nothing HTTP/1.1\r\nHost: {HOST}\r\n".encode()
HALF_BODY = (
    f"POST /login HTTP/1.1\r\nHost: {HOST}\r\nOrigin: https://{HOST}\r\nContent-Length: 500\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\n\r\naccount="
).encode()
NEVER = 3600.0

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Opener = Callable[[bytes], Awaitable[Stream]]


@asynccontextmanager
async def serving(make_world: WorldMaker, deadlines: Deadlines, *settings: str) -> AsyncIterator[Opener]:
    """Give a maker of connections to a portal of this process, each with bytes that have been sent."""
    world = make_world("portal.socket_group=", *settings)
    path = world.directory / "portal.sock"
    text = world.config_path.read_text()
    assert "portal.sock" in text
    stop = asyncio.Event()
    running = asyncio.create_task(service.serve_pages(world.installation, stop, deadlines))
    opened: list[asyncio.StreamWriter] = []

    async def open_(data: bytes) -> Stream:
        reader, writer = await asyncio.open_unix_connection(str(path))
        opened.append(writer)
        writer.write(data)
        return reader, writer

    try:
        async with asyncio.timeout(PATIENCE_S):
            while not path.exists():
                assert not running.done(), running.result()
                await asyncio.sleep(0.01)
        yield open_
    finally:
        for writer in opened:
            writer.close()
        stop.set()
        await running


def where(tmp_path: Path) -> str:
    """The worlds' portal's socket; the first world is world0."""
    return f"portal.listen=unix:{tmp_path}/world0/portal.sock"


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Return what still comes until the portal closes."""
    async with asyncio.timeout(PATIENCE_S):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize(
    ("deadlines", "sent"),
    [(Deadlines(silent_s=0.2), b""), (Deadlines(head_s=0.2), HEAD), (Deadlines(body_s=0.2), HALF_BODY)],
    ids=["silent", "head", "body"],
)
async def test_request_that_does_not_end_is_not_waited_for(
    make_world: WorldMaker, tmp_path: Path, deadlines: Deadlines, sent: bytes
) -> None:
    async with serving(make_world, deadlines, where(tmp_path)) as open_:
        reader, _ = await open_(sent)
        assert await rest(reader) == b""


async def test_who_reads_no_answer_is_not_waited_for(make_world: WorldMaker, tmp_path: Path) -> None:
    asking = HEAD.replace(b"/nothing", b"/static/portal.css") + b"\r\n"
    async with serving(make_world, Deadlines(unread_s=0.2), where(tmp_path)):
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            client.connect(str(tmp_path / "world0" / "portal.sock"))
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(ConnectionError):
                    await send_for_ever(client, asking)


@pytest.mark.parametrize("most", ["connections", "requests"])
async def test_who_reads_no_answers_closes_the_portal_to_nobody(
    make_world: WorldMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: str
) -> None:
    """As many who ask in one go, and read nothing, as there may be connections, or requests under way."""
    monkeypatch.setattr(middleware, "MAX_UNDER_WAY", 400 if most == "connections" else 3)
    limit = 8 if most == "connections" else 32
    settings = (where(tmp_path), f"portal.max_connections={limit}")
    asking = HEAD.replace(b"/nothing", b"/static/portal.css") + b"\r\n"
    async with AsyncExitStack() as ends:
        open_ = await ends.enter_async_context(
            serving(make_world, Deadlines(answer_s=NEVER, unread_s=NEVER), *settings)
        )
        sent: list[int] = []
        for _ in range(8):
            client = ends.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect(str(tmp_path / "world0" / "portal.sock"))
            sending = asyncio.create_task(send_for_ever(client, asking, sent))
            ends.callback(sending.cancel)
        await has_stalled(sent)
        answer = b""
        async with asyncio.timeout(PATIENCE_S):
            while not answer.startswith(b"HTTP/1.1 404"):
                reader, _ = await open_(HEAD + b"Connection: close\r\n\r\n")
                answer = await rest(reader)


async def has_stalled(sent: list[int]) -> None:
    """Return when nobody takes any more of what is sent."""
    before = -1
    async with asyncio.timeout(PATIENCE_S):
        while len(sent) != before:
            before = len(sent)
            await asyncio.sleep(0.5)


async def send_for_ever(client: socket.socket, data: bytes, sent: list[int] | None = None) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(client, data)
        if sent is not None:
            sent.append(len(data))


async def test_head_that_comes_byte_by_byte_has_one_deadline_for_all_of_it(
    make_world: WorldMaker, tmp_path: Path
) -> None:
    async with serving(make_world, Deadlines(head_s=0.5), where(tmp_path)) as open_:
        reader, writer = await open_(HEAD)
        gone = asyncio.create_task(rest(reader))
        while not gone.done():
            writer.write(b"x")
            await asyncio.wait([gone], timeout=0.05)
        assert await gone == b""


async def test_request_in_pieces_after_a_pause_is_answered(make_world: WorldMaker, tmp_path: Path) -> None:
    async with serving(make_world, Deadlines(head_s=NEVER), where(tmp_path)) as open_:
        reader, writer = await open_(b"")
        for _ in range(3):
            for piece in (HEAD[:10], HEAD[10:] + b"\r\n"):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 404")
            while (line := await reader.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length: "):
                    length = int(line.split()[1])
            await reader.readexactly(length)


async def test_who_waits_longest_makes_room_and_who_is_answered_stays(make_world: WorldMaker, tmp_path: Path) -> None:
    """With 8 connections, 50 half requests and then one whole one: it is answered."""
    settings = (where(tmp_path), "portal.max_connections=8")
    async with serving(make_world, Deadlines(), *settings) as open_:
        half = [await open_(HEAD) for _ in range(50)]
        for data, status in ((HEAD + b"Connection: close\r\n\r\n", b"404"), (HALF_BODY, b"")):
            reader, _ = await open_(data)
            if status:
                assert (await rest(reader)).startswith(b"HTTP/1.1 " + status)
        assert all([await rest(reader) == b"" for reader, _ in half[:40]])


def test_half_requests_by_the_thousand_leave_logins_and_pages_what_they_need(make_site: Callable[..., Site]) -> None:
    """One process does all, with few descriptors."""
    site = make_site("server.max_connections=50", "portal.max_connections=60")
    server = start(site, launcher=("prlimit", "--nofile=300:300"))
    alice = site.person()
    half = []
    try:
        for _ in range(900):
            client = socket.socket(socket.AF_UNIX)
            half.append(client)
            client.connect(str(socket_of(site)))  # waits where the queue is full
            client.sendall(HEAD)
        with site.talk() as talk:
            assert granted(talk.login(alice.name, secret_of(alice)))
        assert ask(socket_of(site)).status_code == 404
        server.wait_for("portal full")
        assert "Too many open files" not in server.log
        assert server.log.count("portal full") == 1
    finally:
        for client in half:
            client.close()
    assert server.stop() == 0


def test_where_descriptors_are_few_the_portal_has_fewer_and_says_so(make_site: Callable[..., Site]) -> None:
    site = make_site("server.max_connections=100")
    server = start(site, "portal", launcher=("prlimit", "--nofile=400:400"))
    assert "fewer descriptors than portal.max_connections needs" in server.log
    assert "allowed=172" in server.log
