"""Who checks the first factor: mailauth's own table, or PAM for system accounts.

A source says whether a password is right, or raises; it never raises for a wrong one. Each has a bounded pool of
threads of its own, so that a slow source delays neither the other logins' database nor an app password. An
unknown account is asked about like a known one.
"""

from collections.abc import Callable
from typing import Protocol

import pam

from mailauth.core.opaque import forms
from mailauth.core.pam_users import PamUsers
from mailauth.effects.passwords import HashPool, PasswordHasher
from mailauth.vocabulary.errors import SourceUnavailable
from mailauth.vocabulary.model import Account, AccountName

PAM_THREADS = 8
"""PAM modules wait (for unix_chkpwd, for a directory) more than they compute."""

_PAM_SAYS_NO = frozenset(
    {
        "PAM_AUTH_ERR",
        "PAM_USER_UNKNOWN",
        "PAM_MAXTRIES",
        "PAM_ACCT_EXPIRED",
        "PAM_NEW_AUTHTOK_REQD",
        "PAM_PERM_DENIED",
        "PAM_CRED_EXPIRED",
    }
)
_NO = frozenset(getattr(pam, name) for name in _PAM_SAYS_NO)


class PasswordSource(Protocol):
    """Checks passwords."""

    async def is_right(self, name: AccountName, account: Account | None, password: bytes) -> bool:
        """Tell whether a password is right. Raises an error that means "unavailable" where that cannot be said."""

    def close(self) -> None:
        """Let running checks end."""


class OwnTable:
    """Mailauth's own hashes; exactly one is computed for each form of a password, for unknown accounts too."""

    def __init__(self, hasher: PasswordHasher, pool: HashPool) -> None:
        self.hasher = hasher
        self.pool = pool

    async def is_right(self, name: AccountName, account: Account | None, password: bytes) -> bool:
        """Compare with the stored hash. Raises HashUnreadable, Overloaded."""
        stored = None if account is None else account.password_hash
        return await self.pool.run(lambda: self._matches(stored, password))

    def _matches(self, stored: str | None, password: bytes) -> bool:
        found = [self.hasher.verify(stored, form) for form in forms(password)]  # each, whichever is right
        return any(found)

    def close(self) -> None:
        """Let running checks end."""
        self.pool.close()


class Pam:
    """System accounts, through a PAM service of mailauth's own (`/etc/pam.d/SERVICE`).

    The service must not contain pam_mailauth: it would ask the very server that asks it. Whoever logs in under an
    alias is the account's own PAM user: the alias may be the name of another one. `sharing` tells which other
    accounts are the same PAM user; while there are any, none of them is decided on.
    """

    def __init__(
        self,
        service: str,
        users: PamUsers,
        sharing: Callable[[AccountName], tuple[AccountName, ...]],
        threads: int = PAM_THREADS,
    ) -> None:
        self._service = service
        self._users = users
        self._sharing = sharing
        self.pool = HashPool(threads)

    async def is_right(self, name: AccountName, account: Account | None, password: bytes) -> bool:
        """Ask PAM. Raises SourceUnavailable for whatever is neither yes nor no, StoreUnavailable, Overloaded."""
        whom = name if account is None else account.name
        return await self.pool.run(lambda: self._ask_about(whom, password))

    def close(self) -> None:
        """Let running checks end."""
        self.pool.close()

    def _ask_about(self, name: AccountName, password: bytes) -> bool:
        user = self._users.user_of(name)
        others = self._sharing(name)
        if others:
            raise SourceUnavailable(f"{' and '.join((name, *others))} are one PAM user, {user}")
        return self._ask(user, password)

    def _ask(self, user: str, password: bytes) -> bool:
        conversation = pam.pam()  # one each: it holds its handle and its result
        if not password:
            password = b"\x01"  # pam_unix may let an empty password in (nullok); nobody's password is this
        if conversation.authenticate(user.encode(), password, service=self._service, resetcreds=False):
            return True
        if conversation.code in _NO:
            return False
        raise SourceUnavailable(f"PAM service {self._service}: {conversation.reason} ({conversation.code})")
