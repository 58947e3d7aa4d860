"""A raw client of the authentication socket: bytes out, bytes in, each wait with a deadline.

Holds no tests, and knows as little of the protocol as will do, so that tests see what is really sent.
"""

import base64
import socket
from pathlib import Path
from typing import Self

PATIENCE_S = 60.0
INTRODUCTION = b"VERSION\t1\t1\nCPID\t4711\n"


def plain(name: str | bytes, secret: str | bytes, authorisation: bytes = b"") -> bytes:
    """Return the base64 of a PLAIN message (RFC 4616)."""
    name, secret = (part.encode() if isinstance(part, str) else part for part in (name, secret))
    return base64.b64encode(authorisation + b"\x00" + name + b"\x00" + secret)


def auth(
    number: int,
    name: str | bytes,
    secret: str | bytes,
    *,
    service: str = "imap",
    client: str = "192.0.2.7",
    ours: bool = False,
) -> bytes:
    """Return an AUTH line with PLAIN and an initial response."""
    announced = "\tmailauth=1" if ours else ""
    head = f"AUTH\t{number}\tPLAIN\tservice={service}\tlip=192.0.2.1\trip={client}\tsecured{announced}\tresp="
    return head.encode() + plain(name, secret) + b"\n"


class Closed(Exception):
    """The server has closed the connection; what came before that is in `rest`."""

    def __init__(self, rest: bytes) -> None:
        super().__init__(rest)
        self.rest = rest


class Talk:
    """One connection."""

    def __init__(self, path: Path, patience_s: float = PATIENCE_S) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(patience_s)
        self.socket.connect(str(path))
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def __del__(self) -> None:
        self.socket.close()  # a failed test leaves connections open; its own failure is what is to be seen

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        """Return the next line, without its end. Raises Closed."""
        while b"\n" not in self._buffer:
            try:
                piece = self.socket.recv(65536)
            except ConnectionError:
                piece = b""
            if not piece:
                raise Closed(self._buffer)
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def lines(self, count: int) -> list[bytes]:
        return [self.line() for _ in range(count)]

    def rest(self) -> bytes:
        """Return all that comes until the server closes the connection."""
        while True:
            try:
                piece = self.socket.recv(65536)
            except ConnectionError:
                piece = b""
            if not piece:
                rest, self._buffer = self._buffer, b""
                return rest
            self._buffer += piece

    def greeting(self) -> list[bytes]:
        """Return the greeting's lines, DONE being the last."""
        lines = [self.line()]
        while lines[-1] != b"DONE":
            lines.append(self.line())
        return lines

    def introduced(self) -> Self:
        """Do the handshake. Dovecot 2.4 waits for the client's half before it greets; nobody else minds."""
        self.send(INTRODUCTION)
        self.greeting()
        return self

    def login(self, name: str | bytes, secret: str | bytes, number: int = 1, **parameters: object) -> bytes:
        """Log in by PLAIN and return the reply's line."""
        self.send(auth(number, name, secret, **parameters))  # type: ignore[arg-type]
        return self.line()


def look_up(talk: Talk, name: str | bytes, number: int = 1) -> str:
    """Ask whether an account exists, and return the reply's line."""
    talk.send(
        b"AUTH\t%d\tPLAIN\tservice=lmtp\trip=127.0.0.1\tmailauth=lookup\tresp=" % number + plain(name, b"") + b"\n"
    )
    return talk.line().decode()


def granted(reply: bytes) -> bool:
    """Tell whether a reply lets somebody in; everything but a clean OK or FAIL is an error."""
    word = reply.split(b"\t")[0]
    assert word in (b"OK", b"FAIL"), reply
    return word == b"OK"
