"""Runs pam_mailauth.so in a private PAM service directory, by the program pam_driver.

Must not be used by anything but tests and measurements.  Privileges: none.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pam_module.harness.helper import SANITIZER_ENVIRONMENT


@dataclass(frozen=True)
class Outcome:
    """What an application saw; `seconds` for the whole process."""

    authenticate: str
    account: str
    setcred: str
    end: str
    user: str
    prompts: tuple[str, ...]
    calls: int
    figures: Mapping[str, int]
    errors: str
    seconds: float


@dataclass
class PamStack:
    """A service directory, and the build whose module and driver are used."""

    build: Path
    directory: Path

    @property
    def module(self) -> Path:
        """The module's absolute path, as a service file names it."""
        return self.build / "pam_mailauth.so"

    @property
    def socket(self) -> Path:
        """Where the module looks for the server."""
        return self.directory / "auth.sock"

    def service(self, name: str, *lines: str) -> None:
        """Writes a service file; MODULE stands for the module with its socket option."""
        services = self.directory / "pam.d"
        services.mkdir(exist_ok=True)
        text = "\n".join(lines).replace("MODULE", f"{self.module} socket={self.socket}")
        (services / name).write_text(text + "\n")

    def auth(
        self,
        secret: str,
        user: str = "anna@example.org",
        service: str = "imap",
        *,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
        limit_s: float = 60.0,
    ) -> Outcome:
        """Authenticates in a process of its own, which must end well; several secrets in as many lines."""
        command = [*wrapper, str(self.build / "pam_driver"), "auth", *options]
        started = time.monotonic()
        done = subprocess.run(
            [*command, str(self.directory / "pam.d"), service, user],
            input=secret.encode(),
            capture_output=True,
            check=False,
            timeout=limit_s,
            env={
                **SANITIZER_ENVIRONMENT,
                "ASAN_OPTIONS": "exitcode=99:detect_leaks=1",
                **(environment or {}),
            },
        )
        seconds = time.monotonic() - started
        output, errors = done.stdout.decode(), done.stderr.decode(errors="replace")
        assert done.returncode == 0, output + errors
        fields: dict[str, str] = {}
        prompts = []
        for line in output.splitlines():
            key, _, value = line.partition("=")
            if key == "prompt":
                prompts.append(value)
            else:
                fields[key] = value
        words = {"authenticate", "account", "setcred", "end", "user", "calls"}
        figures = {key: int(value) for key, value in fields.items() if key not in words}
        return Outcome(
            fields["authenticate"],
            fields["account"],
            fields["setcred"],
            fields["end"],
            fields["user"],
            tuple(prompts),
            int(fields["calls"]),
            figures,
            errors,
            seconds,
        )
