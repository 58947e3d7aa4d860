"""Templates in, pages out: the one environment that all pages are drawn in, compiled once.

Every variable is escaped; the sentences of a page come from the visitor's catalog. Whatever all pages show (the
provider, the date of the cut-over, the languages) is put into each here.
"""

from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from mailauth.core.clock import Clock
from mailauth.core.policy import Policy
from mailauth.edges.portal import assets
from mailauth.edges.portal.assets import Assets
from mailauth.edges.portal.forms import TOKEN_FIELD
from mailauth.effects.configuration.schema import Configuration
from mailauth.effects.languages import Languages
from mailauth.vocabulary.languages import LANGUAGES

FOLDER = Path(__file__).parent / "templates"


class Pages:
    """Draws the pages of one installation."""

    def __init__(
        self, configuration: Configuration, policy: Policy, languages: Languages, files: Assets, clock: Clock
    ) -> None:
        self._policy = policy
        self._default_domain = configuration.accounts.default_domain
        self._clock = clock
        self._languages = languages
        self.zone = policy.zone
        """The provider's: the one that the date was announced in."""
        self._environment = _environment()
        self._environment.globals.update(
            provider=configuration.provider.name,
            support=configuration.provider.support,
            languages=LANGUAGES,
            has_logo="logo" in files,
            token_field=TOKEN_FIELD,
            moment=_moment_maker(languages, self.zone),
            day=_day_maker(languages, self.zone),
            hour=_hour_maker(languages, self.zone),
            date=_date_maker(languages, self.zone),
            picture=lambda language, step: assets.picture(files, language, step),
        )
        for name in self._environment.list_templates():
            self._environment.get_template(name)  # compiled now, not while the first visitor waits

    def show(self, template: str, domain: str | None, status: int, **facts: Any) -> HTMLResponse:
        """Return a page. `domain`: the visitor's, None where nobody has said who they are."""
        now = self._clock()
        announced = self._policy.announced(self._default_domain if domain is None else domain, now)
        words = self._environment.get_template(template).render(
            now=now, cutover=announced.moment, cutover_has_passed=announced.has_passed, **facts
        )
        return HTMLResponse(words, status_code=status)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    install: Callable[..., None] = environment.install_gettext_callables  # type: ignore[attr-defined]
    install(_gettext, _ngettext, newstyle=True)
    return environment


# One environment speaks all languages: the catalog is a variable of the page.


@pass_context
def _gettext(context: Context, message: str) -> str:
    return str(context["translations"].gettext(message))


@pass_context
def _ngettext(context: Context, singular: str, plural: str, count: int) -> str:
    return str(context["translations"].ngettext(singular, plural, count))


def _moment_maker(languages: Languages, zone: tzinfo) -> Callable[[Context, datetime], Markup]:
    @lru_cache(maxsize=1024)
    def spoken(moment: datetime, language: str) -> str:
        return languages.format_moment(moment, language, zone, with_utc=False)

    @pass_context
    def moment_(context: Context, moment: datetime) -> Markup:
        """Draw a moment in the provider's zone."""
        return _time(moment, zone, spoken(moment, context["language"]))

    return moment_


def _day_maker(languages: Languages, zone: tzinfo) -> Callable[[Context, datetime], Markup]:
    @pass_context
    def day_(context: Context, moment: datetime) -> Markup:
        """Draw the day of a moment, as it is in the provider's zone; the page's script adds the visitor's own."""
        return _time(moment, zone, languages.format_date(moment, context["language"], zone))

    return day_


def _hour_maker(languages: Languages, zone: tzinfo) -> Callable[[Context, datetime], str]:
    @pass_context
    def hour_(context: Context, moment: datetime) -> str:
        """Say at which hour of its day a moment is, and in which zone."""
        return languages.format_hour(moment, context["language"], zone)

    return hour_


def _date_maker(languages: Languages, zone: tzinfo) -> Callable[[Context, datetime], Markup]:
    @lru_cache(maxsize=1024)
    def spoken(moment: datetime, language: str) -> str:
        return languages.format_date(moment, language, zone)

    @pass_context
    def date_(context: Context, moment: datetime) -> Markup:
        """Draw the date of a moment."""
        local = moment.astimezone(zone)
        return Markup('<time datetime="{}">{}</time>').format(
            local.date().isoformat(), spoken(moment, context["language"])
        )

    return date_


def _time(moment: datetime, zone: tzinfo, words: str) -> Markup:
    local = moment.astimezone(zone)
    offset = local.utcoffset()
    minutes = 0 if offset is None else int(offset.total_seconds() // 60)
    return Markup('<time datetime="{}" data-offset="{}">{}</time>').format(
        local.isoformat(timespec="seconds"), minutes, escape(words)
    )
