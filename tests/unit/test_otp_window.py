# ruff: noqa: RUF001  (look-alikes are what these tests are about)
"""OTP3, OTP4, OTP5, OTP7: which codes belong to a moment, which of them are spent, what is only diagnosed."""

from datetime import UTC, datetime, timedelta

import pytest

from mailauth.core import otp
from mailauth.core.otp import CodeMatch
from mailauth.vocabulary.model import USUAL, ActiveTotp, TotpParameters
from tests.cases import case

SEED = b"12345678901234567890"
STEP = 58_213_000
NOW = datetime.fromtimestamp(STEP * 30 + 7, UTC)


def code(step: int) -> bytes:
    return otp.code_at(SEED, step).encode()


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_one_step_either_side_is_accepted(off: int) -> None:
    """OTP3."""
    assert otp.match(SEED, code(STEP + off), NOW, last_step=0) == CodeMatch(STEP + off, unspent=True)


def test_steps_outside_the_window_are_refused() -> None:
    """OTP3: one step, no more."""
    for off in (-10, -3, -2, 2, 3, 10):
        with case(off):
            assert otp.match(SEED, code(STEP + off), NOW, last_step=0) is None


@pytest.mark.parametrize("second", [0, 29])
def test_window_is_the_same_all_through_a_step(second: int) -> None:
    now = datetime.fromtimestamp(STEP * 30 + second, UTC)
    matched = [off for off in range(-3, 4) if otp.match(SEED, code(STEP + off), now, last_step=0)]
    assert matched == [-1, 0, 1]


def test_window_moves_at_the_end_of_a_step() -> None:
    end = datetime.fromtimestamp(STEP * 30 + 30, UTC)
    assert otp.match(SEED, code(STEP - 1), end - timedelta(microseconds=1), last_step=0) is not None
    assert otp.match(SEED, code(STEP - 1), end, last_step=0) is None


def test_spent_totp_step_is_known_as_spent() -> None:
    """OTP4: replay, by the step and not by the code."""
    assert otp.match(SEED, code(STEP), NOW, last_step=STEP) == CodeMatch(STEP, unspent=False)


def test_earlier_step_is_spent_once_a_later_one_was_used() -> None:
    """OTP4: N-1 after N."""
    assert otp.match(SEED, code(STEP - 1), NOW, last_step=STEP) == CodeMatch(STEP - 1, unspent=False)


def test_later_step_is_unspent_after_an_earlier_one() -> None:
    assert otp.match(SEED, code(STEP + 1), NOW, last_step=STEP) == CodeMatch(STEP + 1, unspent=True)


def test_a_b_a_is_refused() -> None:
    """OTP4: who keeps the last code only, accepts the first again after a second."""
    last = 0
    for step, unspent in ((STEP - 1, True), (STEP, True), (STEP - 1, False)):
        found = otp.match(SEED, code(step), NOW, last)
        assert found == CodeMatch(step, unspent)
        last = max(last, step)


COLLIDING_SEED = (3_343_629).to_bytes(otp.SEED_BYTES, "big")
"""Its codes of STEP and STEP + 1 are the same; found by search."""


def test_code_of_two_steps_counts_as_the_later_one() -> None:
    """OTP4: spending it has to spend both."""
    both = otp.code_at(COLLIDING_SEED, STEP)
    assert both == otp.code_at(COLLIDING_SEED, STEP + 1)
    assert otp.match(COLLIDING_SEED, both.encode(), NOW, last_step=STEP) == CodeMatch(STEP + 1, unspent=True)


def test_only_six_ascii_digits_are_a_code() -> None:
    """OTP5."""
    for typed in (
        b"",
        b"12345",
        b"1234567",
        b" 123456",
        b"123456 ",
        b"123 456",
        b"+12345",
        b"-12345",
        b"12345\n",
        b"123456\n",
        b"12345a",
        b"0x1234",
        b"1e1000",
        b"1_2345",
        "１２３４５６".encode(),
        "١٢٣٤٥٦".encode(),
        "¹²³⁴⁵⁶".encode(),
    ):
        with case(typed):
            assert not otp.is_code(typed)
            assert otp.match(SEED, typed, NOW, last_step=0) is None
            assert otp.drift(SEED, typed, NOW) is None


