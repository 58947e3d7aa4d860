"""A stand-in for `mailauth serve` that says whatever a test wants said.

Holds one thread with one listening Unix socket, and keeps the bytes that each client
sent.  Must not be used by anything but tests and measurements.  Privileges: none.
"""

from __future__ import annotations

import base64
import re
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

GREETING = (
    b"VERSION\t1\t1\n"
    b"MECH\tPLAIN\tplaintext\n"
    b"MECH\tLOGIN\tplaintext\n"
    b"SPID\t4711\n"
    b"CUID\t1\n"
    b"COOKIE\t0123456789abcdef0123456789abcdef\n"
    b"DONE\n"
)

ESCAPES = {"\0": "0", "\001": "1", "\t": "t", "\r": "r", "\n": "n"}


def escape(value: str) -> str:
    return "".join("\001" + ESCAPES[c] if c in ESCAPES else c for c in value)


def unescape(value: str) -> str:
    letters = {letter: c for c, letter in ESCAPES.items()}
    parts = value.split("\001")
    return parts[0] + "".join(letters[part[0]] + part[1:] for part in parts[1:])


@dataclass(frozen=True)
class Asked:
    """One AUTH request as a client sent it."""

    raw: bytes
    mechanism: str
    parameters: dict[str, str]
    user: str
    secret: str

    @classmethod
    def parse(cls, raw: bytes) -> Asked:
        version, cpid, auth, rest = raw.decode().split("\n")
        assert rest == ""
        assert version == "VERSION\t1\t1"
        assert cpid.split("\t")[0] == "CPID"
        keyword, request_id, mechanism, *fields = auth.split("\t")
        assert keyword == "AUTH"
        assert request_id.isdigit()
        assert fields[-1].startswith("resp="), "resp is the last parameter"
        parameters = {}
        for item in fields[:-1]:
            key, _, value = item.partition("=")
            parameters[key] = unescape(value)
        authzid, user, secret = base64.b64decode(fields[-1][5:]).decode().split("\0")
        assert authzid == ""
        return cls(raw, mechanism, parameters, user, secret)


@dataclass(frozen=True)
class Say:
    """What the server says to the request: chunks, each sent by itself; then it closes or hangs."""

    chunks: tuple[bytes, ...] = ()
    then_hang: bool = False
    pause_s: float = 0.0

    @classmethod
    def bytes(cls, *chunks: bytes, then_hang: bool = False, pause_s: float = 0.0) -> Say:
        return cls(chunks, then_hang, pause_s)


def ok(user: str, **more: str) -> Say:
    extra = "".join(f"\t{key}={escape(value)}" for key, value in more.items())
    return Say.bytes(f"OK\t1\tuser={escape(user)}{extra}\n".encode())


def fail(reason: str | None = None, user: str = "u@example.org", code: str | None = None) -> Say:
    line = f"FAIL\t1\tuser={escape(user)}"
    if reason is not None:
        line += f"\treason={escape(reason)}"
    if code is not None:
        line += f"\tcode={code}"
    return Say.bytes(line.encode() + b"\n")


def _to(raw: bytes, chunk: bytes) -> bytes:
    """What is said to request 1, as it is said to the request that was made."""
    request_id = raw.partition(b"\nAUTH\t")[2].partition(b"\t")[0]
    return chunk if request_id == b"1" else re.sub(rb"^(OK|FAIL)\t1\b", rb"\1\t" + request_id, chunk)


Answer = Say | Callable[[Asked], Say]


@dataclass
class FakeServer:
    """Serves until the `with` block ends; each connection gets greeting and answer.

    `reads_first` makes it silent until the client's whole request is there.
    """

    path: Path
    answer: Answer
    greeting: bytes = GREETING
    reads_first: bool = False
    raw: list[bytes] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> FakeServer:
        self._stopping = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self.path.chmod(0o666)
        self._listener.listen(128)
        self._listener.settimeout(None)
        self._clients: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()
        for client in self._clients:
            client.join(10)
        self.path.unlink(missing_ok=True)
        if error is None and self.errors:
            raise self.errors[0]

    @property
    def asked(self) -> list[Asked]:
        return [Asked.parse(raw) for raw in self.raw]

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            client = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._clients = [c for c in self._clients if c.is_alive()]
            self._clients.append(client)
            client.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(BrokenPipeError, ConnectionResetError):
            try:
                if not self.reads_first:
                    connection.sendall(self.greeting)
                raw = self._read_request(connection)
                if raw is None:
                    return
                self.raw.append(raw)
                if self.reads_first:
                    connection.sendall(self.greeting)
                say = self.answer if isinstance(self.answer, Say) else self.answer(Asked.parse(raw))
                for chunk in say.chunks:
                    connection.sendall(_to(raw, chunk))
                    if say.pause_s:
                        time.sleep(say.pause_s)
                if say.then_hang:
                    self._wait_for_close(connection)
            except AssertionError as error:
                self.errors.append(error)

    def _chunks(self, connection: socket.socket) -> Iterator[bytes]:
        """What the client sends, until it closes or the server stops."""
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            while not self._stopping.is_set():
                if selector.select(0.05):
                    data = connection.recv(65536)
                    if not data:
                        return
                    yield data

    def _read_request(self, connection: socket.socket) -> bytes | None:
        raw = b""
        for data in self._chunks(connection):
            raw += data
            if raw.count(b"\n") >= 3:
                return raw
        return None

    def _wait_for_close(self, connection: socket.socket) -> None:
        for _ in self._chunks(connection):
            pass
