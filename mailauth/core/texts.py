"""The one text that every refused login gets.

It is the same for unknown, disabled and not enrolled accounts, for wrong passwords and wrong codes: after the
cut-over, a different answer would tell a guesser that the password was right. What may change it is the
clock and the service, which everybody knows. It has to be useful all the same, so the link stands within the
first 80 characters, which is what small windows show.

The provider chooses one language for all: who asks is not known before a login is decided, and must not be told by
its refusal. Our own words are ASCII in each, with dates in digits, since neither an IMAP nor an SMTP client has to
read anything else here (RFC 3501 s9 `text`, RFC 5321 s4.2.1 `textstring`); a provider's become so.
"""

from dataclasses import dataclass

from mailauth.core.ascii_words import in_ascii
from mailauth.core.policy import Announced
from mailauth.vocabulary.languages import LANGUAGES, SOURCE

BEFORE = LANGUAGES[SOURCE].refused_before
AFTER = LANGUAGES[SOURCE].refused_after
MAX_TEXT_BYTES = 400
"""An SMTP reply line has 512 octets at most (RFC 5321 s4.5.3.1.5), and servers put words before ours."""

_BRACKETED_SERVICES = frozenset({"imap"})
"""Only IMAP has response codes (RFC 5530, RFC 9051 s7.1); elsewhere the bracket would be shown as text."""


@dataclass(frozen=True, slots=True)
class RefusalTexts:
    """How refusals are worded: templates with `{url}`, `{date}` and `{provider}`, and IMAP's response code.

    A template that is our own English one is said in the language; a provider's own words stay as they are, but that
    their letters become ASCII.
    """

    provider: str
    url: str
    imap_code: str
    before: str = BEFORE
    after: str = AFTER
    language: str = SOURCE

    def text(self, service: str, announced: Announced) -> str:
        """Return the text of a refusal, on one line, as this service shows it."""
        ours = LANGUAGES[self.language]
        if announced.has_passed:
            template = ours.refused_after if self.after == AFTER else self.after
        else:
            template = ours.refused_before if self.before == BEFORE else self.before
        filled = template.format(url=self.url, date=self._date(announced), provider=self.provider)
        words = in_ascii(filled, ours)
        if self.imap_code and service in _BRACKETED_SERVICES:
            return f"[{self.imap_code}] {words}"
        return words

    def _date(self, announced: Announced) -> str:
        """Return the date as people write it, in the zone in which it was announced."""
        digits = LANGUAGES[self.language].digits
        return digits.format(day=announced.moment) if digits else announced.spoken()
