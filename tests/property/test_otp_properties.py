"""OTP2 to OTP5, OTP7 for any seed and any moment."""

import base64
from datetime import UTC, datetime

from hypothesis import assume, given
from hypothesis import strategies as st

from mailauth.core import otp

SEEDS = st.binary(min_size=20, max_size=20)
STEPS = st.integers(100, 2**33)
DIGITS = st.characters(categories=["Nd", "Nl", "No"])


def moment(step: int, second: int = 0) -> datetime:
    return datetime.fromtimestamp(step * otp.STEP_S + second, UTC)


@given(st.text(DIGITS, min_size=6, max_size=6) | st.text(st.characters(), max_size=8))
def test_code_is_six_ascii_digits_and_nothing_else(typed: str) -> None:
    """OTP5: whatever Unicode calls a digit."""
    is_one = len(typed) == 6 and all(character in "0123456789" for character in typed)
    assert otp.is_code(typed.encode("utf-8", "surrogatepass")) is is_one


@given(SEEDS, st.integers(100, 10**8), st.data())
def test_right_code_in_digits_of_another_script_is_refused(seed: bytes, step: int, data: st.DataObject) -> None:
    """OTP5."""
    code = otp.code_at(seed, step)
    zero = data.draw(st.sampled_from([0x0660, 0x06F0, 0x0966, 0xFF10, 0x1D7CE, 0x1D7D8]))
    translated = "".join(chr(zero + int(digit)) for digit in code)
    places = data.draw(st.sets(st.integers(0, 5), min_size=1))
    typed = "".join(translated[i] if i in places else code[i] for i in range(6))
    assert typed != code
    assert int(typed) == int(code)
    assert otp.match(seed, typed.encode(), moment(step), last_step=0) is None
    assert otp.drift(seed, typed.encode(), moment(step)) is None


@given(SEEDS, st.integers(100, 10**8), st.integers(0, 29), st.integers(-12, 12), st.integers(-3, 3))
def test_window_and_single_use(seed: bytes, step: int, second: int, off: int, last_off: int) -> None:
    """OTP3, OTP4: one step either side; spent up to the last step; never by the code alone."""
    codes = [otp.code_at(seed, step + n) for n in range(-12, 13)]
    assume(len(set(codes)) == len(codes))
    found = otp.match(seed, codes[off + 12].encode(), moment(step, second), last_step=step + last_off)
    if abs(off) > 1:
        assert found is None
    else:
        assert found == otp.CodeMatch(step + off, unspent=off > last_off)
    assert otp.drift(seed, codes[off + 12].encode(), moment(step, second)) == (off if abs(off) <= 10 else None)


@given(SEEDS)
def test_seed_in_base32_is_read_back(seed: bytes) -> None:
    """OTP2."""
    written = otp.base32(seed)
    assert len(written) == 32
    assert set(written) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    assert base64.b32decode(written) == seed
