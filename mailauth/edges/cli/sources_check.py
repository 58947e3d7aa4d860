"""What `config check` finds out about the password sources: it makes each, and asks it about somebody unknown.

The question costs nothing at the source but a look-up. Nothing is checked, counted or changed.
"""

import asyncio
import math
import time
from collections.abc import Iterator
from typing import NamedTuple

from mailauth.core.password_chain import Unanswered
from mailauth.core.source_entry import Asked
from mailauth.effects import sources
from mailauth.effects.configuration.schema import Configuration
from mailauth.effects.configuration.source_sections import OwnSection, PamSection, SourceSection
from mailauth.effects.passwords import HashPool, PasswordHasher
from mailauth.vocabulary.errors import InvalidValue, Mistake
from mailauth.vocabulary.model import AccountName

_LOCAL_PART = "mailauth-asks-whether-you-are-there"
_STEP_MS = 50
_MOST_MS = 500
_SLOW_HASH_MS = 250
"""What a hash of a costly kind takes where the machine is busy."""


class Findings(NamedTuple):
    """What can't work, and what is strange though no mistake."""

    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]


def of(configuration: Configuration) -> Findings:
    """Look at each source."""
    mistakes, warnings, slowest_s = [], [], 0.0
    hasher, pool = PasswordHasher(1, 64, 1), HashPool(1)
    parts = sources.Parts(
        hasher, pool, configuration.accounts.default_domain, configuration.pam_users(), lambda _name: ()
    )
    try:
        for place, section in enumerate(configuration.sources, 1):
            where = f"sources[{place}]"
            try:
                source = sources.make(section, parts)
            except InvalidValue as error:
                mistakes.append(Mistake(where, str(error)))
                continue
            try:
                began = time.monotonic()
                found = asyncio.run(source.find(Asked(_somebody(section, configuration)), None))
                slowest_s = max(slowest_s, time.monotonic() - began)
                if isinstance(found, Unanswered):
                    warnings.append(Mistake(where, f"{found.error}; logins are told to try again later"))
            finally:
                source.close()
    finally:
        pool.close()
    warnings += _older_form(configuration)
    warnings += _floor(configuration, slowest_s)
    return Findings(tuple(mistakes), tuple(warnings))


def _somebody(section: SourceSection, configuration: Configuration) -> AccountName:
    named = (each for each in section.domains if not each.startswith("*"))
    return AccountName(f"{_LOCAL_PART}@{next(named, configuration.accounts.default_domain)}")


def _older_form(configuration: Configuration) -> Iterator[Mistake]:
    if configuration.sources or configuration.password.source == "own":
        return
    for section in configuration.pam_sources():
        domains = ", ".join(f'"{each}"' for each in section.local_part_domains)
        yield Mistake(
            "password.source",
            f'is the older form of: [[sources]] with kind = "pam", service = "{section.service}", '
            f'local_part_domains = [{domains}], accounts = "sync"',
        )


def _floor(configuration: Configuration, slowest_s: float) -> Iterator[Mistake]:
    """Warn where the time of a refusal tells whose password is checked elsewhere, and propose what hides it."""
    others = [each for each in configuration.sources if not isinstance(each, OwnSection | PamSection)]
    if not others or configuration.server.refusal_floor_ms > 0:
        return
    needed_ms = 2 * slowest_s * 1000 + _SLOW_HASH_MS
    proposed_ms = min(_MOST_MS, math.ceil(needed_ms / _STEP_MS) * _STEP_MS)
    yield Mistake(
        "server.refusal_floor_ms",
        "is 0, and passwords are checked by another system: the time of a refusal tells a guesser who has an account. "
        f"By what it took just now, {proposed_ms} hides that",
    )
