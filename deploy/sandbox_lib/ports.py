"""Free loopback ports.

Taken below the kernel's ephemeral range, so that no outgoing connection of this
machine can sit on one between our look and the server's bind. Two sandboxes that
start together choose at random and rarely meet; when they do, the server's log says
so and `up` chooses again.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

HOST = "127.0.0.1"
LOWEST_PORT = 10_000
DEFAULT_EPHEMERAL_START = 32_768  # Linux's default of net.ipv4.ip_local_port_range


def choose(names: tuple[str, ...]) -> dict[str, int]:
    """A free port for each name."""
    try:
        ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        ephemeral = DEFAULT_EPHEMERAL_START
    highest = ephemeral if ephemeral > LOWEST_PORT + 1_000 else DEFAULT_EPHEMERAL_START
    chosen: dict[str, int] = {}
    while len(chosen) < len(names):
        port = random.randrange(LOWEST_PORT, highest)
        if port not in chosen.values() and is_free(port):
            chosen[names[len(chosen)]] = port
    return chosen


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
