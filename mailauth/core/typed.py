"""What people type or paste, folded to what they mean, where there is one reading of it and no other.

A code or an address that is copied from a mail, a page or a chat brings along what nobody sees: zero-width characters,
a byte order mark, no-break spaces, soft hyphens, marks of direction; or what stood around it: quotes, `mailto:`, `<>`.
None of that can be part of a code, nor of a name or an address as `names.py` and `mail_address.py` have them, so that
taking it off leaves nothing in doubt. Passwords are never folded: every character may be meant.

Digits of other scripts are read as digits in a field for a code alone. A secret that ends in a code, as mail programs
send it, takes ASCII digits only (requirement OTP5).
"""

import re
import unicodedata
from urllib.parse import unquote

from mailauth.core import alphabet, otp, recovery

MAX_ADDRESS_CHARACTERS = 1000
"""Of an address with what may stand around it; what is longer is none."""

_FORMATS = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
"""What leaves no trace on a screen, for a character class. Names have none of them (category Cf)."""
_SELECTORS = "\u034f\ufe00-\ufe0f"
"""Nor do these, but they are marks, which a name may have."""
_SPACES = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_DASHES = "\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
_JOINERS = "\u200c\u200d"
"""Some languages write them inside words, and so do their domains (RFC 5892 app. A)."""

_QUOTES = '"`\u00ab\u00bb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a\u300c\u300d\u300e\u300f\uff02'
_AROUND_CODE = re.compile(rf"[\s\-'{_SPACES}{_DASHES}{_FORMATS}{_SELECTORS}{_QUOTES}]+")
_UNSEEN = re.compile(f"[{_FORMATS}]")
_UNSEEN_BUT_JOINERS = re.compile(rf"(?![{_JOINERS}])[{_FORMATS}]")
_AT = re.compile("[\ufe6b\uff20]")
_IN_ANGLES = re.compile(r"[^<>]*<([^<>]*)>")
_MAILTO = re.compile(r"mailto:(?://)?", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9!#$&*+\-=?^_{|}~.][A-Za-z0-9!#$&'*+\-=?^_{|}~.@]*[A-Za-z0-9]")
_DIGITS = "0123456789"
_WIDE = range(0xFF01, 0xFF5F)
_WIDE_TO_ASCII = 0xFEE0


def code(text: str) -> str:
    """Return what was typed into a field for a code, without what may stand around and between its characters."""
    return "".join(_in_ascii(character) for character in _AROUND_CODE.sub("", text))


def address(text: str) -> str:
    """Return a typed name or address, out of what was copied around it. Without that it is returned as it stands."""
    if _PLAIN.fullmatch(text) or len(text) > MAX_ADDRESS_CHARACTERS:
        return text
    bare = _around_off(_AT.sub("@", _without_unseen(text)))
    angled = _IN_ANGLES.fullmatch(bare)
    if angled is not None:
        bare = _around_off(angled[1])
    scheme = _MAILTO.match(bare)
    if scheme is not None:
        local, at, domain = bare[scheme.end() :].rpartition("@")
        bare = unquote(local) + at + domain.partition("?")[0]
    # An apostrophe may begin a name, and end one without a domain.
    if "@" in bare and bare.startswith("'") and bare.endswith("'"):
        bare = bare[1:-1]
    return bare


def line(text: str) -> str:
    """Return typed words without what nobody sees in them, nor spaces around them."""
    return _UNSEEN.sub("", text).strip()


def generated(secret: bytes) -> bytes:
    """Return a secret that we may have made, in ASCII, out of what copying puts between its characters.

    Only where nothing else is left is it one: letters and digits of ASCII. Anything else is returned as it stands.
    """
    if secret.isascii():
        return secret
    try:
        bare = _AROUND_CODE.sub("", secret.decode("utf-8"))
    except UnicodeDecodeError:
        return secret
    return bare.encode("ascii") if bare.isascii() and bare.isalnum() else secret


def strange_in_code(folded: str, *, takes_recovery: bool) -> str:
    """Return the characters of a folded code that none has, each once: what somebody has to look at.

    What is mostly digits was meant as a verification code, the rest as a recovery code where one is taken.
    """
    digits = sum(character in _DIGITS for character in folded)
    is_recovery = takes_recovery and 2 * digits <= len(folded)
    allowed = alphabet.ALPHABET if is_recovery else _DIGITS
    return "".join(dict.fromkeys(character for character in folded if character.lower() not in allowed))


def is_possible_code(folded: str) -> bool:
    """Tell whether a folded code has the shape of a verification code or of a recovery code."""
    if any(otp.is_code(folded.encode("utf-8", "replace"), digits) for digits in otp.ALL_DIGITS):
        return True
    return alphabet.is_spelled(alphabet.fold(folded.encode("utf-8", "replace")), recovery.CHARACTERS)


def _without_unseen(text: str) -> str:
    local, at, domain = text.rpartition("@")
    if domain.isascii() or _UNSEEN.sub("", domain).isascii():
        return _UNSEEN.sub("", text)
    return _UNSEEN.sub("", local) + at + _UNSEEN_BUT_JOINERS.sub("", domain)


def _around_off(text: str) -> str:
    return text.lstrip(_SPACES + _QUOTES).rstrip(_SPACES + _QUOTES + ",;")


def _in_ascii(character: str) -> str:
    if character.isascii():
        return character
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    return chr(ord(character) - _WIDE_TO_ASCII) if ord(character) in _WIDE else character
