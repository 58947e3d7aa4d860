"""Mailauth's own table of passwords."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailauth.core.password_chain import Answer, NotLookedUp, Right, Unanswered, UnknownUser, Wrong
from mailauth.core.source_entry import Asked, SourceEntry
from mailauth.effects.sources import Parts
from mailauth.effects.sources.stored_hashes import StoredHashes
from mailauth.vocabulary.errors import HashUnreadable, Overloaded
from mailauth.vocabulary.model import Account

if TYPE_CHECKING:
    from mailauth.effects.configuration.source_sections import OwnSection


class OwnTable:
    """Passwords whose hashes mailauth keeps."""

    described = "mailauth's own table"
    is_by_service = False

    def __init__(self, hashes: StoredHashes, name: str = "own") -> None:
        self.name = name
        self.hashes = hashes
        self.hasher, self.pool = hashes.hasher, hashes.pool

    async def find(self, asked: Asked, account: Account | None) -> NotLookedUp | UnknownUser:
        """Whoever has a hash here is judged here."""
        return UnknownUser(self.name) if account is None or account.password_hash is None else NotLookedUp(self.name)

    async def check(
        self,
        asked: Asked,
        account: Account | None,
        entry: SourceEntry | None,
        password: bytes,
        readings: Sequence[bytes] = (),
    ) -> Answer:
        """Compare with the stored hash."""
        stored = None if account is None else account.password_hash
        try:
            match = await self.hashes.compare(stored, password, readings, asked.name, asked.service)
            if stored is None:
                return UnknownUser(self.name)
            if match is None:
                return Wrong(self.name)
            if self.hasher.is_ours(stored) or not match.settles:
                return Right(self.name)
            return Right(self.name, renewed_hash=await self.pool.run(lambda: self.hasher.hash(match.form)))
        except (HashUnreadable, Overloaded) as error:
            return Unanswered(self.name, error)

    def close(self) -> None:
        """Let running checks end."""
        self.pool.close()


def make(section: "OwnSection", parts: Parts) -> OwnTable:
    """Return the table."""
    return OwnTable(StoredHashes(parts.hasher, parts.hash_pool), section.name)
