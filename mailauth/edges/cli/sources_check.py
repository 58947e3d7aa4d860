"""What `config check` finds out about the password sources: it makes each, and asks it about somebody unknown.

The question costs nothing at the source but a look-up, and a listing where it can be listed. Nothing is checked,
counted or changed.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from mailauth.core.password_chain import Unanswered
from mailauth.core.source_entry import Asked
from mailauth.edges.cli.refusal_floor import Kinds
from mailauth.effects import sources
from mailauth.effects.configuration.schema import Configuration
from mailauth.effects.configuration.source_sections import SourceSection
from mailauth.effects.passwords import HashPool, PasswordHasher
from mailauth.effects.sources import ListedSource, PasswordSource
from mailauth.vocabulary.errors import InvalidValue, Mistake, SourceUnavailable
from mailauth.vocabulary.model import AccountName

_LOCAL_PART = "mailauth-asks-whether-you-are-there"
_MAX_LOOKED_AT = 100_000
"""Of how many of a source's users the kinds of hashes are looked at."""


class Findings(NamedTuple):
    """What can't work, and what is strange though no mistake.

    `kinds`: of the hashes that sources show; `look_up_s`: how long the slowest look-up took.
    """

    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]
    kinds: Kinds
    look_up_s: float


def of(configuration: Configuration) -> Findings:
    """Look at each source."""
    mistakes, warnings, kinds, slowest_s = [], [], Kinds(), 0.0
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
                else:
                    kinds.add(_hashes(source), getattr(section, "default_scheme", "CRYPT"))
            finally:
                source.close()
    finally:
        pool.close()
    warnings += _older_form(configuration)
    return Findings(tuple(mistakes), tuple(warnings), kinds, slowest_s)


def _hashes(source: PasswordSource) -> Iterator[str]:
    """Return what a source shows of its users' hashes, where it can be listed."""
    if not isinstance(source, ListedSource) or not source.is_listed:
        return
    with contextlib.suppress(SourceUnavailable):
        for entry in islice(source.entries(), _MAX_LOOKED_AT):
            if entry.stored_hash is not None:
                yield entry.stored_hash


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
