"""App passwords: generated secrets, each for one device.

24 characters in six groups of four: 5 select the row, 16 are the secret (80 bits), 3 are a checksum. The last
is always a letter, so that no end of it reads as a verification code. What has this shape and a right
checksum is an app password and nothing else: it is never tried as a password.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from mailauth.core import alphabet, typed
from mailauth.core.services import opens
from mailauth.vocabulary.model import Address, AppPassword
from mailauth.vocabulary.reasons import WhyDenied

CHARACTERS = 24
SELECTOR_CHARACTERS = 5
SECRET_CHARACTERS = 16
CAP_PER_ACCOUNT = 25

_BODY_CHARACTERS = SELECTOR_CHARACTERS + SECRET_CHARACTERS
_ENTROPY_BYTES = (_BODY_CHARACTERS * alphabet.BITS_PER_CHARACTER + 7) // 8
_TYPED_BYTES = range(CHARACTERS, 2 * CHARACTERS)
"""What can be one: 24 characters bare, up to a separator between any two of them."""
_PASTED_BYTES = range(CHARACTERS, 6 * CHARACTERS)
"""The same with what copying brings along beyond ASCII: up to three bytes a character, and some at the ends."""


class Token(NamedTuple):
    """A presented app password, split: which row it means, and the secret to compare."""

    selector: str
    secret: bytes


def generate(draw: Callable[[int], bytes]) -> str:
    """Return a new app password, folded. `draw(n)` gives n random bytes."""
    body = alphabet.spell(draw(_ENTROPY_BYTES), _BODY_CHARACTERS)
    return body + _checksum(body.encode("ascii"))


def read(presented: bytes) -> Token | None:
    """Do the same as `recognise` for what somebody pasted, with separators beyond ASCII and what nobody sees."""
    if presented.isascii() or len(presented) not in _PASTED_BYTES:
        return recognise(presented)
    return recognise(typed.generated(presented))


def recognise(presented: bytes) -> Token | None:
    """Return the parts of what is shaped like an app password, with a right checksum; otherwise None."""
    if len(presented) not in _TYPED_BYTES:
        return None
    folded = alphabet.fold(presented)
    if not alphabet.is_spelled(folded, CHARACTERS):
        return None
    body = folded[:_BODY_CHARACTERS]
    if _checksum(body).encode("ascii") != folded[_BODY_CHARACTERS:]:
        return None
    return Token(body[:SELECTOR_CHARACTERS].decode("ascii"), body[SELECTOR_CHARACTERS:])


def is_live(found: AppPassword, now: datetime) -> bool:
    """Tell whether an app password is neither revoked nor expired."""
    return found.revoked_at is None and (found.expires_at is None or now < found.expires_at)


def has_expired(found: AppPassword, now: datetime) -> bool:
    """Tell whether an app password came to its end by itself: now, or when a clock that is set back said so."""
    if found.expires_at is None:
        return False
    return found.revoked_at == found.expires_at if found.revoked_at is not None else now >= found.expires_at


def refusal(found: AppPassword, service: str, client: Address | None, now: datetime) -> WhyDenied | None:
    """Return why an app password whose secret was right does not open this; None where it does."""
    if found.account_disabled:
        return WhyDenied.ACCOUNT_DISABLED
    if has_expired(found, now):
        return WhyDenied.APP_PASSWORD_EXPIRED
    if found.revoked_at is not None:
        return WhyDenied.APP_PASSWORD_REVOKED
    if not opens(found.services, service):
        return WhyDenied.APP_PASSWORD_SERVICE
    if found.networks and not (client is not None and any(client in network for network in found.networks)):
        return WhyDenied.APP_PASSWORD_NETWORK
    return None


def _checksum(body: bytes) -> str:
    # Unkeyed on purpose: it catches typing mistakes and tells this shape from passwords, and proves nothing.
    digest = hashlib.sha256(b"mailauth app password\x00" + body).digest()
    ten_bits = (digest[0] << 2) | (digest[1] >> 6)
    return _PAIRS[ten_bits] + alphabet.LETTERS[digest[2] % len(alphabet.LETTERS)]


_PAIRS = tuple(first + second for first in alphabet.ALPHABET for second in alphabet.ALPHABET)
