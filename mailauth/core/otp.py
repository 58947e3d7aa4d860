"""Time-based one-time passwords: which step a code belongs to, and the URI that an app scans.

pyotp computes the codes and the URI. Which step matched is found here, because single use is enforced by
step (RFC 6238 s5.2), and because pyotp takes digits of other scripts, which are refused here.
Spending a step is not done here: that is a compare-and-set in the database. A step is counted in the authenticator's
own periods.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, tzinfo

import pyotp

from mailauth.vocabulary.model import USUAL, ActiveTotp, TotpParameters

STEP_S = USUAL.period_s
"""RFC 6238 s5.2: 30 seconds are recommended, and both named apps honour nothing else."""
DIGITS = USUAL.digits
ALL_DIGITS = (6, 8)
"""How many digits a code may have."""
PERIODS_S = (30, 60)
ALGORITHMS = {"SHA1": hashlib.sha1, "SHA256": hashlib.sha256, "SHA512": hashlib.sha512}
"""Of the Key URI format (RFC 6238 s1.2)."""
WINDOW_STEPS = 1
"""RFC 6238 s5.2: at most one step of network delay either side."""
SEED_BYTES = 20
"""RFC 4226 s4 R6: 160 bits are recommended; 32 characters of base32 without padding."""
DRIFT_REACH_STEPS = 10
"""How far a wrong clock is diagnosed; nothing beyond the window is ever accepted."""

_CODES = {digits: re.compile(rb"[0-9]{%d}" % digits) for digits in ALL_DIGITS}


class _Hotp(pyotp.HOTP):
    """pyotp refuses seeds of less than 112 bits (NIST SP 800-63B s3.1.4), and people have some, for years."""

    min_secret_length_bits = 80


@dataclass(frozen=True, slots=True)
class CodeMatch:
    """What a presented code is, for one seed: the step it belongs to, and whether that step is still unspent."""

    step: int
    unspent: bool


def step_at(now: datetime, parameters: TotpParameters = USUAL) -> int:
    """Return the step that a moment lies in."""
    return int(now.timestamp()) // parameters.period_s


def is_code(text: bytes, digits: int = DIGITS) -> bool:
    """Tell whether these bytes are that many ASCII digits."""
    return _CODES[digits].fullmatch(text) is not None


def code_at(seed: bytes, step: int, parameters: TotpParameters = USUAL) -> str:
    """Return the code of a step (RFC 6238 s4.2, RFC 4226 s5.3)."""
    digest = ALGORITHMS[parameters.algorithm]
    return _Hotp(base32(seed), digits=parameters.digits, digest=digest).at(step)


def match(
    seed: bytes, code: bytes, now: datetime, last_step: int, parameters: TotpParameters = USUAL
) -> CodeMatch | None:
    """Return the step within the window that a code belongs to, or None.

    Every step of the window is computed and compared in constant time, whichever matches. Should a code
    belong to two of them, the later one counts, so that spending it spends both.
    `last_step` is the last step that was spent; any step up to it is spent as well.
    """
    if not is_code(code, parameters.digits):
        code = b"-" * parameters.digits
    here = step_at(now, parameters)
    found: int | None = None
    for step in range(max(0, here - WINDOW_STEPS), here + WINDOW_STEPS + 1):  # a dead clock begins in 1970
        if hmac.compare_digest(code_at(seed, step, parameters).encode(), code):
            found = step
    return None if found is None else CodeMatch(found, unspent=found > last_step)


def is_ahead(totp: ActiveTotp, now: datetime) -> bool:
    """Tell whether a step was spent that is later than all accepted now: the clock was ahead, or is behind."""
    return totp.last_step > step_at(now, totp.parameters) + WINDOW_STEPS


def latest_steps(now: datetime) -> dict[int, int]:
    """Return the last step whose code is accepted now, for each period in seconds that there is."""
    return {each: step_at(now, TotpParameters(period_s=each)) + WINDOW_STEPS for each in PERIODS_S}


def drift(seed: bytes, code: bytes, now: datetime) -> int | None:
    """Return by how many steps the clock that made a code is off, within the reach; None where it isn't that.

    Positive: that clock is ahead. For telling people who set one of ours up, never for accepting.
    """
    if not is_code(code):
        return None
    here = step_at(now)
    for distance in range(DRIFT_REACH_STEPS + 1):
        for off in (distance, -distance):
            if here + off >= 0 and hmac.compare_digest(code_at(seed, here + off).encode(), code):
                return off
    return None


def base32(seed: bytes) -> str:
    """Return a seed as apps take it: base32 without padding (Key URI format)."""
    return base64.b32encode(seed).decode("ascii").rstrip("=")


def label(account: str, begun_at: datetime, in_force_since: datetime | None, zone: tzinfo) -> str:
    """Return how an app is to name an authenticator: as the account; with its day where another one is in force.

    Some apps (Microsoft Authenticator) put a new entry into the place of one with the same issuer and label, at once:
    the old one would be gone before the new one is proved. On the day of the old one the time tells them apart; it has
    no colon, which labels must not have.
    """
    if in_force_since is None:
        return account
    begun = begun_at.astimezone(zone)
    is_same_day = in_force_since.astimezone(zone).date() == begun.date()
    return f"{account} {begun:%Y-%m-%d %H.%M}" if is_same_day else f"{account} {begun:%Y-%m-%d}"


def uri(seed: bytes, account: str, issuer: str) -> str:
    """Return the `otpauth://totp/` URI, with the issuer in label and parameter (Key URI format).

    SHA-1, six digits and 30 s are the format's defaults and stay unsaid: both named apps ignore or refuse
    other values. Raises ValueError where issuer or account contain a colon, which would end the label's prefix.
    """
    if ":" in issuer or ":" in account:
        raise ValueError("neither issuer nor account may contain a colon (Key URI format)")
    return pyotp.TOTP(base32(seed), digits=DIGITS, interval=STEP_S).provisioning_uri(name=account, issuer_name=issuer)
