"""How one presented string is read: where the password ends and the second factor begins.

The reading depends on the account's state and on the string's shape, and there is exactly one: a string is
never tried in two ways. Trying both would give a guesser two chances for one, and passwords that end in
digits would be ambiguous.
"""

import re
from typing import NamedTuple

from mailauth.core import recovery

MAX_SECRET_BYTES = 512
"""Checked before any hash: a cap behind the hash would be a timing oracle (CVE-2016-6515)."""

MAX_BLANKS = 4
"""Behind a code, where a keyboard or a paste has put them; who types more means them."""

_CODE_TAILS = {
    digits: re.compile(rb"(?:[0-9]{%d}|[0-9]{%d} [0-9]{%d})\Z" % (digits, digits // 2, digits // 2))
    for digits in (6, 8)
}
_BLANKS = re.compile(rb"%b{1,%d}\Z" % (recovery.BLANK, MAX_BLANKS))
_SET_APART = re.compile(rb"(?:%b|[+:,;/_.])\Z" % recovery.SEPARATOR)
_CONTROLS = bytes([*range(0x20), 0x7F])


class Password(NamedTuple):
    """The whole string is the password."""

    password: bytes


class PasswordAndCode(NamedTuple):
    """A password with a verification code appended; the code is six or eight ASCII digits."""

    password: bytes
    code: bytes


class PasswordAndRecoveryCode(NamedTuple):
    """A password with a recovery code appended; the code is folded."""

    password: bytes
    recovery_code: bytes


Presented = Password | PasswordAndCode | PasswordAndRecoveryCode


def is_presentable(secret: bytes) -> bool:
    """Tell whether a string can be a secret at all: 1 to 512 bytes without NUL and control characters."""
    return 0 < len(secret) <= MAX_SECRET_BYTES and len(secret.translate(None, _CONTROLS)) == len(secret)


def split(secret: bytes, *, digits: int | None) -> Presented:
    """Return the one reading of a presented string. `digits`: of the account's codes; None for who is not enrolled.

    Not enrolled: all of it is the password, trailing digits and blanks and all. Enrolled: a tail of so many ASCII
    digits (one space in their middle allowed, as apps display them) is a code; a tail of a recovery code's shape is
    one; with neither tail there is no second factor. A few blanks behind a code belong to the tail, since keyboards
    and pasting add them. What stands before a code belongs to the password, a blank as well: passwords may end in one.
    """
    if digits is None:
        return Password(secret)
    blanks = _BLANKS.search(secret)
    bare = secret if blanks is None else secret[: blanks.start()]
    code = _CODE_TAILS[digits].search(bare)
    if code is not None:
        return PasswordAndCode(bare[: code.start()], code[0].replace(b" ", b""))
    length = recovery.tail_length(bare)
    if length:
        return PasswordAndRecoveryCode(bare[:-length], recovery.folded(bare[-length:]))
    return Password(secret)


def is_set_apart(password: bytes) -> bool:
    """Tell whether what stood before a code ends as if its owner had set the code apart: `password 123456`."""
    return _SET_APART.search(password) is not None
