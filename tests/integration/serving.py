"""A site for tests: one directory with configuration, key and database, and real server processes on it.

Holds no tests. The servers run under the real clock, so codes here are those of the moment.
"""

import base64
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mailauth import wiring
from mailauth.core import otp
from mailauth.effects.configuration import loading
from mailauth.vocabulary.secret import Secret
from tests.integration.talking import Talk
from tests.world import Person, enrol, install

PATIENCE_S = 60.0
"""How long a test waits for what should take milliseconds: two busy cores are slow."""
LAUNCHER = """
import os, sys
descriptor = int(sys.argv[1])
if descriptor != 3:
    os.dup2(descriptor, 3, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Hands a descriptor, its first argument, over to the command behind it as systemd would."""
_numbers = itertools.count(1)


def until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Poll until something is so; fail where it does not come to be."""
    ends_at = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > ends_at:
            raise AssertionError(f"did not happen within {patience_s} s: {what}")
        threading.Event().wait(0.005)


class Server:
    """A process that runs `mailauth serve`. Its log is read as it comes. No `parts`: all, two of which listen."""

    def __init__(
        self,
        config: Path,
        socket: Path,
        *,
        environment: Mapping[str, str] | None = None,
        launcher: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
        wait: bool = True,
        parts: Sequence[str] = ("auth",),
    ) -> None:
        self.socket = socket
        command = [*launcher, sys.executable, "-m", "mailauth", "--config", str(config), "serve", *parts]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            pass_fds=pass_fds,
        )
        self._lines: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if wait:
            self.wait_for("listening", times=1 if parts else 2)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """All that it has logged so far."""
        return b"".join(self._lines).decode("utf-8", "replace")

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until a text stands in the log."""

        def there() -> bool:
            if self.log.count(text) >= times:
                return True
            if not self.is_running:
                self._reader.join(PATIENCE_S)
                if self.log.count(text) < times:
                    raise AssertionError(f"the server ended ({self.process.returncode}) without {text!r}:\n{self.log}")
            return False

        until(there, f"{text!r} in the log:\n{self.log}")

    def stop(self) -> int:
        """End it as systemd does, and return its exit status."""
        if self.is_running:
            self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.ended()

    def ended(self) -> int:
        """Wait for its end and return its exit status."""
        assert self.process.stderr is not None
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self._reader.join(PATIENCE_S)
            self.process.stderr.close()
            raise AssertionError(f"the server did not end:\n{self.log}") from None
        self._reader.join(PATIENCE_S)
        self.process.stderr.close()
        return status

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.append(line)


class Site:
    """One directory with a whole installation, used by this process to add people, and its servers."""

    def __init__(self, directory: Path, *settings: str) -> None:
        self.directory = directory
        self.config = install(directory, "log.level=debug", *settings)
        self.installation = wiring.build(loading.load(self.config))
        self.database = directory / "mailauth.db"
        self.socket = directory / "auth.sock"
        self.servers: list[Server] = []

    def serve(self, *, config: Path | None = None, socket: Path | None = None, **options: object) -> Server:
        """Start a server and wait until it listens."""
        server = Server(config or self.config, socket or self.socket, **options)  # type: ignore[arg-type]
        self.servers.append(server)
        return server

    def second_configuration(self, *settings: str) -> tuple[Path, Path]:
        """Write the configuration of another node on the same database; return its path and its socket's."""
        socket = self.directory / f"auth{next(_numbers)}.sock"
        path = socket.with_suffix(".toml")
        ours = (f'server.socket=[{{path="{socket}"}}]', *settings)
        path.write_text(loading.with_settings(self.config.read_text(), ours, "test"))
        return path, socket

    def talk(self, server: Server | None = None) -> Talk:
        """Open a connection, with the handshake done."""
        return Talk(self.socket if server is None else server.socket).introduced()

    def person(self, *, enrolled: bool = True, password: str = "correct horse") -> Person:
        """Add somebody new. The codes of this step and the next are unspent."""
        name = f"person{next(_numbers)}@mailitwize.be"
        if enrolled:
            return enrol(self.installation, name, password)
        return Person(self.installation.accounts.add(name, Secret(password.encode())), password)

    def close(self) -> None:
        """End every server that still runs, and close the database."""
        for server in self.servers:
            server.process.kill()
            server.ended()
        self.installation.close()


def code_of(person: Person, steps: int = 0) -> str:
    """Return what a person's authenticator shows, under the real clock."""
    return person.code(datetime.now(UTC), steps)


def secret_of(person: Person, steps: int = 0) -> str:
    """Return password + code."""
    return person.password + code_of(person, steps)


def pending_seed(site: Site, name: str) -> bytes:
    """Begin another enrolment of an account and return its seed."""
    return base64.b32decode(site.installation.enrolment.begin(name).secret)


def fresh_step(seconds_left: float = 8.0) -> None:
    """Wait for the next step where this one is nearly over, for tests that compare steps with each other."""
    if otp.STEP_S - time.time() % otp.STEP_S < seconds_left:
        began = int(time.time()) // otp.STEP_S
        until(lambda: int(time.time()) // otp.STEP_S > began, "the next step", otp.STEP_S)
