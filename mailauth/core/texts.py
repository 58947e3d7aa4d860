"""The one text that every refused login gets.

It is the same for unknown, disabled and not enrolled accounts, for wrong passwords and wrong codes: after the
cut-over, a different answer would tell a guesser that the password was right. What may change it is the
clock and the service, which everybody knows. It has to be useful all the same, so the link stands within the
first 80 characters, which is what small windows show.

The provider chooses one language for all: who asks is not known before a login is decided, and must not be told by
its refusal. Our own words are ASCII in each, with dates in digits, since neither an IMAP nor an SMTP client has to
read anything else here (RFC 3501 s9 `text`, RFC 5321 s4.2.1 `textstring`); a provider's become so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from mailauth.core.ascii_words import in_ascii
from mailauth.core.policy import Announced

AFTER = "Mail apps need an app password or password+code: {url} (two-factor authentication since {date})"
BEFORE = "Wrong password, or password+code needed: {url} (two-factor authentication from {date})"

OWN_WORDS: Mapping[str, tuple[str, str]] = {
    "en": (BEFORE, AFTER),
    "nl": (
        "Wachtwoord fout, of wachtwoord+code nodig: {url} (tweefactorauthenticatie vanaf {date})",
        "Mailapps: app-wachtwoord of wachtwoord+code nodig: {url} (tweefactorauthenticatie sinds {date})",
    ),
    "fr": (
        "Mot de passe faux, ou mot de passe+code requis: {url} (double authentification obligatoire le {date})",
        "Mot de passe d'application ou mot de passe+code: {url} (double authentification depuis le {date})",
    ),
    "de": (
        "Passwort falsch, oder Passwort+Code verlangt: {url} (Zwei-Faktor-Authentifizierung ab {date})",
        "Apps brauchen App-Passwort oder Passwort+Code: {url} (Zwei-Faktor-Authentifizierung seit {date})",
    ),
}
"""Before and after the cut-over, by language."""

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
    language: str = "en"

    def text(self, service: str, announced: Announced) -> str:
        """Return the text of a refusal, on one line, as this service shows it."""
        before, after = OWN_WORDS[self.language]
        if announced.has_passed:
            template = after if self.after == AFTER else self.after
        else:
            template = before if self.before == BEFORE else self.before
        filled = template.format(url=self.url, date=self._date(announced), provider=self.provider)
        words = in_ascii(filled, self.language)
        if self.imap_code and service in _BRACKETED_SERVICES:
            return f"[{self.imap_code}] {words}"
        return words

    def _date(self, announced: Announced) -> str:
        """Return the date as people write it, in the zone in which it was announced."""
        match self.language:
            case "en":
                return announced.spoken()
            case "de":
                return _in_digits(announced.moment, ".")
            case _:
                return _in_digits(announced.moment, "/")


def _in_digits(day: date, separator: str) -> str:
    return f"{day.day}{separator}{day.month:02}{separator}{day.year}"
