"""Talking to a sandbox's supervisor: start it, command it, end it.

A supervisor that does not answer is dead; what it may have left behind is found by
the pids and start times in the state file. Runs as root.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .ground import Ground, SandboxError

# A `stop` waits for the grace of a server (10 s), `down` for the longest of all.
REPLY_TIMEOUT_S = 30.0
START_TIMEOUT_S = 10.0


def launch(ground: Ground, services: list[dict[str, Any]], owner: int | None) -> tuple[subprocess.Popen[bytes], int]:
    """Start a supervisor and all services; return it and the lifeline to release."""
    plan = ground.at("/run/plan.json")
    plan.write_text(json.dumps({"control": str(ground.control), "owner": owner, "services": services}, indent=1))
    reading, writing = os.pipe()
    script = Path(__file__).with_name("supervisor.py")
    with ground.log("supervisor").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(script), str(plan), str(reading)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(reading,),
            start_new_session=True,
        )
    os.close(reading)
    deadline = time.monotonic() + START_TIMEOUT_S
    while not alive(ground.control):
        if process.poll() is not None or time.monotonic() > deadline:
            os.close(writing)
            raise SandboxError("the supervisor did not start")
        time.sleep(0.01)
    return process, writing


def release(lifeline: int) -> None:
    """Let the sandbox live on after this process."""
    os.write(lifeline, b"1")
    os.close(lifeline)


def ask(control: Path, **request: Any) -> dict[str, Any]:
    """One command; raises ConnectionError or FileNotFoundError if nobody is there."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(REPLY_TIMEOUT_S)
        client.connect(str(control))
        client.sendall(json.dumps(request).encode() + b"\n")
        line = client.makefile("rb").readline()
    if not line:
        raise ConnectionError("the supervisor went away")
    reply: dict[str, Any] = json.loads(line)
    if not reply["ok"]:
        raise SandboxError(f"the supervisor refused: {reply['error']}")
    return reply


def alive(control: Path) -> bool:
    try:
        ask(control, command="status")
    except OSError:
        return False
    return True


def identities(pids: list[int]) -> dict[str, int]:
    """Each living pid with its start time in clock ticks (0: there is no /proc to ask)."""
    return {str(pid): start for pid in pids if (start := start_time(pid)) is not None}


def start_time(pid: int) -> int | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    try:
        # proc(5): fields from the third on; the second may hold blanks, in parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return None if fields[0] == "Z" else int(fields[19])


def end(control: Path, known: dict[str, int]) -> None:
    """Stop everything; with the supervisor dead, the sessions of the pids it left."""
    with contextlib.suppress(OSError):
        ask(control, command="down")
    for pid, started in known.items():
        if start_time(int(pid)) == started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(pid), signal.SIGKILL)
    deadline = time.monotonic() + START_TIMEOUT_S
    while any(started and start_time(int(pid)) == started for pid, started in known.items()):
        if time.monotonic() > deadline:
            raise SandboxError(f"these processes did not end: {', '.join(known)}")
        time.sleep(0.01)
