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

from .ground import SandboxError
from .ports import HOST

POLL_S = 0.02
GREETING_TIMEOUT_S = 5.0

GREETINGS = {
    "imap": b"* OK",
    "pop3": b"+OK",
    "submission": b"220",
    "sieve": b'"IMPLEMENTATION"',
    "postfix_submission": b"220",
    "sink": b"220",
    "exim": b"220",
}


def greeting(address: tuple[str, int] | Path, wanted: bytes) -> bytes:
    """The first bytes a server sends, if it is to send any; raises OSError while it is not there."""
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(GREETING_TIMEOUT_S)
        client.connect(str(address) if isinstance(address, Path) else address)
        return client.recv(512) if wanted else b""


def wait_for(
    targets: dict[str, tuple[tuple[str, int] | Path, bytes]],
    still_runs: Callable[[], str | None],
    timeout_s: float,
) -> None:
    """Until each target greets as it should; `still_runs` names a server that ended."""
    deadline = time.monotonic() + timeout_s
    waiting = dict(targets)
    while waiting:
        for name, (address, wanted) in list(waiting.items()):
            with contextlib.suppress(OSError):
                if greeting(address, wanted).startswith(wanted):
                    del waiting[name]
        if not waiting:
            return
        ended = still_runs()
        if ended is not None:
            raise SandboxError(f"{ended} ended while it started")
        if time.monotonic() > deadline:
            raise SandboxError(f"not ready after {timeout_s:.0f} s: {', '.join(waiting)}")
        time.sleep(POLL_S)


def port_targets(ports: dict[str, int]) -> dict[str, tuple[tuple[str, int] | Path, bytes]]:
    return {name: ((HOST, ports[name]), words) for name, words in GREETINGS.items() if name in ports}


def auth_target(path: Path) -> tuple[tuple[str, int] | Path, bytes]:
    """An auth socket greets by its version, whoever speaks the protocol."""
    return path, b"VERSION\t1\t"
