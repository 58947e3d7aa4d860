"""One process that is the parent of all servers of a sandbox.

    supervisor.py PLAN LIFELINE_FD
    supervisor.py --watch FD          its watchdog

PLAN is a JSON file: `control` (socket path), `owner` (a pid or null) and `services`,
each with `name`, `argv`, `log`, `env` and `grace_s`. LIFELINE_FD is the reading end of
a pipe: whoever started us writes a byte when all is well; if it closes without
one, that start failed or was killed, and everything is stopped.

It knows nothing about mail. Each server runs in a session of its own, so that it can
be stopped with all its children. If `owner` goes away (a test run that was killed), the
sandbox goes too; if the supervisor itself is killed, its watchdog ends what it ran
(PR_SET_PDEATHSIG would not do: the kernel forgets it when Postfix changes its uid).

Commands, one JSON line each way on the control socket: `status`, `start NAME`, `stop
NAME [SIGNAL]`, `down`. Runs as root; the control socket is root's alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OWNER_POLL_S = 0.5
CONTROL_TIMEOUT_S = 5.0  # a command is one line, sent at once
WATCHDOG_GRACE_S = 2.0


class Watchdog:
    """A child that outlives us for as long as it takes to end what we ran."""

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", __file__, "--watch", str(reading)],
            pass_fds=(reading,),
            start_new_session=True,
        )
        os.close(reading)

    def tell(self, sign: str, pid: int) -> None:
        os.write(self.writing, f"{sign}{pid}\n".encode())

    def dismiss(self) -> None:
        os.close(self.writing)
        self.process.wait()


def watch(reading: int) -> None:
    """The watchdog's life: learn the sessions (+PID, -PID); at the end of the pipe end them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sessions: set[int] = set()
    with open(reading) as lines:
        for line in lines:
            (sessions.add if line[0] == "+" else sessions.discard)(int(line[1:]))
    for number, wait_s in ((signal.SIGTERM, WATCHDOG_GRACE_S), (signal.SIGKILL, 0)):
        deadline = time.monotonic() + wait_s
        for pid in sessions:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)
        while sessions and time.monotonic() < deadline:
            sessions = {pid for pid in sessions if session_lives(pid)}
            time.sleep(0.02)


def session_lives(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


@dataclass
class Service:
    name: str
    argv: list[str]
    log: str
    env: dict[str, str] = field(default_factory=dict)
    grace_s: float = 5.0
    process: subprocess.Popen[bytes] | None = None
    exit_code: int | None = None

    def start(self, watchdog: Watchdog) -> None:
        if self.alive():
            return
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.env,
                start_new_session=True,
            )
        watchdog.tell("+", self.process.pid)
        self.exit_code = None

    def alive(self) -> bool:
        if self.process is None:
            return False
        code = self.process.poll()
        if code is None:
            return True
        self.exit_code = code
        return False

    def signal(self, number: int) -> None:
        if self.process is not None and self.alive():
            self.process.send_signal(number)

    def finish(self, watchdog: Watchdog) -> None:
        """Wait for the end after a signal, then leave nothing of its session behind."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(self.grace_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.exit_code = self.process.wait()
        watchdog.tell("-", self.process.pid)
        self.process = None

    def status(self) -> dict[str, Any]:
        alive = self.alive()
        pid = self.process.pid if alive and self.process else None
        return {"running": alive, "pid": pid, "exit_code": self.exit_code}


class Supervisor:
    def __init__(self, plan: dict[str, Any], lifeline: int) -> None:
        self.services = {entry["name"]: Service(**entry) for entry in plan["services"]}
        self.owner: int | None = plan["owner"]
        self.lifeline: int | None = lifeline
        self.stopping = False
        self.control_path = Path(plan["control"])
        self.control_path.unlink(missing_ok=True)
        self.control = socket.socket(socket.AF_UNIX)
        self.control.bind(str(self.control_path))
        self.control_path.chmod(0o600)
        self.control.listen(8)
        self.watchdog = Watchdog()

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self.on_signal)
        signal.signal(signal.SIGINT, self.on_signal)
        waiting: socket.socket | None = None
        try:
            for service in self.services.values():
                service.start(self.watchdog)
            waiting = self.serve()
        finally:
            self.stop_all()
            self.watchdog.dismiss()
            self.control.close()
            self.control_path.unlink(missing_ok=True)
            if waiting is not None:
                answer(waiting, {"ok": True})

    def on_signal(self, _number: int, _frame: object) -> None:
        self.stopping = True

    def serve(self) -> socket.socket | None:
        """Take commands until it is time to stop; return who waits for that, if anyone."""
        selector = selectors.DefaultSelector()
        selector.register(self.control, selectors.EVENT_READ)
        if self.lifeline is not None:
            selector.register(self.lifeline, selectors.EVENT_READ)
        while not self.stopping and self.owner_lives():
            for key, _ in selector.select(OWNER_POLL_S):
                if key.fileobj is self.control:
                    client = self.command()
                    if client is not None:
                        return client
                elif self.lifeline is not None:
                    selector.unregister(self.lifeline)
                    released = os.read(self.lifeline, 1)
                    os.close(self.lifeline)
                    self.lifeline = None
                    if not released:
                        return None
            for service in self.services.values():
                service.alive()  # reaps
        return None

    def owner_lives(self) -> bool:
        if self.owner is None:
            return True
        try:
            os.kill(self.owner, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def command(self) -> socket.socket | None:
        """Read and do one command. `down` is answered when all is down: by the caller."""
        client, _ = self.control.accept()
        client.settimeout(CONTROL_TIMEOUT_S)
        try:
            request = json.loads(client.makefile("rb").readline())
            if request["command"] == "down":
                return client
            answer(client, self.obey(request))
        except (OSError, ValueError, KeyError) as error:
            answer(client, {"ok": False, "error": f"{type(error).__name__}: {error}"})
        return None

    def obey(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["command"] == "status":
            status = {name: service.status() for name, service in self.services.items()}
            return {"ok": True, "supervisor": os.getpid(), "services": status}
        service = self.services[request["service"]]
        if request["command"] == "start":
            service.start(self.watchdog)
        elif request["command"] == "stop":
            service.signal(signal.Signals[request.get("signal", "SIGTERM")])
            service.finish(self.watchdog)
        else:
            return {"ok": False, "error": f"unknown command {request['command']}"}
        return {"ok": True, "service": service.status()}

    def stop_all(self) -> None:
        for service in self.services.values():
            service.signal(signal.SIGTERM)
        deadline = time.monotonic() + max(s.grace_s for s in self.services.values())
        for service in self.services.values():
            service.grace_s = max(0.0, deadline - time.monotonic())
            service.finish(self.watchdog)


def answer(client: socket.socket, reply: dict[str, Any]) -> None:
    with contextlib.suppress(OSError), client:
        client.sendall(json.dumps(reply).encode() + b"\n")


def main() -> None:
    if sys.argv[1] == "--watch":
        watch(int(sys.argv[2]))
        return
    plan = json.loads(Path(sys.argv[1]).read_text())
    Supervisor(plan, int(sys.argv[2])).run()


if __name__ == "__main__":
    main()
