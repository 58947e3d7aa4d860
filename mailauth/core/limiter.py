"""The limiter: which buckets an attempt draws from, and what it gets back. Pure; the store counts.

Each bucket is GCRA (the ITU-T I.371 leaky bucket as a meter): it admits `burst` at once and one more every
`interval_s`. An attempt draws from its buckets *before* anything is verified, so that parallel guesses all
count, and gets back afterwards what its outcome does not owe:

    attempt ──draw──> refused ───────────────────────────────> throttled: try again later, nothing was verified
               └────> admitted ──verify──> granted ──────────> all given back
                                   ├─────> code wrong ───────> nothing given back
                                   └─────> otherwise denied ─> the draw for the code given back

What an attempt guesses at is told from its shape alone, so that the buckets do not tell who is enrolled. A source
from which an account logged in within 30 days is familiar to it and does not draw from the account's
common bucket, so that strangers cannot lock the owner out. A wrong password that was shown before, bare, is no new
guess and draws from a wider bucket of its own: a telephone with an old password must not ban its owner. What no
bucket limits is what cannot be guessed: app passwords.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv6Address, ip_network
from typing import NamedTuple

from mailauth.vocabulary.model import Address, Denied, Granted, Network, Reason, Unavailable, Verdict

FAMILIAR_FOR = timedelta(days=30)
FAMILIAR_REFRESH = timedelta(days=1)
"""How old the note of a familiar source has to be before a login renews it: not every login needs a write."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many at once, and how many seconds for one more."""

    burst: int
    interval_s: float

    @property
    def interval_ms(self) -> int:
        """The interval as the store counts it."""
        return round(self.interval_s * 1000)


@dataclass(frozen=True, slots=True)
class Limits:
    """The rates of all buckets."""

    source: Rate
    site: Rate
    account_and_source: Rate
    account: Rate
    code: Rate
    repeat: Rate


class Kind(StrEnum):
    """What a bucket counts."""

    SOURCE = "source"
    SITE = "site"
    ACCOUNT_AND_SOURCE = "account+source"
    ACCOUNT = "account"
    CODE = "code"
    REPEAT = "repeat"


class Bucket(NamedTuple):
    """One bucket: what it counts, of whom, and its rate."""

    kind: Kind
    subject: str
    rate: Rate

    @property
    def key(self) -> str:
        """The row that counts it."""
        return f"{self.kind} {self.subject}"


class Source(NamedTuple):
    """Where an attempt comes from, as it is counted: an address (IPv6: its /64), the /48 around it, or nowhere."""

    network: str
    site: str | None
    is_trusted: bool


NOWHERE = "-"
"""The network of an attempt whose door does not say where it comes from."""


def source_of(client: Address | None, trusted: Sequence[Network]) -> Source:
    """Return the source of an attempt. Trusted networks (a web mail host) speak for many people."""
    if client is None:
        return Source(NOWHERE, None, is_trusted=True)
    is_trusted = any(client in network for network in trusted)
    if isinstance(client, IPv6Address):
        # A customer commonly holds a /64 at least; a site a /48 (RFC 6177).
        around_64 = ip_network((client, 64), strict=False)
        around_48 = ip_network((client, 48), strict=False)
        return Source(str(around_64), str(around_48), is_trusted)
    return Source(str(client), None, is_trusted)


class Guess(StrEnum):
    """What an attempt can guess at."""

    PASSWORD = "password"
    PASSWORD_AND_CODE = "password and code"
    RECOVERY_CODE = "password and recovery code"
    REPEAT = "nothing new"


