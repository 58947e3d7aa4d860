"""A source that answers what it is told, for tests of what asks one. Not in the registry: no configuration has it."""

from collections.abc import Callable, Sequence

from mailauth.core.password_chain import Answer
from mailauth.vocabulary.model import Account, AccountName


class FakeSource:
    """Answers by a function of name and password, and remembers what it was asked."""

    described = "a test"

    def __init__(self, answer: Callable[[AccountName, bytes], Answer], name: str = "fake") -> None:
        self.name = name
        self.asked: list[tuple[AccountName, bytes]] = []
        self.is_closed = False
        self._answer = answer

    async def verify(
        self, name: AccountName, account: Account | None, password: bytes, readings: Sequence[bytes] = ()
    ) -> Answer:
        """Answer as told."""
        self.asked.append((name, password))
        return self._answer(name, password)

    def close(self) -> None:
        """Note that it was closed."""
        self.is_closed = True
