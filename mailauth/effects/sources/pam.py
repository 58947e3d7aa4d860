"""System accounts, through a PAM service of mailauth's own (`/etc/pam.d/SERVICE`).

The service must not contain pam_mailauth: it would ask the very server that asks it. Whoever logs in under an alias is
the account's own PAM user: the alias may be the name of another one.
"""

from collections.abc import Callable, Sequence

import pam

from mailauth.core.pam_users import PamUsers
from mailauth.core.password_chain import Answer, Disabled, Expired, Right, Unanswered, UnknownUser, Wrong
from mailauth.effects.passwords import HashPool
from mailauth.effects.sources import Parts
from mailauth.vocabulary.errors import Overloaded, SourceUnavailable, StoreUnavailable
from mailauth.vocabulary.model import Account, AccountName

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

    name = "pam"

    def __init__(
        self,
        service: str,
        users: PamUsers,
        sharing: Callable[[AccountName], tuple[AccountName, ...]],
        threads: int = THREADS,
    ) -> None:
        self._service = service
        self._users = users
        self._sharing = sharing
        self.pool = HashPool(threads)

    @property
    def described(self) -> str:
        """Name the service, which is what an administrator looks for."""
        return f"PAM, by the service {self._service}"

    async def verify(
        self, name: AccountName, account: Account | None, password: bytes, readings: Sequence[bytes] = ()
    ) -> Answer:
        """Ask PAM."""
        whom = name if account is None else account.name
        try:
            return await self.pool.run(lambda: self._ask_about(whom, password))
        except (SourceUnavailable, StoreUnavailable, Overloaded) as error:
            return Unanswered(self.name, error)

    def close(self) -> None:
        """Let running checks end."""
        self.pool.close()

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


def make(parts: Parts) -> Pam:
    """Return PAM as the configuration names its service."""
    return Pam(parts.pam_service, parts.pam_users, parts.sharing)
