"""Accounts of another IMAP server: a password is right if that server lets it log in, and logs out again.

It has no look-up and no list. Passwords go there over TLS that is verified, but for this very machine. By imaplib, in
threads: what has to be said is one command (AUTHENTICATE PLAIN, RFC 9051 s6.2.2, which takes bytes of any kind).
"""

import imaplib
import re
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from mailauth.core.password_chain import Answer, Disabled, Expired, NotLookedUp, Right, Wrong
from mailauth.core.source_entry import Asked, SourceEntry
from mailauth.effects.sources import Parts
from mailauth.effects.sources.guarding import SourceGuard
from mailauth.vocabulary.errors import SourceUnavailable
from mailauth.vocabulary.model import Account

if TYPE_CHECKING:
    from mailauth.effects.configuration.source_sections import ImapSection

THREADS: Final = 8
_CODE: Final = re.compile(rb"\s*\[([A-Z-]+)")
_MEANS: Final[dict[bytes, type[Wrong | Disabled | Expired] | None]] = {
    b"AUTHENTICATIONFAILED": Wrong,
    b"AUTHORIZATIONFAILED": Disabled,
    b"EXPIRED": Expired,
    b"UNAVAILABLE": None,
    b"PRIVACYREQUIRED": None,
    b"CONTACTADMIN": None,
    b"SERVERBUG": None,
    b"LIMIT": None,
    b"INUSE": None,
}
"""What a NO means by its response code (RFC 5530 s3): None is no answer; without one it is a wrong password."""


class Imap:
    """Asks an IMAP server."""

    is_by_service = False

    def __init__(self, section: "ImapSection") -> None:
        self.name = section.name
        self._section = section
        self._guard = SourceGuard(section.name, THREADS, section.timeout_s)

    @property
    def described(self) -> str:
        """Name the server."""
        return f"the IMAP server {self._section.host} port {self._section.port}"

    async def find(self, asked: Asked, account: Account | None) -> NotLookedUp:
        """An IMAP server tells nobody who exists."""
        return NotLookedUp(self.name)

    async def check(
        self,
        asked: Asked,
        account: Account | None,
        entry: SourceEntry | None,
        password: bytes,
        readings: Sequence[bytes] = (),
    ) -> Answer:
        """Log in there."""
        name = asked.local_part if self._section.local_part else str(asked.name)
        return await self._guard.ask(lambda: self._log_in(name, password))

    def close(self) -> None:
        """Let running questions end."""
        self._guard.close()

    def _log_in(self, name: str, password: bytes) -> Right | Wrong | Disabled | Expired:
        if not password or b"\0" in password:
            return Wrong(self.name)
        try:
            connection = self._connected()
            try:
                connection.authenticate("PLAIN", lambda _greeting: b"\0" + name.encode() + b"\0" + password)
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error as error:
                return self._meant(error)
            finally:
                connection.shutdown()
        except (imaplib.IMAP4.error, OSError, EOFError, ValueError) as error:
            words = " ".join(str(error).split())[:200] or type(error).__name__
            raise SourceUnavailable(f"{self.name} gave no answer: {words}") from error
        return Right(self.name)

    def _connected(self) -> imaplib.IMAP4:
        host, port, timeout_s = self._section.host, self._section.port, self._section.timeout_s
        if self._section.tls == "none":
            return imaplib.IMAP4(host, port, timeout_s)
        context = ssl.create_default_context(cafile=self._section.ca_file or None)
        if self._section.tls == "tls":
            return imaplib.IMAP4_SSL(host, port, ssl_context=context, timeout=timeout_s)
        connection = imaplib.IMAP4(host, port, timeout_s)
        try:
            connection.starttls(context)
        except BaseException:
            connection.shutdown()
            raise
        return connection

    def _meant(self, error: imaplib.IMAP4.error) -> Wrong | Disabled | Expired:
        """Return what a refusal says. Raises SourceUnavailable where it says nothing of the password."""
        said = error.args[0] if error.args else b""
        text = said if isinstance(said, bytes) else str(said).encode("utf-8", "replace")
        code = _CODE.match(text)
        kind = _MEANS.get(code[1], Wrong) if code else Wrong
        if kind is None:
            raise SourceUnavailable(f"{self.name} says {' '.join(text.decode('ascii', 'replace').split())[:200]}")
        return kind(self.name)


def make(section: "ImapSection", parts: Parts) -> Imap:
    """Return the source."""
    return Imap(section)
