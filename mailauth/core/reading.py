"""What one attempt is, found out once: whose, whether by an app password, and how its string reads. Pure."""

from typing import NamedTuple

from mailauth.core import app_password, names, splitter
from mailauth.core.services import PORTAL
from mailauth.core.splitter import Presented
from mailauth.vocabulary.errors import InvalidName
from mailauth.vocabulary.model import AccountName, Ask, Attempt, Denied
from mailauth.vocabulary.reasons import WhyDenied

_OF_THE_PORTAL = (Ask.PASSWORD, Ask.PROOF)
"""What only the portal asks. A tuple: to find a member there costs no hash."""
_NEVER_BY_APP_PASSWORD = (Ask.SECOND_FACTOR, Ask.PASSWORD)


class ByAppPassword(NamedTuple):
    """What was presented has an app password's shape and checksum: it is tried as nothing else."""

    attempt: Attempt
    name: AccountName
    token: app_password.Token


class ByPassword(NamedTuple):
    """What was presented begins with a password. `enrolled`: how it reads for an account that is."""

    attempt: Attempt
    name: AccountName
    secret: bytes
    enrolled: Presented

    def presented(self, *, is_enrolled: bool) -> Presented:
        """Return the one reading, by the account's state; where the password alone is asked for, all of it is that."""
        if is_enrolled and self.attempt.ask is not Ask.PASSWORD:
            return self.enrolled
        return splitter.Password(self.secret)

    @property
    def passwords(self) -> tuple[bytes, bytes]:
        """The password as it is for an account that is not enrolled, and for one that is.

        One of them is checked. Both count where the time that it takes must not tell which one that was.
        """
        return self.secret, self.enrolled.password


Reading = ByAppPassword | ByPassword


def read(attempt: Attempt, default_domain: str) -> Reading | Denied:
    """Return what an attempt is, or that it can be none."""
    try:
        name = names.read(attempt.name, default_domain)
    except InvalidName:
        return Denied(WhyDenied.NAME_MALFORMED)
    secret = attempt.secret.reveal()
    if not splitter.is_presentable(secret):
        return Denied(WhyDenied.SECRET_MALFORMED, name)
    if attempt.ask in _OF_THE_PORTAL and attempt.service != PORTAL:
        return Denied(WhyDenied.REQUEST_MALFORMED, name)
    token = None if attempt.ask in _NEVER_BY_APP_PASSWORD else app_password.read(secret)
    if token is not None:
        return ByAppPassword(attempt, name, token)
    return ByPassword(attempt, name, secret, splitter.split(secret, enrolled=True))
