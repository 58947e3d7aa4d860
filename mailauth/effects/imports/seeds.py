"""Seeds and parameters as other software writes them. What is wrong with one is said without anything of it."""

import base64
import binascii
import re
from typing import Final

from mailauth.core import otp
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import TotpParameters

MIN_SEED_BYTES: Final = 10
"""google-authenticator's own, for years. RFC 4226 s4 R6 wants 16; but whoever has one has it on a phone."""
MAX_SEED_BYTES: Final = 128
"""The block of SHA-512 (RFC 2104 s2): a longer one would be hashed first, and is nobody's."""
_HEX = re.compile(r"[0-9A-Fa-f]*")


def from_base32(text: str) -> bytes:
    """Return the bytes of a seed in base32 (RFC 4648 s6), with or without padding, spaces, dashes and capitals.

    Raises InvalidValue.
    """
    bare = re.sub(r"[\s-]", "", text).rstrip("=").upper()
    try:
        return _checked(base64.b32decode(bare + "=" * (-len(bare) % 8)))
    except (binascii.Error, ValueError):
        raise InvalidValue("its secret is no base32") from None


def from_hex(text: str) -> bytes:
    """Return the bytes of a seed in hexadecimal. Raises InvalidValue."""
    if len(text) % 2 or not _HEX.fullmatch(text):
        raise InvalidValue("its secret is no hexadecimal")
    return _checked(bytes.fromhex(text))


def parameters(digits: int | str, period_s: int | str, algorithm: str = "SHA1") -> TotpParameters:
    """Return how codes are made, as far as that can be checked here. Raises InvalidValue for other parameters."""
    try:
        made = TotpParameters(int(digits), int(period_s), algorithm.upper().replace("-", "").replace("HMAC", ""))
    except ValueError:
        raise InvalidValue("its digits or its period is no number") from None
    if made.digits not in otp.ALL_DIGITS:
        raise InvalidValue(f"its codes have {made.digits} digits; 6 or 8 can be checked")
    if made.period_s not in otp.PERIODS_S:
        raise InvalidValue(f"its codes last {made.period_s} s; 30 or 60 can be checked")
    if made.algorithm not in otp.ALGORITHMS:
        raise InvalidValue(f"its hash is {algorithm[:20]!a}; {', '.join(otp.ALGORITHMS)} can be checked")
    return made


def _checked(seed: bytes) -> bytes:
    if not MIN_SEED_BYTES <= len(seed) <= MAX_SEED_BYTES:
        raise InvalidValue(f"its secret has {len(seed)} bytes; {MIN_SEED_BYTES} to {MAX_SEED_BYTES} are taken")
    return seed
