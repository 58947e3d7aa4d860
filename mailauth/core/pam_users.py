"""Under which name PAM is asked about an account.

The full name, so that `anna@tenant2.example` is not let in by the password of the system account `anna`, who is
somebody else's customer. By the local part alone only in domains that the administrator has named as those of system
accounts; in two such domains, two accounts can be one PAM user, and then nothing says whose password it is.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from mailauth.vocabulary.model import AccountName


@dataclass(frozen=True, slots=True)
class PamUsers:
    """Which PAM user an account is."""

    local_part_domains: tuple[str, ...] = ()

    def user_of(self, account: AccountName) -> str:
        """Return the name that PAM is asked for."""
        local, _, domain = account.rpartition("@")
        return local if domain in self.local_part_domains else account

    def rivals(self, account: AccountName) -> tuple[AccountName, ...]:
        """Return the names of the other accounts that would be the same PAM user, whether or not they exist."""
        local, _, domain = account.rpartition("@")
        if domain not in self.local_part_domains:
            return ()
        return tuple(AccountName(f"{local}@{other}") for other in self.local_part_domains if other != domain)

    def shared(self, accounts: Iterable[AccountName]) -> dict[str, list[AccountName]]:
        """Return each PAM user that several accounts are, with those accounts."""
        by_user: dict[str, list[AccountName]] = defaultdict(list)
        for account in accounts:
            by_user[self.user_of(account)].append(account)
        return {user: sorted(found) for user, found in by_user.items() if len(found) > 1}
