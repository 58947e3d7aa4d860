"""How many accounts a directory may take away at once, before a person has to say that it is meant.

A query that lost its condition, a directory that was restored half, a mount that is empty: each lists people as gone
who are not, and would lock a company out. Values in, values out.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

FEW: Final = 10
"""So many are taken away without a question, be it more than a tenth."""
OVER: Final = timedelta(days=1)
"""What was taken away in the last 24 hours counts along: a tenth each five minutes is everybody in an hour."""
WHOLE_SOURCE: Final = ""
"""The place of a domain's name for all domains of a source together."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Of one domain of a source: how many accounts there are, are to be taken away, and were in the last 24 hours."""

    accounts: int
    wanted: int
    recently: int = 0


def held(tallies: Mapping[str, Tally], part: int, *, all_are_held: bool) -> frozenset[str]:
    """Return the domains whose accounts are not to be taken away; `WHOLE_SOURCE` among them means: none of any.

    More than one in `part` is too many, where it is more than a few; all of them too if `all_are_held`, be it one.
    """
    return frozenset(
        domain
        for domain, tally in {**tallies, WHOLE_SOURCE: _sum(tallies)}.items()
        if tally.wanted and _is_too_many(tally, part, all_are_held=all_are_held)
    )


def _is_too_many(tally: Tally, part: int, *, all_are_held: bool) -> bool:
    gone = tally.wanted + tally.recently
    if all_are_held and gone >= tally.accounts:
        return True
    return gone > FEW and gone * part > tally.accounts


def _sum(tallies: Mapping[str, Tally]) -> Tally:
    total: Counter[str] = Counter()
    for tally in tallies.values():
        total.update(accounts=tally.accounts, wanted=tally.wanted, recently=tally.recently)
    return Tally(total["accounts"], total["wanted"], total["recently"])
