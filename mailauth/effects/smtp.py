"""Handing mails to the next SMTP server, over one connection at a time.

TLS is verified, and is not done without where it was asked for: a server that offers no STARTTLS, or somebody in
between who has taken the offer away, gets no mail (requirement MAIL3). Says what became of a mail in three words:
accepted, refused for good, or later. Refused for good is only what is about the recipient (`core/smtp_replies.py`).
"""

import asyncio
import os
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiosmtplib

from mailauth.core import mail_address
from mailauth.core.smtp_replies import Reply, Stage, one_line
from mailauth.effects import helo, plain_files
from mailauth.vocabulary.errors import MailauthError

TIMEOUT_S = 30.0
"""For each step to the first mail; RFC 5321 s4.5.3.2 allows minutes, but a mail that is tried again is not lost."""
CONTENT_TIMEOUT_S = 600.0
"""For each step of a mail, the reply to its end foremost (s4.5.3.2.6): given up sooner, it is delivered twice."""
_HANGS_UP = 421
"""RFC 5321 s3.8: to any command, by a server that closes the connection."""
_UNREACHABLE, _BROKEN_OFF = "unreachable", "broken off"


class PasswordFileUnusable(MailauthError):
    """The file with the password for the SMTP server is missing, empty, or readable by others."""


class ServerAway(MailauthError):
    """No conversation with the SMTP server came about, or it broke off: nothing about any mail follows from that.

    `reason` is what such failures have in common whatever they say.
    """

    def __init__(self, error: str, reason: str = _UNREACHABLE) -> None:
        super().__init__(error)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server has taken responsibility for the mail."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The recipient will never get this mail, says the server."""

    error: str
    reason: str


@dataclass(frozen=True, slots=True)
class Later:
    """The server did not take the mail now. `reason`: what refusals alike have in common; empty where it is ours."""

    error: str
    reason: str = ""


Outcome = Accepted | Refused | Later


class SmtpConversation:
    """An open connection, over which one mail after the other goes."""

    def __init__(self, client: aiosmtplib.SMTP, sender: str, content_timeout_s: float) -> None:
        self._client = client
        self._sender = sender
        self._content_timeout_s = content_timeout_s

    async def hand_over(self, mail: bytes, recipient: str) -> Outcome:
        """Return what became of a mail. Raises ServerAway."""
        # Only an address can need it (RFC 6531 s3.2): headers are ASCII where the addresses are.
        options = [] if recipient.isascii() and self._sender.isascii() else ["SMTPUTF8"]
        try:
            await self._client.sendmail(
                self._sender, [recipient], mail, mail_options=options, timeout=self._content_timeout_s
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            refusal = error.recipients[0]
            return _not_taken(Reply(Stage.RECIPIENT, refusal.code, refusal.message))
        except aiosmtplib.SMTPSenderRefused as error:
            return _not_taken(Reply(Stage.SENDER, error.code, error.message))
        except aiosmtplib.SMTPDataError as error:
            return _not_taken(Reply(Stage.CONTENT, error.code, error.message))
        except aiosmtplib.SMTPNotSupported:
            return Later(f"{recipient} needs SMTPUTF8 (RFC 6531), which the SMTP server does not offer")
        except aiosmtplib.SMTPResponseException as error:
            reply = Reply(Stage.SESSION, error.code, error.message)
            raise ServerAway(str(reply), reply.kind) from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise ServerAway(_said(error), _BROKEN_OFF) from error
        return Accepted()

    async def forget(self) -> None:
        """Have the server forget a mail that was begun and not ended. Raises ServerAway."""
        try:
            await self._client.rset()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise ServerAway(_said(error), _BROKEN_OFF) from error


class SmtpServer:
    """The server that takes the mails of this installation.

    `helo_hints` are names of ours, the best first, for where none is set and the machine has none that others know.
    """

    def __init__(
        self,
        host: str,
        port: int,
        tls: Literal["none", "starttls", "tls"],
        sender: str,
        user: str = "",
        password_file: str = "",
        helo_name: str = "",
        helo_hints: tuple[str, ...] = (),
        timeout_s: float = TIMEOUT_S,
        content_timeout_s: float = CONTENT_TIMEOUT_S,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._host = mail_address.domain_in_ascii(host)
        self._port = port
        self._tls = tls
        self._sender = mail_address.in_ascii(sender)
        self._user = user
        self._password_file = password_file
        self._helo_name = helo_name
        self._helo_hints = helo_hints
        self._timeout_s = timeout_s
        self._content_timeout_s = content_timeout_s
        self._tls_context = tls_context

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self._host} port {self._port}"

    @asynccontextmanager
    async def conversation(self) -> AsyncIterator[SmtpConversation]:
        """Give an open connection. Raises ServerAway, PasswordFileUnusable."""
        if not self._helo_name:
            self._helo_name = await asyncio.to_thread(helo.own_name, self._helo_hints)
        password = read_password(Path(self._password_file)) if self._user else None
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            local_hostname=self._helo_name,
            timeout=self._timeout_s,
            use_tls=self._tls == "tls",
            start_tls=self._tls == "starttls",
            tls_context=None if self._tls == "none" else self._tls_context or ssl.create_default_context(),
            username=self._user or None,
            password=password,
        )
        try:
            await client.connect()
        except aiosmtplib.SMTPResponseException as error:
            client.close()
            reply = Reply(Stage.SESSION, error.code, error.message)
            raise ServerAway(f"{type(error).__name__}: {reply}", reply.kind) from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            client.close()
            raise ServerAway(_said(error)) from error
        try:
            yield SmtpConversation(client, self._sender, self._content_timeout_s)
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
        password = plain_files.text_of(path).removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise PasswordFileUnusable(f"cannot read {path}: {error}") from error
    if not password:
        raise PasswordFileUnusable(f"{path} is empty")
    return password


def _not_taken(reply: Reply) -> Refused | Later:
    """Return what a refusal of one mail means. Raises ServerAway where the server hangs up with it."""
    if reply.code == _HANGS_UP:
        raise ServerAway(str(reply), reply.kind)
    if reply.is_about_the_recipient:
        return Refused(str(reply), reply.kind)
    # What is temporary may well be said to everybody at first: greylisting.
    return Later(str(reply), reply.kind if reply.is_permanent else "")


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {one_line(str(error))}"
