"""The decision: what the evidence about one login means, and what it spends.

Evidence is complete before anything is decided: the password was checked and the second factor was checked,
whatever the other one's outcome, so that neither the reply nor its time tells them apart (requirement ENU3).
A decision to grant lists what has to be spent first. The caller commits that, all or nothing, and only then
tells anybody; where nothing could be spent any more, it was spent by somebody else, and `lost_race` says what
that is.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from mailauth.core import otp
from mailauth.core.otp import CodeMatch
from mailauth.core.policy import Policy, Requirement
from mailauth.vocabulary.model import Account, Credential, Denied, Granted
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted


@dataclass(frozen=True, slots=True)
class NoSecondFactor:
    """Nothing that could be a second factor was presented."""


@dataclass(frozen=True, slots=True)
class CodeEvidence:
    """A verification code was presented; `match` is the step that it belongs to, if any."""

    match: CodeMatch | None


@dataclass(frozen=True, slots=True)
class RecoveryEvidence:
    """A recovery code was presented; `row_id` is the unspent row of this account that it opens, if any."""

    row_id: int | None


@dataclass(frozen=True, slots=True)
class RefusedCode:
    """A verification code was presented in a string that was refused before; it is not judged again."""


SecondFactor = NoSecondFactor | CodeEvidence | RecoveryEvidence | RefusedCode


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known about one login with a password.

    `password_only`: a second factor is neither asked for nor read; the portal confirms who sits at an open session.
    """

    account: Account | None
    password_is_right: bool
    second_factor: SecondFactor
    service: str = ""
    password_only: bool = False


@dataclass(frozen=True, slots=True)
class SpendStep:
    """Raise the authenticator's last step to this one, provided that it is lower and the epoch unchanged."""

    account_id: int
    epoch: int
    totp_id: int
    step: int


@dataclass(frozen=True, slots=True)
class SpendRecoveryCode:
    """Mark the recovery code as spent, provided that it isn't and the epoch is unchanged."""

    account_id: int
    epoch: int
    row_id: int


Effect = SpendStep | SpendRecoveryCode


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and what it spends. `effect` accompanies a Granted only, and comes before it."""

    verdict: Granted | Denied
    effect: Effect | None = None


def decide(evidence: Evidence, policy: Policy, now: datetime) -> Decision:
    """Return the decision on a login with a password."""
    account = evidence.account
    if account is None:
        return Decision(Denied(WhyDenied.ACCOUNT_UNKNOWN))
    if account.disabled:
        return Decision(_denied(account, WhyDenied.ACCOUNT_DISABLED, evidence))
    if evidence.password_only:
        return _by_password(account, evidence, WhyGranted.PASSWORD_CONFIRMED)
    match policy.stand(account, now, evidence.service).requirement:
        case Requirement.SECOND_FACTOR:
            return _with_second_factor(account, evidence, now)
        case Requirement.PASSWORD_BEFORE_CUTOVER:
            return _by_password(account, evidence, WhyGranted.BEFORE_CUTOVER)
        case Requirement.PASSWORD_BY_EXEMPTION:
            return _by_password(account, evidence, WhyGranted.EXEMPT)
        case Requirement.PASSWORD_TO_ENROL:
            return _by_password(account, evidence, WhyGranted.TO_ENROL)
        case Requirement.ENROLMENT:
            reason = WhyDenied.NOT_ENROLLED if evidence.password_is_right else WhyDenied.PASSWORD_WRONG
            return Decision(_denied(account, reason, evidence))
        case requirement:
            assert_never(requirement)


def granted(account: Account, credential: Credential, reason: WhyGranted) -> Granted:
    """Return that a login to an account, in the state that it is in, is accepted."""
    digits = None if account.totp is None else account.totp.parameters.digits
    return Granted(account.name, credential, reason, epoch=account.epoch, reply_name=account.reply_name, digits=digits)


def lost_race(lost: Granted) -> Denied:
    """Return the verdict where a grant's effect changed no row: another login spent it in between."""
    return Denied(WhyDenied.CODE_REPLAYED, lost.account, password_was_right=True)


def _by_password(account: Account, evidence: Evidence, reason: WhyGranted) -> Decision:
    if not evidence.password_is_right:
        return Decision(_denied(account, WhyDenied.PASSWORD_WRONG, evidence))
    return Decision(granted(account, Credential.PASSWORD, reason))


def _with_second_factor(account: Account, evidence: Evidence, now: datetime) -> Decision:
    match evidence.second_factor:
        case NoSecondFactor():
            reason = WhyDenied.CODE_MISSING if evidence.password_is_right else WhyDenied.PASSWORD_WRONG
            return Decision(_denied(account, reason, evidence))
        case CodeEvidence(match=found):
            return _with_code(account, evidence, found, now)
        case RecoveryEvidence(row_id=row_id):
            return _with_recovery_code(account, evidence, row_id)
        case RefusedCode():
            reason = WhyDenied.CODE_WRONG_AGAIN if evidence.password_is_right else WhyDenied.PASSWORD_AND_CODE_WRONG
            return Decision(_denied(account, reason, evidence))
        case factor:
            assert_never(factor)


def _with_code(account: Account, evidence: Evidence, found: CodeMatch | None, now: datetime) -> Decision:
    if found is None:
        reason = WhyDenied.CODE_WRONG if evidence.password_is_right else WhyDenied.PASSWORD_AND_CODE_WRONG
        return Decision(_denied(account, reason, evidence))
    if not evidence.password_is_right:
        return Decision(_denied(account, WhyDenied.PASSWORD_WRONG, evidence))
    if not found.unspent and account.totp is not None and found.step and otp.is_ahead(account.totp, now):
        # Refused all the same, since it may be one that was accepted; but nobody has guessed or replayed anything.
        return Decision(_denied(account, WhyDenied.CODE_SPENT_AHEAD, evidence))
    if not found.unspent or account.totp is None:
        return Decision(_denied(account, WhyDenied.CODE_REPLAYED, evidence))
    return Decision(
        granted(account, Credential.PASSWORD_AND_CODE, WhyGranted.SECOND_FACTOR_GIVEN),
        SpendStep(account.id, account.epoch, account.totp.id, found.step),
    )


def _with_recovery_code(account: Account, evidence: Evidence, row_id: int | None) -> Decision:
    if not evidence.password_is_right:
        return Decision(_denied(account, WhyDenied.PASSWORD_WRONG, evidence))
    if row_id is None:
        return Decision(_denied(account, WhyDenied.RECOVERY_CODE_WRONG, evidence))
    return Decision(
        granted(account, Credential.PASSWORD_AND_RECOVERY_CODE, WhyGranted.SECOND_FACTOR_GIVEN),
        SpendRecoveryCode(account.id, account.epoch, row_id),
    )


def _denied(account: Account, reason: WhyDenied, evidence: Evidence) -> Denied:
    return Denied(reason, account.name, password_was_right=evidence.password_is_right)
