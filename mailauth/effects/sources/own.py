"""Mailauth's own table of passwords.

One hash is computed for each form of a password (RFC 8265), for unknown accounts too. As many are computed as for the
reading of the presented string that has most forms. So neither the answer nor its time tells whether there is an
account, or whether it is enrolled.
"""

from collections.abc import Sequence
from typing import NamedTuple

from mailauth.core.opaque import forms
from mailauth.core.password_chain import Answer, Right, Unanswered, UnknownUser, Wrong
from mailauth.effects.passwords import HashPool, PasswordHasher
from mailauth.effects.sources import Parts
from mailauth.vocabulary.errors import HashUnreadable, Overloaded
from mailauth.vocabulary.model import Account, AccountName


class _Matching(NamedTuple):
    """The password is right. `renewed_hash`: one of ours, where another system's was stored."""

    renewed_hash: str | None


class OwnTable:
    """Passwords whose hashes mailauth keeps."""

    name = "own"
    described = "mailauth's own table"

    def __init__(self, hasher: PasswordHasher, pool: HashPool) -> None:
        self.hasher = hasher
        self.pool = pool

    async def verify(
        self, name: AccountName, account: Account | None, password: bytes, readings: Sequence[bytes] = ()
    ) -> Answer:
        """Compare with the stored hash."""
        stored = None if account is None else account.password_hash
        try:
            right = await self.pool.run(lambda: self._matching(stored, password, readings, name))
        except (HashUnreadable, Overloaded) as error:
            return Unanswered(self.name, error)
        if stored is None:
            return UnknownUser(self.name)
        if right is None:
            return Wrong(self.name)
        return Right(self.name, renewed_hash=right.renewed_hash)

    def _matching(
        self, stored: str | None, password: bytes, readings: Sequence[bytes], name: AccountName
    ) -> "_Matching | None":
        compared = forms(password)
        due = max((len(forms(reading)) for reading in readings), default=0)
        compared += (password,) * (due - len(compared))
        found = [form for form in compared if self.hasher.verify(stored, form, name)]  # each, whichever is right
        if not found:
            return None
        is_ours = stored is None or self.hasher.is_ours(stored)
        return _Matching(None if is_ours else self.hasher.hash(found[0]))

    def close(self) -> None:
        """Let running checks end."""
        self.pool.close()


def make(parts: Parts) -> OwnTable:
    """Return the table, with a pool of as many threads as there are cores."""
    return OwnTable(parts.hasher, HashPool())
