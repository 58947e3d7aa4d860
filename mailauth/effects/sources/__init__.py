"""Password sources: who checks the first factor. The port, what a source is made from, and where each is.

A source answers with values (`core.password_chain`), and raises nothing that its own trouble explains. Each has a
bounded pool of threads of its own, so that a slow one delays neither the other logins' database nor an app password.
An unknown account is asked about like a known one.

Another source is a module here, of its kind's name, with a function `make`, and its settings in
`effects/configuration/source_sections.py`, which is the registry. Nothing heavy is imported here.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from mailauth.core.pam_users import PamUsers
from mailauth.core.password_chain import Answer, NotLookedUp, Unanswered, UnknownUser
from mailauth.core.source_entry import Asked, SourceEntry
from mailauth.vocabulary.model import Account, AccountName

if TYPE_CHECKING:
    from mailauth.effects.configuration.source_sections import SourceSection
    from mailauth.effects.passwords import HashPool, PasswordHasher

Found = SourceEntry | UnknownUser | Unanswered | NotLookedUp
"""What a look-up comes to."""


class PasswordSource(Protocol):
    """Checks passwords."""

    @property
    def name(self) -> str:
        """What the log calls it."""

    @property
    def described(self) -> str:
        """What `explain` calls it, behind "is checked by"."""

    @property
    def is_by_service(self) -> bool:
        """Whether what it says of a user depends on the service that is logged in to."""

    async def find(self, asked: Asked, account: Account | None) -> Found:
        """Look a user up, without a password. `account` is None where mailauth has none of that name."""

    async def check(
        self,
        asked: Asked,
        account: Account | None,
        entry: SourceEntry | None,
        password: bytes,
        readings: Sequence[bytes] = (),
    ) -> Answer:
        """Return the answer on a password. `entry` is what the look-up found; None where it found nobody, or is none.

        `readings`: what other accounts' state would have made of the same presented string. A source whose own work
        depends on the password's bytes does as much as for the costliest of them.
        """

    def close(self) -> None:
        """Let running checks end."""


@runtime_checkable
class ListedSource(Protocol):
    """A source that can say whom it has."""

    @property
    def name(self) -> str:
        """What the log calls it."""

    @property
    def is_listed(self) -> bool:
        """Whether it is set up to be listed."""

    def entries(self) -> Iterator[SourceEntry]:
        """Return each of its users once, for the directory; blocks. Raises SourceUnavailable, at any point of it."""


@runtime_checkable
class RenewingSource(Protocol):
    """A source whose stored hashes may be replaced."""

    async def renew(self, entry: SourceEntry, password_hash: str) -> bool:
        """Store a new hash of the same password if the one that was seen still stands there; tell whether it did."""


class Parts(NamedTuple):
    """What a source may be made from.

    `default_domain`: of names without one. `sharing`: the other accounts that are the same PAM user as an account.
    """

    hasher: "PasswordHasher"
    hash_pool: "HashPool"
    default_domain: str
    pam_users: PamUsers
    sharing: Callable[[AccountName], tuple[AccountName, ...]]


def make(section: "SourceSection", parts: Parts) -> PasswordSource:
    """Return the source that a section of the configuration describes.

    Raises InvalidValue for what is not installed, or cannot be.
    """
    made: PasswordSource = import_module(f"{__name__}.{section.kind.replace('-', '_')}").make(section, parts)
    return made
