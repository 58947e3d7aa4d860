"""Password sources: who checks the first factor. The port, what a source is made from, and the registry.

A source answers with a value (`core.password_chain`), and raises nothing that its own trouble explains. Each has a
bounded pool of threads of its own, so that a slow one delays neither the other logins' database nor an app password.
An unknown account is asked about like a known one.

Another source is a module here, of its name, with a function `make`; its name goes into `SourceKind`, which the
configuration reads: nothing heavy is imported here.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from mailauth.core.pam_users import PamUsers
from mailauth.core.password_chain import Answer
from mailauth.vocabulary.model import Account, AccountName

if TYPE_CHECKING:
    from mailauth.effects.passwords import PasswordHasher

SourceKind = Literal["own", "pam"]
"""The kinds of sources, by the names that the configuration, the log and `explain` have for them: the registry."""


class PasswordSource(Protocol):
    """Checks passwords."""

    @property
    def name(self) -> str:
        """What the log calls it."""

    @property
    def described(self) -> str:
        """What `explain` calls it, behind "is checked by"."""

    async def verify(
        self, name: AccountName, account: Account | None, password: bytes, readings: Sequence[bytes] = ()
    ) -> Answer:
        """Return the answer on a password. `account` is None where there is none of that name.

        `readings`: what other accounts' state would have made of the same presented string. A source whose own work
        depends on the password's bytes does as much as for the costliest of them.
        """

    def close(self) -> None:
        """Let running checks end."""


class Parts(NamedTuple):
    """What a source may be made from. `sharing`: the other accounts that are the same PAM user as an account."""

    hasher: "PasswordHasher"
    pam_service: str
    pam_users: PamUsers
    sharing: Callable[[AccountName], tuple[AccountName, ...]]


def make(kind: SourceKind, parts: Parts) -> PasswordSource:
    """Return a source of a kind."""
    made: PasswordSource = import_module(f"{__name__}.{kind}").make(parts)
    return made
