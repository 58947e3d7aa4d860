"""What lies beside the matrix: a lost race, the spent step in the effect, evidence that contradicts itself."""

from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime

import pytest

from mailauth.core import otp
from mailauth.core.engine import CodeEvidence, Decision, Evidence, SpendRecoveryCode, SpendStep, decide, lost_race
from mailauth.core.otp import CodeMatch
from mailauth.core.policy import CutOver, Policy
from mailauth.vocabulary.model import Account, AccountName, ActiveTotp, Credential, Denied, Granted
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted

NOW = datetime(2025, 6, 1, tzinfo=UTC)
POLICY = Policy(CutOver(datetime(2025, 5, 5, tzinfo=UTC)))
NAME = AccountName("alice@mailitwize.be")
ENROLLED = Account(3, NAME, "{ARGON2ID}", 7, disabled=False, totp=ActiveTotp(9, b"", "1", 0), exempt_until=None)


@pytest.mark.parametrize("credential", [Credential.PASSWORD_AND_CODE, Credential.PASSWORD_AND_RECOVERY_CODE])
def test_lost_race_is_a_replay_with_the_right_password(credential: Credential) -> None:
    """CON1: no row changed, so somebody else spent it in between."""
    lost = lost_race(Granted(NAME, credential, WhyGranted.SECOND_FACTOR_GIVEN))
    assert lost == Denied(WhyDenied.CODE_REPLAYED, NAME, password_was_right=True)


@pytest.mark.parametrize("step", [57_999_999, 58_000_000, 58_000_001])
def test_step_that_matched_is_the_one_that_is_spent(step: int) -> None:
    """OTP4: not the step of the clock."""
    evidence = Evidence(ENROLLED, True, CodeEvidence(CodeMatch(step, unspent=True)))
    assert decide(evidence, POLICY, NOW).effect == SpendStep(account_id=3, epoch=7, totp_id=9, step=step)


def test_epoch_of_the_loaded_account_goes_into_the_effect() -> None:
    """What was decided on an older state of the account must not be committed."""
    for epoch in (0, 41):
        evidence = Evidence(replace(ENROLLED, epoch=epoch), True, CodeEvidence(CodeMatch(1, unspent=True)))
        effect = decide(evidence, POLICY, NOW).effect
        assert isinstance(effect, SpendStep)
        assert effect.epoch == epoch


@pytest.mark.parametrize(
    ("ahead", "reason"),
    [(1, WhyDenied.CODE_REPLAYED), (2, WhyDenied.CODE_SPENT_AHEAD), (100, WhyDenied.CODE_SPENT_AHEAD)],
)
def test_code_that_is_spent_since_a_clock_was_ahead_is_told_from_a_replay(ahead: int, reason: WhyDenied) -> None:
    """Refused all the same, whether it was used or not."""
    last = otp.step_at(NOW) + ahead
    account = replace(ENROLLED, totp=ActiveTotp(9, b"", "1", last))
    for is_right, expected in ((True, reason), (False, WhyDenied.PASSWORD_WRONG)):
        evidence = Evidence(account, is_right, CodeEvidence(CodeMatch(otp.step_at(NOW), unspent=False)))
        assert decide(evidence, POLICY, NOW) == Decision(Denied(expected, NAME, password_was_right=is_right))


def test_unspent_code_is_granted_wherever_the_last_step_lies() -> None:
    account = replace(ENROLLED, totp=ActiveTotp(9, b"", "1", otp.step_at(NOW) + 100))
    evidence = Evidence(account, True, CodeEvidence(CodeMatch(otp.step_at(NOW) + 101, unspent=True)))
    assert isinstance(decide(evidence, POLICY, NOW).verdict, Granted)


def test_denied_is_the_default_of_a_decision_without_effect() -> None:
    assert Decision(Denied(WhyDenied.CODE_WRONG)).effect is None


@pytest.mark.parametrize(
    "value", [SpendStep(1, 2, 3, 4), SpendRecoveryCode(1, 2, 3), Decision(Denied(WhyDenied.CODE_WRONG))]
)
def test_decisions_and_effects_cannot_be_changed(value: object) -> None:
    for field in fields(value):  # type: ignore[arg-type]
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, 0)
