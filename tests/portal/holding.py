"""What a person holds beside the browser: a phone with an authenticator, a scanner, a mailbox that others read.

Holds no tests. Real programs all: zbarimg reads the QR code off the screen, oathtool makes the codes.
"""

from __future__ import annotations

import email
import email.policy
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tests.stack.people import until
from tests.stack.sandboxes import STEP_S, Sandbox

MARGIN_S = 4
"""A code whose step ends sooner than this may be late."""


def scan(picture: Path) -> str:
    """What a phone's camera reads from a picture of the screen."""
    done = subprocess.run(
        ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", str(picture)],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 1, f"{picture}: {done.stdout}{done.stderr}"
    return lines[0]


@dataclass
class Phone:
    """An authenticator app with one item in it."""

    uri: str
    last_step: int = -1

    @property
    def title(self) -> str:
        """What the app shows as the item's title."""
        return unquote(urlsplit(self.uri).path.removeprefix("/"))

    @property
    def secret(self) -> str:
        return parse_qs(urlsplit(self.uri).query)["secret"][0]

    def code(self) -> str:
        """A code that was not used yet and is taken for some seconds more; waits where there is none.

        The first of the window, so that two more are left at once.
        """
        until(lambda: self._step() <= time.time() // STEP_S + 1, "there is an unused code", STEP_S * 1.5)
        self.last_step = self._step()
        return self.at(self.last_step)

    def at(self, step: int) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(step * STEP_S))
        command = ["oathtool", "--totp", "--base32", "--now", moment, "-"]
        return subprocess.run(command, input=self.secret, capture_output=True, text=True, check=True).stdout.strip()

    def _step(self) -> int:
        now = time.time()
        oldest = int(now // STEP_S) - 1 + (now % STEP_S > STEP_S - MARGIN_S)
        return max(oldest, self.last_step + 1)

    def wrong_code(self) -> str:
        """A code of no step anywhere near."""
        now = int(time.time() // STEP_S)
        near = {self.at(now + offset) for offset in range(-11, 12)}
        return next(code for code in (f"{n:06d}" for n in range(137, 999)) if code not in near)


class Mailbox:
    """What has arrived at the sink for one address, oldest first."""

    def __init__(self, sandbox: Sandbox, address: str) -> None:
        self.sandbox = sandbox
        self.address = address

    def all(self) -> list[EmailMessage]:
        found = []
        for path in self.sandbox.messages():
            raw = path.read_bytes()
            if f"X-RcptTo: {self.address}\r\n".encode() in raw[:500]:
                found.append(email.message_from_bytes(raw, policy=email.policy.default))
        return found

    def wait(self, wanted: Callable[[EmailMessage], object], what: str) -> EmailMessage:
        """The first message that is as wanted."""
        until(lambda: any(wanted(each) for each in self.all()), f"a mail to {self.address}: {what}")
        return next(each for each in self.all() if wanted(each))

    def wait_for_text(self, pattern: str) -> EmailMessage:
        return self.wait(lambda mail: re.search(pattern, text_of(mail)), pattern)


def text_of(mail: EmailMessage) -> str:
    """A mail's plain text."""
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())
