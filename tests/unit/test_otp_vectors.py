"""OTP1: the published vectors."""

import base64
from datetime import UTC, datetime

import pytest

from mailauth.core import otp
from tests.cases import case

SEED = b"12345678901234567890"

RFC_4226_APPENDIX_D = (
    "755224", "287082", "359152", "969429", "338314",
    "254676", "287922", "162583", "399871", "520489",
)  # fmt: skip

# The SHA-1 rows of RFC 6238 appendix B have eight digits; a code of six is their last six (RFC 4226 s5.3).
RFC_6238_APPENDIX_B = (
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
)


def test_codes_are_those_of_rfc_4226_appendix_d() -> None:
    for counter, code in list(enumerate(RFC_4226_APPENDIX_D)):
        with case(counter, code):
            assert otp.code_at(SEED, counter) == code


def test_codes_are_those_of_rfc_6238_appendix_b() -> None:
    for second, code in RFC_6238_APPENDIX_B:
        with case(second, code):
            now = datetime.fromtimestamp(second, UTC)
            assert otp.code_at(SEED, otp.step_at(now)) == code[-6:]
            assert otp.match(SEED, code[-6:].encode(), now, last_step=-1) == otp.CodeMatch(second // 30, unspent=True)


@pytest.mark.parametrize(
    ("second", "step"), [(0, 0), (29, 0), (29.999, 0), (30, 1), (59, 1), (60, 2), (1111111109, 37037036)]
)
def test_step_changes_every_thirty_seconds(second: float, step: int) -> None:
    """RFC 6238 s4.2."""
    assert otp.step_at(datetime.fromtimestamp(second, UTC)) == step


def test_seed_is_160_bits_and_32_characters_without_padding() -> None:
    """OTP2."""
    written = otp.base32(bytes(range(otp.SEED_BYTES)))
    assert otp.SEED_BYTES * 8 == 160
    assert written == "AAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQT"
    assert len(written) == 32


def test_no_padding_is_written_for_seeds_of_other_lengths() -> None:
    assert otp.base32(b"x") == "PA"


@pytest.mark.parametrize("written", ["A" * 31 + "X", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "GEZDGNBVGY"])
def test_seed_is_written_in_base32_to_its_last_character_and_without_padding(written: str) -> None:
    """OTP2."""
    padding = "=" * (-len(written) % 8)
    assert otp.base32(base64.b32decode(written + padding)) == written
