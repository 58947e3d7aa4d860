"""What one attempt is, found out once: whose, whether by an app password, and how its string reads. Pure."""

from typing import NamedTuple

from mailauth.core import app_password, names, otp, splitter
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
    """What was presented begins with a password. Where that ends depends on the account, and its codes' digits."""

    attempt: Attempt
    name: AccountName
    secret: bytes

    def presented(self, digits: int | None) -> Presented:
        """Return the one reading, by the digits of the account's codes; None for one that is not enrolled.

        Where the password alone is asked for, all of it is that.
        """
        return splitter.split(self.secret, digits=None if self.attempt.ask is Ask.PASSWORD else digits)

    @property
    def likely(self) -> Presented:
        """How it reads for the accounts that are enrolled somewhere and have the codes that it ends in, if in any.

        For what has to be the same whoever it is for: to which limits it is charged.
        """
        for digits in (otp.DIGITS, *otp.ALL_DIGITS):
            presented = self.presented(digits)
            if isinstance(presented, splitter.PasswordAndCode):
                return presented
        return self.presented(otp.DIGITS)

    @property
    def recovery_code(self) -> bytes | None:
        """The recovery code that it ends in by any reading, folded; to be looked for whoever it is for."""
        for digits in otp.ALL_DIGITS:
            presented = self.presented(digits)
            if isinstance(presented, splitter.PasswordAndRecoveryCode):
                return presented.recovery_code
        return None

    @property
    def passwords(self) -> tuple[bytes, ...]:
        """The password as it is for an account that is not enrolled, and for those that are, by their codes' digits.

        One of them is checked. All count where the time that it takes must not tell which one that was.
        """
        enrolled = (splitter.split(self.secret, digits=digits).password for digits in otp.ALL_DIGITS)
        return (self.secret, *enrolled)


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
    return ByPassword(attempt, name, secret)
