"""The languages in which mailauth speaks to users: the one list of them, and what each has beside its catalog.

A language is an entry here and a catalog in `mailauth/locale` (`make messages`). Has no words for pages and mails:
those are in the catalogs, and what is done with them in `effects/languages.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

SOURCE = "en"
"""The language that the code is written in; it has no catalog."""


@dataclass(frozen=True, slots=True)
class Language:
    """What a language has beside its catalog.

    `name`: as its speakers give it. `locale`: where they speak so, for the order of day and month. `refused_before`,
    `refused_after`: what a refused login is told before and after the cut-over, in ASCII, with `{url}` and `{date}`;
    the address ends within 80 characters. `digits`: how a date is written there, of a `{day}`; empty where its month
    is a word. `first_day`: how the first of a month is said in a long date. `letters`: what ASCII stands for a letter,
    where that is another than elsewhere.
    """

    name: str
    locale: str
    refused_before: str
    refused_after: str
    digits: str
    first_day: str = "1"
    letters: Mapping[str, str] = field(default_factory=dict)


LANGUAGES: Mapping[str, Language] = {
    "en": Language(
        name="English",
        locale="en_GB",
        refused_before="Wrong password, or password+code needed: {url} (two-factor authentication from {date})",
        refused_after=(
            "Mail apps need an app password or password+code: {url} (two-factor authentication since {date})"
        ),
        digits="",
    ),
    "nl": Language(
        name="Nederlands",
        locale="nl_BE",
        refused_before="Wachtwoord fout, of wachtwoord+code nodig: {url} (tweefactorauthenticatie vanaf {date})",
        refused_after=(
            "Mailapps: app-wachtwoord of wachtwoord+code nodig: {url} (tweefactorauthenticatie sinds {date})"
        ),
        digits="{day.day}/{day.month:02}/{day.year}",
    ),
    "fr": Language(
        name="Français",
        locale="fr_BE",
        refused_before=(
            "Mot de passe faux, ou mot de passe+code requis: {url} (double authentification obligatoire le {date})"
        ),
        refused_after=(
            "Mot de passe d'application ou mot de passe+code: {url} (double authentification depuis le {date})"
        ),
        digits="{day.day}/{day.month:02}/{day.year}",
        first_day="1er",
    ),
    "de": Language(
        name="Deutsch",
        locale="de_BE",
        refused_before="Passwort falsch, oder Passwort+Code verlangt: {url} (Zwei-Faktor-Authentifizierung ab {date})",
        refused_after=(
            "Apps brauchen App-Passwort oder Passwort+Code: {url} (Zwei-Faktor-Authentifizierung seit {date})"
        ),
        digits="{day.day}.{day.month:02}.{day.year}",
        letters={"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"},
    ),
}
"""By tag (RFC 5646), in the order in which they are offered."""
