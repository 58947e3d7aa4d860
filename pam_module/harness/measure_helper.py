"""Measures executions a second of mailauth-checkpassword against a trivial server, and of /bin/true.

Run: .venv/bin/python -m pam_module.harness.measure_helper [STATIC-BINARY [OTHER-BINARY...]]

The server is a forked process, the driver spawns one helper after the other as Dovecot does.
Must not be read as logins a second: Dovecot's own fork costs more than all of this.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

from pam_module.harness.fake_server import GREETING
from pam_module.harness.helper import build

RUNS = 2000
PAYLOAD = b"anna@example.org\0correct horse123456\0\0"


def serve(path: Path) -> int:
    """Forks a server that grants everything; its process id."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(128)
    pid = os.fork()
    if pid == 0:
        try:
            while True:
                connection, _ = listener.accept()
                connection.sendall(GREETING)
                connection.recv(65536)
                connection.sendall(b"OK\t1\tuser=anna@example.org\n")
                connection.close()
        finally:
            os._exit(1)
    listener.close()
    return pid


def runs_a_second(command: list[str], expected: int) -> float:
    started = time.perf_counter()
    for _ in range(RUNS):
        in_read, in_write = os.pipe()
        out_read, out_write = os.pipe()
        os.write(in_write, PAYLOAD)
        pid = os.posix_spawn(
            command[0],
            command,
            {"AUTH_SERVICE": "imap", "AUTH_RIP": "192.0.2.7"},
            file_actions=[(os.POSIX_SPAWN_DUP2, in_read, 3), (os.POSIX_SPAWN_DUP2, out_write, 4)],
        )
        for fd in (in_read, in_write, out_write):
            os.close(fd)
        _, status = os.waitpid(pid, 0)
        os.close(out_read)
        assert os.waitstatus_to_exitcode(status) == expected, status
    return RUNS / (time.perf_counter() - started)


def main() -> None:
    binaries = sys.argv[1:] or [str(build() / "mailauth-checkpassword")]
    for reserved in (3, 4):  # so that the pipes are not 3 and 4 themselves
        os.dup2(0, reserved)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "auth.sock"
        server = serve(path)
        try:
            for round_number in (1, 2, 3):
                rates = {"/bin/true": runs_a_second(["/bin/true"], 0)}
                for binary in binaries:
                    rates[binary] = runs_a_second([binary, "--socket", str(path), "reply"], 0)
                print(f"round {round_number}:", ", ".join(f"{k} {v:.0f}/s" for k, v in rates.items()))
        finally:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)


if __name__ == "__main__":
    main()
