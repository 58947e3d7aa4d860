"""A source that answers what it is told, for tests of what asks one. No configuration has it."""

from collections.abc import Callable, Sequence

from mailauth.core.password_chain import Answer, NotLookedUp, UnknownUser
from mailauth.core.source_entry import Asked, SourceEntry
from mailauth.effects.sources import Found
from mailauth.vocabulary.model import Account, AccountName


class FakeSource:
    """Answers by a function of name and password, and remembers what it was asked.

    `entries`: whom a look-up finds, by the name that it is asked for; None where there is no look-up.
    """

    described = "a test"
    is_by_service = False

    def __init__(
        self,
        answer: Callable[[AccountName, bytes], Answer],
        name: str = "fake",
        entries: Callable[[AccountName], Found] | None = None,
    ) -> None:
        self.name = name
        self.asked: list[tuple[AccountName, bytes]] = []
        self.looked_up: list[AccountName] = []
        self.is_closed = False
        self._answer = answer
        self._entries = entries

    async def find(self, asked: Asked, account: Account | None) -> Found:
        """Answer as told."""
        self.looked_up.append(asked.name)
        return NotLookedUp(self.name) if self._entries is None else self._entries(asked.name)

    async def check(
        self,
        asked: Asked,
        account: Account | None,
        entry: SourceEntry | None,
        password: bytes,
        readings: Sequence[bytes] = (),
    ) -> Answer:
        """Answer as told; that somebody is unknown who was not found."""
        self.asked.append((asked.name, password))
        if self._entries is not None and entry is None:
            return UnknownUser(self.name)
        return self._answer(asked.name, password)

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True
