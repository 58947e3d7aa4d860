"""Handing mails to the next SMTP server, over one connection at a time.

TLS is verified, and is not done without where it was asked for: a server that offers no STARTTLS, or somebody in
between who has taken the offer away, gets no mail (requirement MAIL3). Says what became of a mail in three words:
accepted, refused for good, or later.
"""

import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

import aiosmtplib

from mailauth.vocabulary.errors import MailauthError

TIMEOUT_S = 30.0
"""For each step of the conversation; RFC 5321 s4.5.3.2 allows minutes, but a mail that is tried again is not lost."""
_PERMANENT = range(500, 600)
"""RFC 5321 s4.2.1."""


class PasswordFileUnusable(MailauthError):
    """The file with the password for the SMTP server is missing, empty, or readable by others."""


class ServerAway(MailauthError):
    """No conversation with the SMTP server came about, or it broke off: nothing about any mail follows from that."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server has taken responsibility for the mail."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The server will never take this mail."""

    error: str


@dataclass(frozen=True, slots=True)
class Later:
    """The server did not take the mail now."""

    error: str


Outcome = Accepted | Refused | Later


class Conversation:
    """An open connection, over which one mail after the other goes."""

    def __init__(self, client: aiosmtplib.SMTP, sender: str) -> None:
        self._client = client
        self._sender = sender

    async def hand_over(self, mail: EmailMessage, recipient: str) -> Outcome:
        """Return what became of a mail. Raises ServerAway."""
        try:
            await self._client.send_message(mail, sender=self._sender, recipients=[recipient])
        except aiosmtplib.SMTPRecipientsRefused as error:
            refusal = error.recipients[0]
            return _not_taken(refusal.code, refusal.message)
        except (aiosmtplib.SMTPDataError, aiosmtplib.SMTPRecipientRefused) as error:
            return _not_taken(error.code, error.message)
        except aiosmtplib.SMTPNotSupported as error:
            return Later(_said(error))  # an address beyond ASCII, at a server without SMTPUTF8
        except aiosmtplib.SMTPSenderRefused as error:
            return Later(_words(error.code, error.message))  # ours is wrong, which is no fault of this mail
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise ServerAway(_said(error)) from error
        return Accepted()


class SmtpServer:
    """The server that takes the mails of this installation."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: Literal["none", "starttls", "tls"],
        sender: str,
        user: str = "",
        password_file: str = "",
        timeout_s: float = TIMEOUT_S,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._sender = sender
        self._user = user
        self._password_file = password_file
        self._timeout_s = timeout_s
        self._tls_context = tls_context

    @asynccontextmanager
    async def conversation(self) -> AsyncIterator[Conversation]:
        """Give an open connection. Raises ServerAway, PasswordFileUnusable."""
        password = read_password(Path(self._password_file)) if self._user else None
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            local_hostname=socket.gethostname(),
            timeout=self._timeout_s,
            use_tls=self._tls == "tls",
            start_tls=self._tls == "starttls",
            tls_context=None if self._tls == "none" else self._tls_context or ssl.create_default_context(),
            username=self._user or None,
            password=password,
        )
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            client.close()
            raise ServerAway(_said(error)) from error
        try:
            yield Conversation(client, self._sender)
        finally:
            try:
                await client.quit()
            except (aiosmtplib.SMTPException, OSError, TimeoutError):
                client.close()


def read_password(path: Path) -> str:
    """Return the password in a file that only its owner can read. Raises PasswordFileUnusable."""
    try:
        status = path.stat()
        if stat.S_IMODE(status.st_mode) & 0o077 or (os.geteuid() not in (0, status.st_uid) and status.st_uid != 0):
            raise PasswordFileUnusable(f"{path} can be read by others; run: chmod 0400 {path}")
        password = path.read_text().removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise PasswordFileUnusable(f"cannot read {path}: {error}") from error
    if not password:
        raise PasswordFileUnusable(f"{path} is empty")
    return password


def _not_taken(code: int, message: str) -> Refused | Later:
    words = _words(code, message)
    return Refused(words) if code in _PERMANENT else Later(words)


def _words(code: int, message: str) -> str:
    return f"{code} {' '.join(message.split())}"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
