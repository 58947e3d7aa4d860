"""Settings that are another provider's: what users would be shown of it, and mails that would come from it.

Files that were written while Mail-IT-Wize's values were the defaults say them, whoever runs the server; and examples
get copied.
"""

import re
from collections.abc import Iterator

from mailauth.effects.configuration.schema import Configuration
from mailauth.vocabulary.errors import Mistake

FORMER_DEFAULTS = {
    "provider.name": "Mail-IT-Wize",
    "provider.support": "support@mailitwize.be",
    "provider.url": "https://www.mailitwize.be/2fa",
    "accounts.default_domain": "mailitwize.be",
    "portal.url": "https://2fa.mailitwize.be",
    "portal.imap": "imap.mailitwize.be:993",
    "portal.smtp": "smtp.mailitwize.be:465",
    "mail.sender": "support@mailitwize.be",
}
_THEIR_DOMAIN = FORMER_DEFAULTS["accounts.default_domain"]
_EXAMPLE = re.compile(r"(^|[.@/])example(\.(org|com|net))?(?=$|[:/])")
"""Domains that are nobody's (RFC 2606), which is why documents use them."""


def warnings(configuration: Configuration) -> tuple[Mistake, ...]:
    """Return each setting that is still a former default while the default domain is another, or an example."""
    return tuple(_warnings(configuration))


def _warnings(configuration: Configuration) -> Iterator[Mistake]:
    domain = configuration.accounts.default_domain
    is_theirs = domain == _THEIR_DOMAIN or domain.endswith(f".{_THEIR_DOMAIN}")
    for place, theirs in FORMER_DEFAULTS.items():
        section, _, key = place.partition(".")
        value = getattr(getattr(configuration, section), key)
        if value == theirs and not is_theirs:
            yield Mistake(place, f"is still {value!a}, while accounts.default_domain is {domain}")
        elif _EXAMPLE.search(value):
            yield Mistake(place, f"is an example's, {value!a}, and nobody's domain; set your own")
