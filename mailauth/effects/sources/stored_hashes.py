"""Comparing a password with a hash that somebody has stored: one hash for each form of it, whoever it is.

One hash is computed for each form of a password (RFC 8265), for unknown accounts too. As many are computed as for the
reading of the presented string that has most forms. For whoever has no hash it is one of the kind that most others
have. So neither the answer nor its time tells whether there is an account, or whether it is enrolled.
"""

from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

from mailauth.core.opaque import forms
from mailauth.effects import password_schemes
from mailauth.effects.passwords import HashPool, PasswordHasher
from mailauth.vocabulary.model import AccountName

_LOOKED_BACK = 64
"""How many of the last hashes show of which kind most are."""


class Match(NamedTuple):
    """The password is right. `form`: as which bytes, of the forms that it has.

    `settles`: the hash lets in no longer one that begins alike, so that another hash may be made of it.
    """

    form: bytes
    settles: bool


class StoredHashes:
    """Compares, on the pool of hashes."""

    def __init__(self, hasher: PasswordHasher, pool: HashPool, default_scheme: str = "CRYPT") -> None:
        self.hasher = hasher
        self.pool = pool
        self._default_scheme = default_scheme
        self._recent: deque[str] = deque(maxlen=_LOOKED_BACK)

    async def compare(
        self, stored: str | None, password: bytes, readings: Sequence[bytes], name: AccountName, service: str
    ) -> Match | None:
        """Return that it is right, or None. `service`: that is logged in to. Raises HashUnreadable and Overloaded."""
        compared = forms(password)
        due = max((len(forms(reading)) for reading in readings), default=0)
        compared += (password,) * (due - len(compared))
        return await self.pool.lane(service).run(lambda: self._compare(stored, compared, name))

    def _compare(self, stored: str | None, compared: Sequence[bytes], name: AccountName) -> Match | None:
        verify, default = self.hasher.verify, self._default_scheme
        if stored is None or password_schemes.is_locked(stored, default):
            typical = self._typical()
            for form in compared:
                verify(typical, form, name, default)
            return None
        found = [form for form in compared if verify(stored, form, name, default)]  # each, whichever is right
        self._recent.append(stored)
        return Match(found[0], password_schemes.settles(stored, found[0], default)) if found else None

    def _typical(self) -> str | None:
        """Return a hash of the kind that most of the last had; None, for one of ours, while there was none."""
        recent = tuple(self._recent)
        if not recent:
            return None
        kinds = [password_schemes.kind(stored, self._default_scheme) for stored in recent]
        ((most, _),) = Counter(kinds).most_common(1)
        return recent[kinds.index(most)]
