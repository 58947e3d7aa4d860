"""Asking the password sources, in their order, as `core.password_chain` says. On the event loop."""

from collections.abc import Sequence

from mailauth.core.password_chain import Answer, AskNext, next_step
from mailauth.effects.sources import PasswordSource
from mailauth.vocabulary.model import Account, AccountName


class PasswordCheck:
    """Checks first factors. `sources`: who is asked, the first in front; at least one."""

    def __init__(self, sources: Sequence[PasswordSource]) -> None:
        if not sources:
            raise ValueError("a password is checked by one source at least")
        self.sources = tuple(sources)

    @property
    def described(self) -> str:
        """Who checks passwords, for people: each source, in order."""
        return ", then ".join(source.described for source in self.sources)

    async def verify(
        self, name: AccountName, account: Account | None, password: bytes, readings: Sequence[bytes] = ()
    ) -> Answer:
        """Return what the sources answer. `readings` of the presented string: see the port."""
        answers: list[Answer] = []
        while isinstance(step := next_step(len(self.sources), answers), AskNext):
            answers.append(await self.sources[step.place].verify(name, account, password, readings))
        return step

    def close(self) -> None:
        """Let running checks end."""
        for source in self.sources:
            source.close()
