"""deploy/sandbox and the accounts in it, for tests: started, described, commanded.

Servers are started and stopped by the commands a sysadmin would use. Accounts are made in this process, by the same
wiring as the `mailauth` commands, which have tests of their own: each command costs a second of a processor.
No privileges of its own, but deploy/sandbox needs root.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import itertools
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mailauth import wiring
from mailauth.core import otp
from mailauth.effects.configuration import loading
from mailauth.usecases.enrolment import Confirmed
from mailauth.vocabulary.secret import Secret

REPOSITORY = Path(__file__).resolve().parents[2]
SANDBOX = REPOSITORY / "deploy" / "sandbox"
COMMAND_TIMEOUT_S = 120
STEP_S = 30  # RFC 6238 s4: the default time step X
# A code made less than this before its step ends may arrive in the next one.
STEP_MARGIN_S = 10

Address = tuple[str, int]


def doors() -> tuple[str, ...]:
    """How this machine's Dovecot can ask mailauth: 2.4 knows no checkpassword."""
    shown = subprocess.run(["/usr/sbin/dovecot", "--version"], capture_output=True, text=True, check=True)
    series = re.match(r"\d+\.\d+", shown.stdout)
    lua = Path("/usr/lib/dovecot/modules/auth/libauthdb_lua.so").exists()
    checkpassword = series is not None and series.group() == "2.3"
    return ("checkpassword",) * checkpassword + ("lua",) * lua


@dataclass(frozen=True)
class Sandbox:
    """Where everything of a running sandbox is: what `up` printed."""

    dir: Path
    config: Path
    mailauth: Path
    doveadm: Path
    auth_socket: Path
    postfix_auth_socket: Path
    dovecot_auth_socket: Path
    imap: Address
    pop3: Address
    submission: Address
    sieve: Address
    lmtp: Address
    postfix_submission: Address
    postfix_submissions: Address
    postfix_smtp: Address
    sink: Address
    portal: str
    imaps: Address | None
    pop3s: Address | None
    submissions: Address | None
    portal_https: Address | None
    portal_http: Address | None
    ca: Path
    tls: bool
    mail_out: Path
    dovecot: str
    postfix: str
    dovecot_conf: Path
    postfix_conf: Path
    logs: Path
    log_files: dict[str, Path]
    versions: dict[str, str]

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Sandbox:
        """Read `up`'s object; fields that are not named above are left out."""
        values = {}
        for each in fields(cls):
            value = facts[each.name]
            if each.type == "Path":
                value = Path(value)
            elif each.type in ("Address", "Address | None"):
                value = value and (value[0], value[1])
            elif each.name == "log_files":
                value = {name: Path(path) for name, path in value.items()}
            values[each.name] = value
        return cls(**values)

    def command(self, *words: str, stdin: str = "", ok: tuple[int, ...] = (0,)) -> str:
        """Run `mailauth WORDS` on this sandbox; return what it printed."""
        return run([str(self.mailauth), *words], stdin=stdin, ok=ok)

    @property
    def portal_port(self) -> int:
        return int(self.portal.rpartition(":")[2])

    def set(self, *settings: str) -> None:
        """Change mailauth's configuration; it is restarted and ready on return."""
        run([str(SANDBOX), "set", str(self.dir), *settings])

    def stop(self, service: str = "mailauth", *, kill: bool = False) -> None:
        run([str(SANDBOX), "stop", str(self.dir), service, "--signal", "SIGKILL" if kill else "SIGTERM"])

    def start(self, service: str = "mailauth") -> None:
        run([str(SANDBOX), "start", str(self.dir), service])

    def restart(self, service: str = "mailauth") -> None:
        run([str(SANDBOX), "restart", str(self.dir), service])

    def status(self) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(run([str(SANDBOX), "status", str(self.dir)], ok=(0, 1)))
        return reply

    def pid(self, service: str = "mailauth") -> int:
        return int(self.status()["services"][service]["pid"])

    def down(self) -> None:
        if "installation" in vars(self):
            vars(self).pop("installation").close()
        run([str(SANDBOX), "down", str(self.dir)])

    @functools.cached_property
    def installation(self) -> wiring.Installation:
        """The mailauth in this process that works on the sandbox's files."""
        return wiring.build(loading.load(self.config))

    def messages(self) -> list[Path]:
        """What has left, oldest first; not what the sink is still writing, under a name with a dot."""
        return sorted(self.mail_out.glob("[!.]*.eml"))

    def wait_for_message(self, needle: str, timeout_s: float = 20) -> str:
        """The first message that contains the text."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for path in self.messages():
                text = path.read_text(errors="replace")
                if needle in text:
                    return text
            time.sleep(0.05)
        raise AssertionError(f"no message with {needle!r} left within {timeout_s} s")

    def save_message(self, account: str, text: str) -> None:
        """Put a message into an account's INBOX, as delivery would."""
        run([str(self.doveadm), "save", "-u", account], stdin=text)

    def logged(self) -> str:
        """All that the servers have logged so far."""
        texts = [path.read_text(errors="replace") for path in self.log_files.values() if path.exists()]
        return "\n".join(texts)

    def account(self, password: str = "correct horse", *, enrolled: bool = False) -> Account:
        """A new account; enrolled: with a confirmed authenticator."""
        name = f"user{next(_numbers)}@mailitwize.be"
        self.installation.accounts.add(name, Secret(password.encode()))
        account = Account(self, name, password)
        if enrolled:
            account.enrol()
        return account


