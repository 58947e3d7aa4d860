"""OTP1: the published vectors."""

import base64
from datetime import UTC, datetime

import pytest

from mailauth.core import otp
from mailauth.vocabulary.model import TotpParameters
from tests.cases import case

SEED = b"12345678901234567890"

RFC_4226_APPENDIX_D = (
    "755224", "287082", "359152", "969429", "338314",
    "254676", "287922", "162583", "399871", "520489",
)  # fmt: skip

# The rows of RFC 6238 appendix B have eight digits; a code of six is their last six (RFC 4226 s5.3).
RFC_6238_APPENDIX_B = (
    (59, "94287082", "46119246", "90693936"),
    (1111111109, "07081804", "68084774", "25091201"),
    (1111111111, "14050471", "67062674", "99943326"),
    (1234567890, "89005924", "91819424", "93441116"),
    (2000000000, "69279037", "90698825", "38618901"),
    (20000000000, "65353130", "77737706", "47863826"),
)
"""Of SHA-1, SHA-256 and SHA-512, whose seeds are as long as their output (errata 2866)."""


def test_codes_are_those_of_rfc_4226_appendix_d() -> None:
    for counter, code in list(enumerate(RFC_4226_APPENDIX_D)):
        with case(counter, code):
            assert otp.code_at(SEED, counter) == code


def test_codes_are_those_of_rfc_6238_appendix_b() -> None:
    for second, code, *_ in RFC_6238_APPENDIX_B:
        with case(second, code):
            now = datetime.fromtimestamp(second, UTC)
            assert otp.code_at(SEED, otp.step_at(now)) == code[-6:]
            assert otp.match(SEED, code[-6:].encode(), now, last_step=-1) == otp.CodeMatch(second // 30, unspent=True)


def test_codes_of_other_parameters_are_those_of_rfc_6238_appendix_b() -> None:
    for second, *codes in RFC_6238_APPENDIX_B:
        for (algorithm, size), code in zip((("SHA1", 20), ("SHA256", 32), ("SHA512", 64)), codes, strict=True):
            with case(second, algorithm):
                parameters = TotpParameters(digits=8, algorithm=algorithm)
                seed, now = (SEED * 4)[:size], datetime.fromtimestamp(second, UTC)
                assert otp.code_at(seed, second // 30, parameters) == code
                assert otp.match(seed, code.encode(), now, -1, parameters) == otp.CodeMatch(second // 30, unspent=True)


def test_seed_of_80_bits_that_somebody_brings_along_has_codes() -> None:
    """Older google-authenticator and Roundcube's plugin made such. By oathtool: --base32 GEZDGNBVGY3TQOJQ -c 1."""
    assert otp.code_at(b"1234567890", 1) == "263420"


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
