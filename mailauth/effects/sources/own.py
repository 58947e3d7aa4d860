"""Mailauth's own table of passwords.

One hash is computed for each form of a password (RFC 8265), for unknown accounts too. As many are computed as for the
reading of the presented string that has most forms. So neither the answer nor its time tells whether there is an
account, or whether it is enrolled.
"""

from collections.abc import Sequence

from mailauth.core.opaque import forms
from mailauth.core.password_chain import Answer, Right, Unanswered, UnknownUser, Wrong
from mailauth.effects.passwords import HashPool, PasswordHasher
from mailauth.effects.sources import Parts
from mailauth.vocabulary.errors import HashUnreadable, Overloaded
from mailauth.vocabulary.model import Account, AccountName


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
            is_right = await self.pool.run(lambda: self._matches(stored, password, readings))
        except (HashUnreadable, Overloaded) as error:
            return Unanswered(self.name, error)
        if stored is None:
            return UnknownUser(self.name)
        return Right(self.name) if is_right else Wrong(self.name)

    def _matches(self, stored: str | None, password: bytes, readings: Sequence[bytes]) -> bool:
        compared = forms(password)
        due = max((len(forms(reading)) for reading in readings), default=0)
        compared += (password,) * (due - len(compared))
        found = [self.hasher.verify(stored, form) for form in compared]  # each, whichever is right
        return any(found)

    def close(self) -> None:
        """Let running checks end."""
        self.pool.close()


def make(parts: Parts) -> OwnTable:
    """Return the table, with a pool of as many threads as there are cores."""
    return OwnTable(parts.hasher, HashPool())
