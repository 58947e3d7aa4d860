"""Is a server ready? Asked as a client would: by its first words.

Waits with a deadline, never longer than needed; a server that has ended meanwhile is
an error at once.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .ground import SandboxError
from .ports import HOST

POLL_S = 0.02
GREETING_TIMEOUT_S = 5.0

GREETINGS = {
    "imap": b"* OK",
    "pop3": b"+OK",
    "submission": b"220",
    "sieve": b'"IMPLEMENTATION"',
    "lmtp": b"220",
    "postfix_submission": b"220",
    "postfix_smtp": b"220",
    "sink": b"220",
    "exim": b"220",
}


class Target(NamedTuple):
    """Where a server is, how its first words begin (empty: it says none), and what it wants to be asked first."""

    address: tuple[str, int] | Path
    wanted: bytes
    asked: bytes = b""


Targets = dict[str, Target]


class EndedAtOnce(SandboxError):
    """A server ended before it was ready."""


def greeting(target: Target) -> bytes:
    """The first bytes a server sends, if it is to send any; raises OSError while it is not there."""
    address = target.address
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(GREETING_TIMEOUT_S)
        client.connect(str(address) if isinstance(address, Path) else address)
        client.sendall(target.asked)
        return client.recv(512) if target.wanted else b""


def wait_for(targets: Targets, still_runs: Callable[[], str | None], timeout_s: float) -> None:
    """Until each target greets as it should; `still_runs` names a server that ended."""
    deadline = time.monotonic() + timeout_s
    waiting = dict(targets)
    while waiting:
        for name, target in list(waiting.items()):
            with contextlib.suppress(OSError):
                if greeting(target).startswith(target.wanted):
                    del waiting[name]
        if not waiting:
            return
        ended = still_runs()
        if ended is not None:
            raise EndedAtOnce(f"{ended} ended while it started")
        if time.monotonic() > deadline:
            raise SandboxError(f"not ready after {timeout_s:.0f} s: {', '.join(waiting)}")
        time.sleep(POLL_S)


def port_targets(ports: dict[str, int]) -> Targets:
    return {name: Target((HOST, ports[name]), words) for name, words in GREETINGS.items() if name in ports}


def auth_target(path: Path) -> Target:
    """An auth socket greets by its version, whoever speaks the protocol."""
    return Target(path, b"VERSION\t1\t")


def web_target(address: tuple[str, int] | Path) -> Target:
    """The portal says that it is well (HTTP/1.0 ends the connection with the answer)."""
    request = f"GET /healthz HTTP/1.0\r\nHost: {HOST}\r\n\r\n"
    return Target(address, b"HTTP/1.1 200", request.encode())
