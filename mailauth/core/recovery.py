"""Recovery codes: single-use look-up secrets (NIST SP 800-63B s3.1.2) in place of a verification code.

`k7qm-2xvp-9hfd-c3wn`: 16 characters of the alphabet, 80 bits. They are stored as a keyed HMAC and spent by
compare-and-set; neither is done here.
"""

import re
from collections.abc import Callable

from mailauth.core import alphabet

CHARACTERS = 16
CODES_PER_SET = 10
_GROUPS = CHARACTERS // alphabet.GROUP
_ENTROPY_BYTES = (CHARACTERS * alphabet.BITS_PER_CHARACTER + 7) // 8

SEPARATOR = (
    rb"(?:[- ]|\xc2[\xa0\xad]|\xe2\x80[\x80-\x95\xaa-\xaf]|\xe2\x81[\x9f-\xa4\xa6-\xaf]|\xe2\x88\x92|"
    rb"\xe3\x80\x80|\xef\xbb\xbf)"
)
"""A space, a dash, or what nobody sees, in UTF-8: what pasting brings along. As a regular expression."""

BLANK = rb"(?:[ ]|\xc2[\xa0\xad]|\xe2\x80[\x80-\x8f\xaa-\xaf]|\xe2\x81[\x9f-\xa4\xa6-\xaf]|\xe3\x80\x80|\xef\xbb\xbf)"
"""The same without dashes."""

_CHARACTER = rb"[a-km-np-zA-KM-NP-Z2-9]"
_GROUP = rb"%b{%d}" % (_CHARACTER, alphabet.GROUP)
_TAIL = re.compile(rb"(?:%b%b?){%d}%b\Z" % (_GROUP, SEPARATOR, _GROUPS - 1, _GROUP))
_SEPARATORS = re.compile(SEPARATOR)
_TAIL_BYTES = CHARACTERS + 3 * (_GROUPS - 1)
"""At most, with separators of three bytes each."""


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
    found = _TAIL.search(presented[-_TAIL_BYTES:])
    return 0 if found is None else len(found[0])


def folded(tail: bytes) -> bytes:
    """Return such an end of a secret without separators, in lower case."""
    return alphabet.fold(_SEPARATORS.sub(b"", tail))
