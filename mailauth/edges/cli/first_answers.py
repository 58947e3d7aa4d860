"""What a new configuration file needs from its administrator: asked for at a terminal, demanded elsewhere.

There is no default for what users are shown of the provider, or for the date: any would be somebody else's.
"""

import sys
from pathlib import Path

import click

from mailauth.effects.configuration import loading, reference
from mailauth.vocabulary.errors import InvalidConfiguration, Mistake

_QUESTIONS = {
    "provider.name": "Your name, as your users know you",
    "provider.support": "The e-mail address that they write to for help",
    "provider.url": "The web page that a refused login names",
    "cutover.date": "From when is a second factor required?",
    "mail.sender": "The address that mails to them come from",
}


def answers(settings: tuple[str, ...], path: Path) -> dict[str, str]:
    """Return the values of the required keys that no setting holds. Raises InvalidConfiguration with all of them."""
    given = {key.strip(): value.strip() for key, _, value in (setting.partition("=") for setting in settings)}
    wanted = {
        place: example
        for place, example in reference.required().items()
        if place not in given and place.partition(".")[0] not in given
    }
    if wanted and not sys.stdin.isatty():
        problem = "is missing; give your own as: --set '{}={}'"
        raise InvalidConfiguration(
            str(path), tuple(Mistake(place, problem.format(place, wanted[place])) for place in wanted)
        )
    answered = dict(given)
    for place, example in wanted.items():
        answered[place] = _asked(place, example, _suggestion(place, answered))
    return {place: answered[place] for place in wanted}


def _asked(place: str, example: str, suggestion: str | None) -> str:
    def checked(typed: str) -> str:
        problem = _problem(place, typed.strip())
        if problem:
            raise click.UsageError(problem)
        return typed.strip()

    question = f"{_QUESTIONS.get(place, place)} (such as {example})"
    return str(click.prompt(question, default=suggestion, value_proc=checked, err=True))


def _suggestion(place: str, answered: dict[str, str]) -> str | None:
    """Return what follows from the answers so far, to be taken by pressing Enter; None where nothing does."""
    support = answered.get("provider.support", "")
    domain = answered.get("accounts.default_domain") or support.rpartition("@")[2]
    if place == "mail.sender":
        return support or None
    if place == "provider.url" and domain:
        return f"{answered.get('portal.url') or f'https://2fa.{domain}'}/help"  # a page of the portal
    return None


def _problem(place: str, value: str) -> str | None:
    """Return what is wrong with a value, in a file that is right otherwise."""
    raw: dict[str, dict[str, str]] = {}
    for each, example in reference.required().items():
        section, _, key = each.partition(".")
        raw.setdefault(section, {})[key] = value if each == place else example
    try:
        loading.validate(raw, "answers")
    except InvalidConfiguration as error:
        return next((mistake.problem for mistake in error.mistakes if mistake.place == place), None)
    return None
