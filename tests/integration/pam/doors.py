"""A PAM stack on a site's real server, and people who may log in through it.

Holds no tests. People enrol five minutes ago, so that the codes of every step around now are unspent.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ParamSpec

from mailauth import wiring
from mailauth.core import otp
from mailauth.effects.configuration import loading
from mailauth.vocabulary.secret import Secret
from pam_module.harness.pam_stack import Outcome, PamStack
from tests.integration.serving import Site
from tests.world import FakeClock, Person, enrol

P = ParamSpec("P")

PASSWORD = "correct horse"
AS_MAIL_SERVERS_DO = ("-s", "-r", "192.0.2.7")


class Door:
    """Services: `whole` decides alone, `behind` has a password module behind; more below.

    `seen` is the file with what the password module found in PAM_AUTHTOK last.
    """

    def __init__(self, site: Site, build: Path) -> None:
        self.site = site
        self.stack = PamStack(build, site.directory)
        self.seen = site.directory / "authtok"
        past = FakeClock(datetime.now(UTC) - timedelta(minutes=5))
        self._past = wiring.build(loading.load(site.config), past)
        self._people = 0
        check = site.directory / "check"
        check.write_text(f"#!/bin/sh\ncat > {self.seen}\n[ \"$(tr -d '\\0' < {self.seen})\" = '{PASSWORD}' ]\n")
        check.chmod(0o755)
        second = "auth required MODULE service=imap second_factor_only"
        password = (  # a failing program is PAM_SYSTEM_ERR to pam_exec, not a wrong password
            f"auth [success=1 default=ignore] pam_exec.so expose_authtok quiet {check}",
            "auth requisite pam_deny.so",
            "auth required pam_permit.so",
        )
        account = "account required pam_permit.so"
        reads_first = "auth optional pam_unix.so nodelay"
        service = self.stack.service
        service("whole", "auth required MODULE service=imap", "account required MODULE")
        service("behind", f"{second} forward_pass", *password, account)
        service("use", reads_first, "auth required MODULE service=imap use_first_pass", account)
        service("try", reads_first, "auth required MODULE service=imap try_first_pass", account)
        service("use behind", reads_first, f"{second} forward_pass use_first_pass", *password, account)
        service("code", second, account)

    def close(self) -> None:
        """Close the database; the site stays."""
        self._past.close()

    def person(self, *, enrolled: bool = True) -> Person:
        """Add somebody new."""
        self._people += 1
        name = f"guest{self._people}@mailitwize.be"
        if enrolled:
            return enrol(self._past, name, PASSWORD)
        return Person(self._past.accounts.add(name, Secret(PASSWORD.encode())), PASSWORD)

    def recovery_codes(self, person: Person) -> list[str]:
        """Issue a set."""
        return list(self._past.recovery_codes.issue(person.name)[1])

    def outcome(self, person: Person, secret: str, service: str, *options: str) -> Outcome:
        """Log in as a mail server does, and return all that came of it."""
        return self.stack.auth(secret, person.name, service, options=(*AS_MAIL_SERVERS_DO, *options))

    def login(self, person: Person, secret: str, service: str = "behind", *options: str) -> str:
        """Log in as a mail server does, and return what came of it."""
        return self.outcome(person, secret, service, *options).authenticate


def in_one_step(case: Callable[P, None]) -> Callable[P, None]:
    """Run a case again if it failed while the clock went on to the next step."""

    @functools.wraps(case)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        began = int(time.time()) // otp.STEP_S
        try:
            case(*args, **kwargs)
        except AssertionError:
            if int(time.time()) // otp.STEP_S == began:
                raise
            case(*args, **kwargs)

    return run
