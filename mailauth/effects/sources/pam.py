"""System accounts, through a PAM service of mailauth's own (`/etc/pam.d/SERVICE`).

The service must not contain pam_mailauth: it would ask the very server that asks it. Whoever logs in under an alias is
the account's own PAM user: the alias may be the name of another one.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pam

from mailauth.core.pam_users import PamUsers
from mailauth.core.password_chain import Answer, Disabled, Expired, NotLookedUp, Right, UnknownUser, Wrong
from mailauth.core.source_entry import Asked, SourceEntry
from mailauth.effects.sources import Parts
from mailauth.effects.sources.guarding import SourceGuard
from mailauth.vocabulary.errors import SourceUnavailable
from mailauth.vocabulary.model import Account, AccountName

if TYPE_CHECKING:
    from mailauth.effects.configuration.source_sections import PamSection

THREADS = 8
"""PAM modules wait (for unix_chkpwd, for a directory) more than they compute."""

_NO: dict[int, type[Wrong | UnknownUser | Disabled | Expired]] = {
    pam.PAM_AUTH_ERR: Wrong,
    pam.PAM_MAXTRIES: Wrong,
    pam.PAM_USER_UNKNOWN: UnknownUser,
    pam.PAM_PERM_DENIED: Disabled,
    pam.PAM_ACCT_EXPIRED: Expired,
    pam.PAM_CRED_EXPIRED: Expired,
    pam.PAM_NEW_AUTHTOK_REQD: Expired,
}
"""What is a no of some kind (pam(3)); whatever else is not a yes is no answer."""


class Pam:
    """Passwords that PAM modules check.

    `sharing` tells which other accounts are the same PAM user; while there are any, none of them is decided on.
    """

    def __init__(
        self, section: "PamSection", users: PamUsers, sharing: Callable[[AccountName], tuple[AccountName, ...]]
    ) -> None:
        self.name = section.name
        self.is_by_service = False
        self._service = section.service
        self._users = users
        self._sharing = sharing
        self._guard = SourceGuard(section.name, THREADS, section.timeout_s)

    @property
    def described(self) -> str:
        """Name the service, which is what an administrator looks for."""
        return f"PAM, by the service {self._service}"

    async def find(self, asked: Asked, account: Account | None) -> NotLookedUp:
        """PAM has no look-up."""
        return NotLookedUp(self.name)

    async def check(
        self,
        asked: Asked,
        account: Account | None,
        entry: SourceEntry | None,
        password: bytes,
        readings: Sequence[bytes] = (),
    ) -> Answer:
        """Ask PAM."""
        whom = asked.name if account is None else account.name
        return await self._guard.ask(lambda: self._ask_about(whom, password))

    def close(self) -> None:
        """Let running checks end."""
        self._guard.close()

    def _ask_about(self, name: AccountName, password: bytes) -> Answer:
        user = self._users.user_of(name)
        others = self._sharing(name)
        if others:
            raise SourceUnavailable(f"{' and '.join((name, *others))} are one PAM user, {user}")
        return self._ask(user, password)

    def _ask(self, user: str, password: bytes) -> Answer:
        conversation = pam.pam()  # one each: it holds its handle and its result
        if not password:
            password = b"\x01"  # pam_unix may let an empty password in (nullok); nobody's password is this
        if conversation.authenticate(user.encode(), password, service=self._service, resetcreds=False):
            return Right(self.name)
        if conversation.code in _NO:
            return _NO[conversation.code](self.name)
        raise SourceUnavailable(f"PAM service {self._service}: {conversation.reason} ({conversation.code})")


def make(section: "PamSection", parts: Parts) -> Pam:
    """Return PAM, by the section's service."""
    return Pam(section, PamUsers(tuple(section.local_part_domains)), parts.sharing)