def test_right_code_in_full_width_digits_is_refused() -> None:
    """OTP5: pyotp by itself would take it (CVE-2025-6015 and its like)."""
    full_width = "".join(chr(ord("０") + int(digit)) for digit in code(STEP).decode())
    assert otp.match(SEED, full_width.encode(), NOW, last_step=0) is None


def test_drift_of_up_to_ten_steps_is_diagnosed_with_its_sign() -> None:
    """OTP7."""
    for off in range(-10, 11):
        with case(off):
            assert otp.drift(SEED, code(STEP + off), NOW) == off


@pytest.mark.parametrize("off", [-11, 11, 100])
def test_drift_beyond_ten_steps_is_not_diagnosed(off: int) -> None:
    """OTP7."""
    assert otp.drift(SEED, code(STEP + off), NOW) is None


def test_diagnosed_drift_is_never_accepted() -> None:
    """OTP7."""
    for off in range(-10, 11):
        accepted = otp.match(SEED, code(STEP + off), NOW, last_step=0) is not None
        assert accepted == (abs(off) <= 1)


def test_nearest_drift_is_told_where_a_code_comes_twice() -> None:
    both = otp.code_at(COLLIDING_SEED, STEP).encode()
    assert otp.drift(COLLIDING_SEED, both, NOW - timedelta(seconds=90)) == 3
    assert otp.drift(COLLIDING_SEED, both, NOW + timedelta(seconds=120)) == -3


@pytest.mark.parametrize("second", [0, 29, 30, 300])
def test_clock_of_a_machine_that_booted_in_1970_is_no_error(second: int) -> None:
    now = datetime.fromtimestamp(second, UTC)
    here = second // 30
    assert otp.match(SEED, code(here), now, last_step=-1) == CodeMatch(here, unspent=True)
    assert otp.match(SEED, b"000000", now, last_step=-1) is None
    assert otp.drift(SEED, code(here), now) == 0
    assert otp.drift(SEED, b"000000", now) is None


def test_first_step_of_all_has_a_code() -> None:
    assert otp.match(SEED, code(0), datetime.fromtimestamp(30, UTC), last_step=-1) == CodeMatch(0, unspent=True)
    assert otp.drift(SEED, code(0), datetime.fromtimestamp(60, UTC)) == -2


def test_only_a_step_beyond_the_window_lies_ahead() -> None:
    for parameters in (USUAL, TotpParameters(period_s=60)):
        here = otp.step_at(NOW, parameters)
        spent = (ActiveTotp(1, b"", "", here + off, parameters) for off in (-2, 0, 1, 2, 3))
        assert [otp.is_ahead(each, NOW) for each in spent] == [False, False, False, True, True]
        assert otp.latest_steps(NOW)[parameters.period_s] == here + 1


@pytest.mark.parametrize("off_s", [-90, -60, 0, 60, 119])
def test_window_is_of_an_authenticators_own_periods(off_s: int) -> None:
    minute = TotpParameters(digits=8, period_s=60, algorithm="SHA512")
    now = datetime.fromtimestamp(1_700_000_040, UTC)
    then = otp.step_at(now + timedelta(seconds=off_s), minute)
    shown = otp.code_at(SEED, then, minute).encode()
    found = otp.match(SEED, shown, now, 0, minute)
    assert (found is not None) is (abs(then - otp.step_at(now, minute)) <= 1)
    assert otp.match(SEED, shown[-6:], now, 0, minute) is None, "eight digits, and no fewer"
    assert otp.match(SEED, shown, now, 0) is None
