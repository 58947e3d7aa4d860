"""Builds the C programs for tests, and runs mailauth-checkpassword as Dovecot does.

Must not be used by anything but tests and measurements.  Privileges: none.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PAM_MODULE = Path(__file__).resolve().parent.parent

# A sanitizer's finding must not look like "wrong password" (1). Leaks need ptrace, which the helper
# forbids; it allocates nothing.
SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "exitcode=99:detect_leaks=0:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def build(*targets: str, sanitize: bool = False) -> Path:
    """Runs make (one at a time, whoever else is testing); the build directory."""
    command = ["make", "-s", "-C", str(PAM_MODULE), *targets]
    if sanitize:
        command.append("SANITIZE=1")
    with open(PAM_MODULE / "Makefile") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return PAM_MODULE / ("build-asan" if sanitize else "build")


@dataclass(frozen=True)
class Ended:
    """How a run ended: exit status, what it wrote to descriptor 4 and to standard error."""

    status: int
    fields: bytes
    errors: str
    unread_input: int
    seconds: float


def run_helper(
    binary: Path,
    payload: bytes,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    limit_s: float = 20.0,
    keep_input_open: bool = False,
    output_gone: bool = False,
) -> Ended:
    """Runs the helper with payload on descriptor 3; collects descriptor 4 and standard error.

    The payload may be larger than a pipe.  With keep_input_open, descriptor 3 never ends; with
    output_gone, nobody reads descriptor 4.
    """
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    high_in = fcntl.fcntl(in_read, fcntl.F_DUPFD_CLOEXEC, 20)
    high_out = fcntl.fcntl(out_write, fcntl.F_DUPFD_CLOEXEC, 20)
    if output_gone:
        os.close(out_read)
        out_read = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    started = time.monotonic()
    pid = os.posix_spawn(
        binary,
        [str(binary), *arguments, "/usr/lib/dovecot/checkpassword-reply"],
        {**SANITIZER_ENVIRONMENT, **(environment or {})},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, err_write, 2),
            (os.POSIX_SPAWN_DUP2, high_in, 3),
            (os.POSIX_SPAWN_DUP2, high_out, 4),
        ],
    )
    for fd in (in_read, high_in, out_write, high_out, err_write):
        os.close(fd)
    os.set_blocking(in_write, False)

    collected = {out_read: b"", err_read: b""}
    left = payload
    with selectors.DefaultSelector() as selector:
        if not output_gone:
            selector.register(out_read, selectors.EVENT_READ)
        selector.register(err_read, selectors.EVENT_READ)
        selector.register(in_write, selectors.EVENT_WRITE)
        open_ends = 1 if output_gone else 2
        while open_ends:
            wait = started + limit_s - time.monotonic()
            ready = selector.select(max(wait, 0))
            if not ready:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise AssertionError(f"the helper did not end within {limit_s} s")
            for key, _ in ready:
                fd = key.fd
                if fd == in_write:
                    try:
                        left = left[os.write(fd, left) if left else 0 :]
                    except BrokenPipeError:
                        selector.unregister(fd)
                        continue
                    if not left:
                        selector.unregister(fd)
                        if not keep_input_open:
                            os.close(fd)
                            in_write = -1
                elif data := os.read(fd, 65536):
                    collected[fd] += data
                else:
                    selector.unregister(fd)
                    open_ends -= 1
    _, raw_status = os.waitpid(pid, 0)
    seconds = time.monotonic() - started
    if in_write >= 0:
        os.close(in_write)
    os.close(out_read)
    os.close(err_read)
    errors = collected[err_read].decode(errors="replace")
    assert "Sanitizer" not in errors, errors
    assert "runtime error" not in errors, errors
    return Ended(os.waitstatus_to_exitcode(raw_status), collected[out_read], errors, len(left), seconds)
