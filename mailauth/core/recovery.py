"""Recovery codes: single-use look-up secrets (NIST SP 800-63B s3.1.2) in place of a verification code.

`k7qm-2xvp-9hfd-c3wn`: 16 characters of the alphabet, 80 bits. They are stored as a keyed HMAC and spent by
compare-and-set; neither is done here.
"""

import re
from collections.abc import Callable

from mailauth.core import alphabet

CHARACTERS = 16
CODES_PER_SET = 10
_ENTROPY_BYTES = CHARACTERS * alphabet.BITS_PER_CHARACTER // 8

_TAIL = re.compile(rb"(?:[a-km-np-zA-KM-NP-Z2-9]{4}[- ]?){3}[a-km-np-zA-KM-NP-Z2-9]{4}\Z")


def generate(draw: Callable[[int], bytes]) -> str:
    """Return a new code, folded. `draw(n)` gives n random bytes.

    A code whose last six characters are digits is drawn again (2 in 10,000 are): at the end of a password it
    would read as a verification code. That costs less than a thousandth of a bit.
    """
    while True:
        code = alphabet.spell(draw(_ENTROPY_BYTES), CHARACTERS)
        if not code[-6:].isdigit():
            return code


def generate_set(draw: Callable[[int], bytes]) -> tuple[str, ...]:
    """Return the codes of one set, folded and all different."""
    codes: dict[str, None] = {}
    while len(codes) < CODES_PER_SET:
        codes[generate(draw)] = None
    return tuple(codes)


def tail_length(presented: bytes) -> int:
    """Return how many bytes at the end of a presented secret have the shape of a recovery code; 0 for none.

    Dashes or spaces may stand between the groups of four, and nowhere else.
    """
    found = _TAIL.search(presented[-(CHARACTERS + 3) :])
    return 0 if found is None else len(found[0])
