"""Speaking to users in a language: catalogs, choosing one, dates and times as people say them.

The catalogs are gettext's (`mailauth/locale/*/LC_MESSAGES/mailauth.po`); English sentences are the keys. They are
compiled in memory when a language is first used, once a process: there is no `.mo` file that could be stale.
Reads those files, and nothing else.
"""

import gettext
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

from mailauth.vocabulary.languages import LANGUAGES, SOURCE, Language

DOMAIN = "mailauth"
LOCALE = Path(__file__).parents[1] / "locale"

_MAX_HEADER = 400
"""Characters of Accept-Language that are looked at; browsers send fewer than 100."""


class Languages:
    """Translations, and what else differs from language to language. `default` is the provider's own."""

    def __init__(self, default: str = SOURCE) -> None:
        self.default = default

    def load(self) -> None:
        """Compile all catalogs now, so that nobody waits for it later; a second time it costs nothing."""
        for language in LANGUAGES:
            _catalog(language)

    def translations(self, language: str | None) -> gettext.NullTranslations:
        """Return the catalog of a language; of the provider's own for None or one that is not spoken here."""
        return _catalog(language if language in LANGUAGES else self.default)

    def negotiate(self, accept_language: str | None, *chosen: str | None) -> str:
        """Return the language to speak: the first that somebody chose, else what the browser asks for, else ours.

        `accept_language` is the header (RFC 9110 s12.5.4), from anybody: what is malformed in it is passed over.
        """
        for language in chosen:
            if language is not None and language in LANGUAGES:
                return language
        best, best_weight = self.default, 0.0
        for item in (accept_language or "")[:_MAX_HEADER].split(","):
            tag, _, parameter = item.partition(";")
            language = tag.strip().partition("-")[0].lower()
            weight = _weight(parameter)
            if weight > best_weight and (language in LANGUAGES or language == "*"):
                best, best_weight = (self.default if language == "*" else language), weight
        return best

    def format_date(self, moment: datetime, language: str | None, zone: tzinfo = UTC) -> str:
        """Return a date as people say it, `5 May 2025`, as it is in a zone at that moment."""
        from babel.dates import format_date

        local = moment.astimezone(zone)
        spoken = self._spoken(language)
        words = format_date(local.date(), "long", locale=spoken.locale)
        return spoken.first_day + words.removeprefix("1") if local.day == 1 else words

    def format_moment(
        self, moment: datetime, language: str | None, zone: tzinfo = UTC, *, with_utc: bool = True
    ) -> str:
        """Return date and time in a zone, and in UTC: `6 May 2025, 14:32 (Brussels time; 12:32 UTC)`.

        Without UTC it is `6 May 2025, 14:32 (Brussels time)`; a zone that has no name is still told by UTC.
        """
        local, utc = moment.astimezone(zone), moment.astimezone(UTC)
        date = self.format_date(moment, language, zone)
        _ = self.translations(language).gettext
        if local.utcoffset() == utc.utcoffset() and not _has_name(zone):
            return _("%(date)s, %(time)s UTC") % {"date": date, "time": f"{utc:%H:%M}"}
        in_utc = f"{utc:%H:%M}"
        if utc.date() != local.date():
            in_utc = f"{self.format_date(moment, language)}, {in_utc}"
        words = {"date": date, "time": f"{local:%H:%M}", "utc": in_utc}
        if not _has_name(zone):
            return _("%(date)s, %(time)s (%(utc)s UTC)") % words
        words["city"] = self._city(zone, language)
        if not with_utc:
            return _("%(date)s, %(time)s (%(city)s time)") % words
        return _("%(date)s, %(time)s (%(city)s time; %(utc)s UTC)") % words

    def format_hour(self, moment: datetime, language: str | None, zone: tzinfo = UTC) -> str:
        """Return the time of day in a zone, with the zone: `00:00, Brussels time`; for the small print of a date."""
        local = moment.astimezone(zone)
        if not _has_name(zone):
            return f"{local:%H:%M} {local.tzname()}"
        words = {"time": f"{local:%H:%M}", "city": self._city(zone, language)}
        return self.translations(language).gettext("%(time)s, %(city)s time") % words

    def _city(self, zone: tzinfo, language: str | None) -> str:
        from babel.dates import get_timezone_location

        return str(get_timezone_location(zone, locale=self._spoken(language).locale, return_city=True))

    def _spoken(self, language: str | None) -> Language:
        return LANGUAGES[language if language is not None and language in LANGUAGES else self.default]


@lru_cache(maxsize=len(LANGUAGES))
def _catalog(language: str) -> gettext.NullTranslations:
    if language == SOURCE:
        return gettext.NullTranslations()
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    with (LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as file:
        catalog = read_po(file, locale=language, domain=DOMAIN)
    compiled = BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if name.strip().lower() == "q" and 0 <= weight <= 1 else 0.0


def _has_name(zone: tzinfo) -> bool:
    return isinstance(zone, ZoneInfo) and zone.key.count("/") > 0 and not zone.key.startswith("Etc/")