def buckets(limits: Limits, account: str, source: Source, guess: Guess, *, is_familiar: bool) -> tuple[Bucket, ...]:
    """Return the buckets that an attempt draws from, all of which have to admit it."""
    both = f"{account} {source.network}"
    if guess is Guess.REPEAT:
        return (Bucket(Kind.REPEAT, both, limits.repeat),)
    drawn: list[Bucket] = []
    if not source.is_trusted:
        drawn.append(Bucket(Kind.SOURCE, source.network, limits.source))
        if source.site is not None:
            drawn.append(Bucket(Kind.SITE, source.site, limits.site))
    # A trusted source speaks for many people, strangers among them: familiar or not, it is counted like one.
    rate = limits.account if source.is_trusted else limits.account_and_source
    drawn.append(Bucket(Kind.ACCOUNT_AND_SOURCE, both, rate))
    if guess is Guess.RECOVERY_CODE:
        return tuple(drawn)  # 80 bits are not guessed; who needs one must not be locked out by strangers elsewhere
    if not is_familiar:
        drawn.append(Bucket(Kind.ACCOUNT, account, limits.account))
    if guess is Guess.PASSWORD_AND_CODE:
        drawn.append(Bucket(Kind.CODE, both if is_familiar else account, limits.code))
    return tuple(drawn)


def bucket_of(key: str, limits: Limits, trusted: Sequence[Network]) -> Bucket:
    """Return the bucket that a row counts, by its key. Raises ValueError for a key that is none."""
    word, _, subject = key.partition(" ")
    kind = Kind(word)
    rates = {
        Kind.SOURCE: limits.source,
        Kind.SITE: limits.site,
        Kind.ACCOUNT_AND_SOURCE: limits.account_and_source,
        Kind.ACCOUNT: limits.account,
        Kind.CODE: limits.code,
        Kind.REPEAT: limits.repeat,
    }
    network = subject.rpartition(" ")[2]
    if kind is Kind.ACCOUNT_AND_SOURCE and (network == NOWHERE or _is_of(network, trusted)):
        return Bucket(kind, subject, limits.account)
    return Bucket(kind, subject, rates[kind])


def _is_of(network: str, trusted: Sequence[Network]) -> bool:
    around = ip_network(network)
    # An IPv6 source is counted by its /64, of which a smaller network may be trusted.
    return any(around.version == one.version and around.overlaps(one) for one in trusted)


@dataclass(frozen=True, slots=True)
class Filling:
    """How full a bucket is: how many draws it has left, until when it refuses any, when it is empty."""

    bucket: Bucket
    left: int
    blocked_until: datetime | None
    empty_at: datetime


def filling(bucket: Bucket, reach: datetime, now: datetime) -> Filling:
    """Return how full a bucket is whose draws reach to a moment."""
    step_ms = bucket.rate.interval_ms
    all_but_one_ms = step_ms * (bucket.rate.burst - 1)
    spare_ms = all_but_one_ms - (reach - now) // timedelta(milliseconds=1)  # whole numbers: bursts may be huge
    if spare_ms < 0:
        return Filling(bucket, 0, reach - timedelta(milliseconds=all_but_one_ms), reach)
    return Filling(bucket, min(bucket.rate.burst, spare_ms // step_ms + 1), None, reach)


def owed_back(verdict: Verdict, drawn: Sequence[Bucket]) -> tuple[Bucket, ...]:
    """Return the buckets that an attempt gets its draw back from."""
    match verdict:
        case Granted() | Denied(reason=Reason.CODE_REPLAYED_BY_SAME_CLIENT | Reason.CODE_SPENT_AHEAD):
            return tuple(drawn)
        case Denied(reason=Reason.CODE_WRONG) | Unavailable():
            return ()
        case Denied():
            # The code was not guessed at with a right password, or it was no guess but a replay.
            return tuple(bucket for bucket in drawn if bucket.kind is Kind.CODE)


_NO_GUESS_AGAIN = frozenset(
    {
        Reason.PASSWORD_WRONG,
        Reason.CODE_MISSING,
        Reason.NOT_ENROLLED,
        # Alike, so that the hour of throttling does not tell which accounts exist (requirement ENU1).
        Reason.ACCOUNT_UNKNOWN,
        Reason.ACCOUNT_DISABLED,
    }
)


def is_settled(verdict: Verdict) -> bool:
    """Tell whether the same bare password can only fail again while the account does not change.

    To be asked about bare passwords alone. A right password with a wrong code is a new guess each time, since
    that code comes true in some later step (requirement LIM7); were a wrong password with a code not one as well,
    throttling would tell the two apart.
    """
    return isinstance(verdict, Denied) and verdict.reason in _NO_GUESS_AGAIN
