"""How long after its receipt a refusal has to be told, so that its time says nothing: measured, for `config check`.

One stored hash of each kind is compared with a password that nobody has, and timed. Changes nothing, and names none.
"""

import math
import time
from collections.abc import Iterable
from typing import NamedTuple

from mailauth.effects import password_schemes
from mailauth.effects.configuration.schema import Configuration
from mailauth.effects.configuration.source_sections import OwnSection, PamSection
from mailauth.vocabulary.errors import HashUnreadable, Mistake

MAX_KINDS = 32
"""How many kinds of hashes are timed. A site has two or three."""
UNSEEN_CHECK_S = 0.25
"""What a password check is taken for that another system makes, whose hashes are not seen here."""
_STEP_MS = 50
_LEAST_MS, _MOST_MS = 100, 500
_MARGIN = 1.2
"""By how much a floor has to be above what was measured; what is proposed is twice that, for a busy machine."""


class Slowest(NamedTuple):
    """The slowest of something, for people, and how long it took in seconds."""

    what: str
    seconds: float


class Kinds:
    """One hash of each kind that is stored."""

    def __init__(self) -> None:
        self._samples: dict[str, tuple[str, str]] = {}

    def add(self, hashes: Iterable[str], default_scheme: str = "CRYPT") -> None:
        """Look at hashes. `default_scheme`: of those that do not say their own."""
        for stored in hashes:
            kind = password_schemes.kind(stored, default_scheme)
            if len(self._samples) < MAX_KINDS:
                self._samples.setdefault(kind, (stored, default_scheme))

    def merge(self, others: "Kinds") -> None:
        """Look at those of another place too."""
        self._samples = {**others._samples, **self._samples}

    def slowest(self) -> Slowest:
        """Check one of each, and return the one that took longest."""
        found = Slowest("no hash", 0.0)
        for kind, (stored, default_scheme) in self._samples.items():
            began = time.monotonic()
            try:
                password_schemes.matches(stored, b"nobody's password", "nobody", default_scheme)
            except HashUnreadable:
                continue
            took_s = time.monotonic() - began
            if took_s > found.seconds:
                found = Slowest(kind.strip(), took_s)
        return found


def warnings(configuration: Configuration, foreign_hashes: int, kinds: Kinds, look_up_s: float) -> tuple[Mistake, ...]:
    """Warn where the time of a refusal tells who has an account, and propose what hides it.

    `foreign_hashes`: how many accounts have a hash that is not ours; `look_up_s`: how long a source took to say that
    it does not know somebody.
    """
    others = [each for each in configuration.sources if not isinstance(each, OwnSection | PamSection)]
    if not others and not foreign_hashes:
        return ()
    slowest = kinds.slowest()
    if any(each.kind in ("ldap", "imap") for each in others):
        slowest = max(slowest, Slowest("a password checked elsewhere", UNSEEN_CHECK_S), key=lambda each: each.seconds)
    took_ms = 1000 * (look_up_s + slowest.seconds)
    floor_ms = configuration.server.refusal_floor_ms
    if floor_ms >= min(_MOST_MS, max(1.0, _MARGIN * took_ms)) and _MARGIN * took_ms <= _MOST_MS:
        return ()
    why = "passwords are checked by another system"
    if foreign_hashes:
        why = f"{foreign_hashes} accounts have another system's password hash until their next login"
    words = f"is {floor_ms}, and {why}: the time of a refusal tells a guesser who has an account. "
    proposed_ms = min(_MOST_MS, max(_LEAST_MS, math.ceil(2 * took_ms / _STEP_MS) * _STEP_MS))
    if _MARGIN * took_ms > _MOST_MS:
        words += (
            f"The slowest ({slowest.what}) took {took_ms:.0f} ms just now. That is more than can be hidden: "
            f"{_MOST_MS} is the most, and leaves the rest to be seen until those passwords have been used once"
        )
    else:
        words += f"By what the slowest ({slowest.what}) took just now, {took_ms:.0f} ms, {proposed_ms} hides that"
    return (Mistake("server.refusal_floor_ms", words),)
