"""Account owners on a sandbox, made in this process: hundreds of them in a moment.

`deploy/sandbox` and the `mailauth` commands have tests of their own; here accounts are made by the
same wiring as those commands, on the sandbox's own configuration, under the real clock. Every
secret that a test makes or presents is noted down, so that a test can look for it in logs.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailauth import wiring
from mailauth.core import otp
from mailauth.effects.configuration import loading
from mailauth.usecases.enrolment import Confirmed
from mailauth.vocabulary.secret import Secret
from tests.integration.talking import Closed, Talk
from tests.stack.sandboxes import Sandbox

if TYPE_CHECKING:
    from tests.stack.ways import Way

AFTER = (
    "Mail apps need an app password or password+code: https://www.mailitwize.be/2fa "
    "(two-factor authentication since 5 May 2025)"
)
"""What every refused login is told under the date that sandboxes have; written out, for people read it."""
PATIENCE_S = 60.0
_numbers = itertools.count(1)


def until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Poll until something is so; fail where it does not come to be."""
    ends_at = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < ends_at, f"did not happen within {patience_s} s: {what}"
        threading.Event().wait(0.02)


def step_now() -> int:
    return otp.step_at(datetime.now(UTC))


@dataclass
class Owner:
    """An account's owner: what they know and what they hold."""

    site: Site
    name: str
    password: str
    seed: bytes = b""
    _last_step: int = -1

    def code(self) -> str:
        """Return the code of this step, or, where that was taken already, the next step's: no third at once."""
        step = max(step_now(), self._last_step + 1)
        assert step <= step_now() + 1, "an authenticator shows no more codes than time has passed"
        self._last_step = step
        return self.site.noted(otp.code_at(self.seed, step))

    def wrong_code(self) -> str:
        """Return a code that no step anywhere near has."""
        now = step_now()
        near = {otp.code_at(self.seed, now + offset) for offset in range(-4, 5)} if self.seed else set()
        return next(code for code in (f"{n:06d}" for n in range(10, 1000)) if code not in near)

    def typed(self) -> str:
        """Return what the owner types into a mail client's one field: password and an unspent code."""
        return self.password + self.code()

    def recovery_codes(self) -> tuple[str, ...]:
        """Return a new set of recovery codes."""
        _, codes = self.site.installation.recovery_codes.issue(self.name)
        return tuple(self.site.noted(code) for code in codes)

    def app_password(self, *services: str) -> str:
        """Return a new app password."""
        made = self.site.installation.app_passwords.make(self.name, "laptop", services)
        return self.site.noted(made.shown)

    def revoke_app_passwords(self) -> None:
        self.site.installation.app_passwords.revoke(self.name, None)

    def disable(self) -> None:
        self.site.installation.accounts.set_disabled(self.name, disabled=True)

    def change_password(self, password: str) -> None:
        secret = Secret(self.site.noted(password).encode())
        self.site.installation.accounts.set_password(self.name, secret, revoke_app_passwords=False)
        self.password = password


@dataclass
class Site:
    """A sandbox, and the mailauth in this process that works on its files."""

    sandbox: Sandbox
    way: Way
    secrets: set[str] = field(default_factory=set)
    presented: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.installation = wiring.build(loading.load(self.sandbox.config))

    def close(self) -> None:
        self.installation.close()

    def noted(self, secret: str) -> str:
        """Remember a secret for the search in the logs."""
        self.secrets.add(secret)
        return secret

    def owner(self, password: str = "") -> Owner:
        """Return the owner of a new account without a second factor; with a password of their own by default."""
        return self.owner_named(f"owner{next(_numbers)}@mailitwize.be", password)

    def owner_named(self, name: str, password: str = "") -> Owner:
        """Do the same under a name of the test's choice."""
        password = self.noted(password or f"correct horse {secrets.token_hex(6)} staple")
        self.installation.accounts.add(name, Secret(password.encode()))
        return Owner(self, name, password)

    def enrolled(self, password: str = "", name: str = "") -> Owner:
        """Return the owner of a new account with an authenticator. The codes of this step and the next are unspent."""
        owner = self.owner_named(name, password) if name else self.owner(password)
        begun = self.installation.enrolment.begin(owner.name)
        owner.seed = base64.b32decode(begun.secret)
        self.noted(begun.secret)
        for _ in range(3):  # a step may end between the two
            code = otp.code_at(owner.seed, step_now() - 1)
            if isinstance(self.installation.enrolment.confirm(owner.name, Secret(code.encode())), Confirmed):
                return owner
        raise AssertionError("three right codes were refused")

    def pid(self, service: str = "mailauth") -> int:
        return int(self._ask(command="status")["services"][service]["pid"])

    def start(self) -> None:
        """Start mailauth again, and wait until it greets at both sockets. Quicker than `deploy/sandbox start`."""
        paths = (self.sandbox.auth_socket, self.sandbox.postfix_auth_socket)
        # Asked again and again: one that was killed a moment ago may not be gone yet.
        until(lambda: self._ask(command="start", service="mailauth") and all(map(_greets, paths)), "mailauth greets")

    def stop(self) -> None:
        """Stop mailauth, gracefully."""
        self._ask(command="stop", service="mailauth")

    def _ask(self, **request: str) -> dict[str, Any]:
        """Give the sandbox's supervisor one command."""
        control = json.loads((self.sandbox.dir / "sandbox.json").read_text())["control"]
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(control)
            client.sendall(json.dumps(request).encode() + b"\n")
            reply: dict[str, Any] = json.loads(client.makefile("rb").readline())
        assert reply["ok"], reply
        return reply

    def log_of(self, name: str) -> str:
        """Return what mailauth has logged of an account."""
        lines = self.sandbox.log_files["mailauth"].read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if f"account={name}" in line)

    def reasons(self, name: str, count: int) -> list[str]:
        """Return the reasons of an account's so many logins, oldest first; the log comes a little after the reply."""
        until(lambda: len(self._reasons(name)) >= count, f"{count} logins of {name} are logged")
        return self._reasons(name)

    def _reasons(self, name: str) -> list[str]:
        return re.findall(r"\breason=(\S+)", self.log_of(name))


def _greets(path: Path) -> bool:
    try:
        with Talk(path) as talk:
            return talk.greeting()[-1] == b"DONE"
    except (OSError, Closed):
        return False
