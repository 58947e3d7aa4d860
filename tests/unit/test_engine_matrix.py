"""ENU3, REC3, POL1: the whole matrix of decisions, written out apart from the code that makes them."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product

from mailauth.core.engine import (
    CodeEvidence,
    Evidence,
    NoSecondFactor,
    RecoveryEvidence,
    RefusedCode,
    SecondFactor,
    SpendRecoveryCode,
    SpendStep,
    decide,
)
from mailauth.core.otp import CodeMatch
from mailauth.core.policy import CutOver, Policy
from mailauth.vocabulary.model import Account, AccountName, ActiveTotp, Credential, Denied, Granted
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted
from tests.cases import case

CUTOVER = datetime.fromisoformat("2025-05-05T00:00+02:00")
POLICY = Policy(CutOver(CUTOVER))
NAME = AccountName("alice@mailitwize.be")
STEP, TOTP_ID, ROW_ID, ACCOUNT_ID, EPOCH = 58_000_000, 11, 22, 33, 44

PLAIN = Account(ACCOUNT_ID, NAME, "{ARGON2ID}", EPOCH, disabled=False, totp=None, exempt_until=None)
ENROLLED = replace(PLAIN, totp=ActiveTotp(TOTP_ID, b"sealed", "1", STEP - 5))
EXEMPT_UNTIL = CUTOVER + timedelta(days=400)

ACCOUNTS: dict[str, Account | None] = {
    "unknown": None,
    "plain": PLAIN,
    "plain exempt": replace(PLAIN, exempt_until=EXEMPT_UNTIL),
    "enrolled": ENROLLED,
    "enrolled exempt": replace(ENROLLED, exempt_until=EXEMPT_UNTIL),
    "plain disabled": replace(PLAIN, disabled=True),
    "plain exempt disabled": replace(PLAIN, disabled=True, exempt_until=EXEMPT_UNTIL),
    "enrolled disabled": replace(ENROLLED, disabled=True),
}
FACTORS: dict[str, SecondFactor] = {
    "nothing": NoSecondFactor(),
    "code": CodeEvidence(CodeMatch(STEP, unspent=True)),
    "spent code": CodeEvidence(CodeMatch(STEP, unspent=False)),
    "wrong code": CodeEvidence(None),
    "code refused before": RefusedCode(),
    "recovery code": RecoveryEvidence(ROW_ID),
    "wrong recovery code": RecoveryEvidence(None),
}
TIMES = {"before": CUTOVER - timedelta(seconds=1), "at": CUTOVER, "after": CUTOVER + timedelta(days=30)}

# What an enrolled account gets, at any time, exempt or not: (right password, wrong password).
WITH_FACTOR: dict[str, tuple[Credential | WhyDenied, WhyDenied]] = {
    "nothing": (WhyDenied.CODE_MISSING, WhyDenied.PASSWORD_WRONG),
    "code": (Credential.PASSWORD_AND_CODE, WhyDenied.PASSWORD_WRONG),
    "spent code": (WhyDenied.CODE_REPLAYED, WhyDenied.PASSWORD_WRONG),
    "wrong code": (WhyDenied.CODE_WRONG, WhyDenied.PASSWORD_AND_CODE_WRONG),
    "code refused before": (WhyDenied.CODE_WRONG_AGAIN, WhyDenied.PASSWORD_AND_CODE_WRONG),
    "recovery code": (Credential.PASSWORD_AND_RECOVERY_CODE, WhyDenied.PASSWORD_WRONG),
    "wrong recovery code": (WhyDenied.RECOVERY_CODE_WRONG, WhyDenied.PASSWORD_WRONG),
}
SPENT = {
    Credential.PASSWORD_AND_CODE: SpendStep(ACCOUNT_ID, EPOCH, TOTP_ID, STEP),
    Credential.PASSWORD_AND_RECOVERY_CODE: SpendRecoveryCode(ACCOUNT_ID, EPOCH, ROW_ID),
}


def expected(who: str, right: bool, factor: str, when: str) -> Granted | Denied:
    """Return the verdict by the words of the design: section 7 for the policy, section 5 for the rest."""
    if who == "unknown":
        return Denied(WhyDenied.ACCOUNT_UNKNOWN, None, password_was_right=False)
    if "disabled" in who:
        return Denied(WhyDenied.ACCOUNT_DISABLED, NAME, password_was_right=right)
    if "enrolled" in who:
        outcome = WITH_FACTOR[factor][0 if right else 1]
        if isinstance(outcome, Credential):
            return Granted(NAME, outcome, WhyGranted.SECOND_FACTOR_GIVEN)
        return Denied(outcome, NAME, password_was_right=right)
    if not right:
        return Denied(WhyDenied.PASSWORD_WRONG, NAME, password_was_right=False)
    if "exempt" in who:
        return Granted(NAME, Credential.PASSWORD, WhyGranted.EXEMPT)
    if when == "before":
        return Granted(NAME, Credential.PASSWORD, WhyGranted.BEFORE_CUTOVER)
    return Denied(WhyDenied.NOT_ENROLLED, NAME, password_was_right=True)


CASES = [
    (who, right, factor, when)
    for who, right, factor, when in product(ACCOUNTS, (True, False), FACTORS, TIMES)
    # Nobody knows whether the password of an account that does not exist is right.
    if not (who == "unknown" and right)
]


def test_decision_is_the_one_of_the_table() -> None:
    for who, right, factor, when in CASES:
        with case(who, right, factor, when):
            decision = decide(Evidence(ACCOUNTS[who], right, FACTORS[factor]), POLICY, TIMES[when])
            assert decision.verdict == expected(who, right, factor, when)
            match decision.verdict:
                case Granted(credential=credential, epoch=epoch):
                    assert epoch == EPOCH, "or nobody could tell that the account has changed since"
                    assert decision.effect == SPENT.get(credential)
                case Denied():
                    assert decision.effect is None


def test_without_the_password_nothing_opens_and_nothing_is_burnt() -> None:
    """ENU3, REC3: no second factor replaces the password, a recovery code neither, and a wrong one spends none."""
    for who, factor, when in product(ACCOUNTS, FACTORS, TIMES):
        with case(who, factor, when):
            decision = decide(Evidence(ACCOUNTS[who], False, FACTORS[factor]), POLICY, TIMES[when])
            assert isinstance(decision.verdict, Denied)
            assert not decision.verdict.password_was_right
            assert decision.effect is None


def test_whatever_is_granted_by_a_factor_is_spent() -> None:
    """CON1: nothing but a password alone is granted without an effect, and an effect comes with nothing else."""
    for who, right, factor, when in CASES:
        with case(who, right, factor, when):
            decision = decide(Evidence(ACCOUNTS[who], right, FACTORS[factor]), POLICY, TIMES[when])
            granted_by_factor = (
                isinstance(decision.verdict, Granted) and decision.verdict.credential is not Credential.PASSWORD
            )
            assert (decision.effect is not None) == granted_by_factor


def test_unknown_account_is_denied_whatever_the_evidence_says() -> None:
    for factor, now in product(FACTORS.values(), TIMES.values()):
        decision = decide(Evidence(None, True, factor), POLICY, now)
        assert decision.verdict == Denied(WhyDenied.ACCOUNT_UNKNOWN)
        assert decision.effect is None


def test_password_alone_never_opens_an_enrolled_account() -> None:
    for now in TIMES.values():
        verdict = decide(Evidence(ENROLLED, True, NoSecondFactor()), POLICY, now).verdict
        assert verdict == Denied(WhyDenied.CODE_MISSING, NAME, password_was_right=True)


def test_decision_of_the_portal_is_the_same_but_lets_in_who_has_to_enrol() -> None:
    """WEB5."""
    for who, right, factor, when in CASES:
        with case(who, right, factor, when):
            decision = decide(Evidence(ACCOUNTS[who], right, FACTORS[factor], "portal"), POLICY, TIMES[when])
            if (who, right) == ("plain", True) and when != "before":
                assert decision.verdict == Granted(NAME, Credential.PASSWORD, WhyGranted.TO_ENROL)
                assert decision.effect is None
            else:
                assert decision == decide(Evidence(ACCOUNTS[who], right, FACTORS[factor], "imap"), POLICY, TIMES[when])


def test_password_that_is_confirmed_alone_asks_no_factor_and_spends_none() -> None:
    for who, right, factor, when in CASES:
        with case(who, right, factor, when):
            evidence = Evidence(ACCOUNTS[who], right, FACTORS[factor], "portal", password_only=True)
            decision = decide(evidence, POLICY, TIMES[when])
            assert decision.effect is None
            if who == "unknown":
                assert decision.verdict == Denied(WhyDenied.ACCOUNT_UNKNOWN)
            elif "disabled" in who:
                assert decision.verdict == Denied(WhyDenied.ACCOUNT_DISABLED, NAME, password_was_right=right)
            elif right:
                assert decision.verdict == Granted(NAME, Credential.PASSWORD, WhyGranted.PASSWORD_CONFIRMED)
            else:
                assert decision.verdict == Denied(WhyDenied.PASSWORD_WRONG, NAME)
