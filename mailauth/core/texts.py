"""The one text that every refused login gets.

It is the same for unknown, disabled and not enrolled accounts, for wrong passwords and wrong codes: after the
cut-over, a different answer would tell a guesser that the password was right. What may change it is the
clock and the service, which everybody knows. It has to be useful all the same, so the link stands within the
first 80 characters, which is what small windows show.
"""

from dataclasses import dataclass
from datetime import datetime

from mailauth.core.policy import CutOver

AFTER = "Mail apps need an app password or password+code: {url} (two-factor authentication since {date})"
BEFORE = "Wrong password, or password+code needed: {url} (two-factor authentication from {date})"

MAX_TEXT_BYTES = 400
"""An SMTP reply line has 512 octets at most (RFC 5321 s4.5.3.1.5), and servers put words before ours."""

_BRACKETED_SERVICES = frozenset({"imap"})
"""Only IMAP has response codes (RFC 5530, RFC 9051 s7.1); elsewhere the bracket would be shown as text."""


@dataclass(frozen=True, slots=True)
class RefusalTexts:
    """How refusals are worded: templates with `{url}`, `{date}` and `{provider}`, and IMAP's response code."""

    provider: str
    url: str
    imap_code: str
    before: str = BEFORE
    after: str = AFTER

    def text(self, service: str, cutover: CutOver, now: datetime) -> str:
        """Return the text of a refusal, on one line, as this service shows it."""
        template = self.after if cutover.has_passed(now) else self.before
        words = template.format(url=self.url, date=cutover.spoken(), provider=self.provider)
        if self.imap_code and service in _BRACKETED_SERVICES:
            return f"[{self.imap_code}] {words}"
        return words
