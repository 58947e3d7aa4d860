"""Defaults that are another provider's: what users would be shown of it, and mails that would come from it."""

from collections.abc import Iterator

from mailauth.effects.configuration.schema import Accounts, Configuration
from mailauth.vocabulary.errors import Mistake

DEFAULT_DOMAIN: str = Accounts.model_fields["default_domain"].default
_PLACES = {"provider.name"}
"""Defaults that name the provider without its domain."""


def warnings(configuration: Configuration) -> tuple[Mistake, ...]:
    """Return each setting that is still the default of the default domain, where the domain is another."""
    domain = configuration.accounts.default_domain
    if domain == DEFAULT_DOMAIN or domain.endswith(f".{DEFAULT_DOMAIN}"):
        return ()
    problem = "is still {!a}, while accounts.default_domain is {}"
    return tuple(Mistake(place, problem.format(value, domain)) for place, value in _defaults_in_force(configuration))


def _defaults_in_force(configuration: Configuration) -> Iterator[tuple[str, str]]:
    for name in Configuration.model_fields:
        section = getattr(configuration, name)
        for key, field in type(section).model_fields.items():
            place, value, default = f"{name}.{key}", getattr(section, key), field.default
            is_theirs = isinstance(default, str) and (DEFAULT_DOMAIN in default or place in _PLACES)
            if is_theirs and value == default:
                yield place, value