_numbers = itertools.count(1)


@dataclass
class Account:
    """An account and what its owner holds."""

    sandbox: Sandbox
    name: str
    password: str
    secret: str = ""
    last_step: int = -1
    used: list[str] = field(default_factory=list)

    def enrol(self) -> None:
        """Bind an authenticator, with the oldest code the window takes: two more are left at once."""
        enrolment = self.sandbox.installation.enrolment
        self.secret = enrolment.begin(self.name).secret
        confirmed = enrolment.confirm(self.name, Secret(self.fresh_code().encode()))
        assert isinstance(confirmed, Confirmed), confirmed

    def fresh_code(self) -> str:
        """A code that was not used yet and is valid for some seconds; waits if there is none."""
        while True:
            now = time.time()
            step = int(now // STEP_S)
            if now % STEP_S > STEP_S - STEP_MARGIN_S:  # one about to leave the window is no use
                step += 1
            candidate = max(self.last_step + 1, step - 1)
            if candidate <= int(now // STEP_S) + 1:
                self.last_step = candidate
                self.used.append(self.code_of(candidate))
                return self.used[-1]
            time.sleep(0.2)

    def code_of(self, step: int) -> str:
        return otp.code_at(base64.b32decode(self.secret), step)

    def wrong_code(self) -> str:
        """A code that no step anywhere near has."""
        now = int(time.time() // STEP_S)
        near = {self.code_of(now + offset) for offset in range(-3, 4)}
        return next(code for code in (f"{n:06d}" for n in range(100)) if code not in near)

    def typed(self) -> str:
        """What the owner types into a mail client's password field: password + fresh code."""
        return self.password + self.fresh_code()

    def recovery_codes(self) -> list[str]:
        return list(self.sandbox.installation.recovery_codes.issue(self.name)[1])

    def app_password(self, *services: str, name: str = "laptop") -> str:
        return self.sandbox.installation.app_passwords.make(self.name, name, services).shown


def up(directory: Path, *options: str) -> Sandbox:
    """Start a sandbox that also ends with this process, however that ends."""
    words = [str(SANDBOX), "up", str(directory), "--owner", str(os.getpid()), *options]
    return Sandbox.from_json(json.loads(run(words)))


def run(words: list[str], *, stdin: str = "", ok: tuple[int, ...] = (0,)) -> str:
    """Run a command; its output, or an AssertionError that shows everything."""
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    assert done.returncode in ok, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def running(directory: Path, *options: str) -> Iterator[Sandbox]:
    """A sandbox for a with statement."""
    sandbox = up(directory, *options)
    try:
        yield sandbox
    finally:
        sandbox.down()
