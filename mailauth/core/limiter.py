"""The limiter: which buckets an attempt draws from, what a full one means, and what is given back. Pure.

Each bucket is GCRA (the ITU-T I.371 leaky bucket as a meter): it admits `burst` at once and one more every
`interval_s`. An attempt draws *before* anything is verified, so that parallel guesses all count, from two groups:

    bounding   what an attempt costs, by where it comes from. Full: answered "throttled", and nothing is verified.
    counting   guesses at this account. Full: verified all the same, but a login is let in only if both of its
               factors are right, and everything else is answered "throttled", in the same words and time.

So whoever fills an account's buckets with nonsense learns nothing, keeps nobody out who has both factors, and the
answer does not depend on the string (requirements LIM1, ENU1). Two more groups count what was half right, when that is
known. Whoever has neither half cannot fill them: they empty faster than codes are guessed by luck. Nobody is let in
beyond them; and while one is full nothing looks different to anybody else, since a difference would tell that a half
is right:

    codes      wrong codes with a right password. Full: no code is right any more.
    factors    wrong passwords with a right code, or with a right recovery code. Full: the way in by both is closed.

A string that was refused before, from the same network, is a *repetition*: a telephone with an old password must not
ban its owner. It draws from a bucket of its own instead of all of these, and as a guess when that one is full; but it
is answered like every other string while one of these is full, since a different answer would tell whoever shares the
network what the telephone sends. What was refused while the account was full was not told: shown again it costs what
a repetition does, and is a guess all the same. What no bucket limits is what cannot be guessed: app passwords.

Networks are familiar to an account in three ways. One from which it logged in by its password or both factors does not
draw from the account's common bucket, so that strangers cannot lock its owner out at home. Those in which only app
passwords are used have one common bucket for all of them instead. One from which both factors were given has a bucket
for codes of its own. All end after 30 days and with each change of password, factor or state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from ipaddress import IPv6Address, ip_network
from typing import NamedTuple

from mailauth.vocabulary.model import Address, Denied, Granted, Network, Verdict
from mailauth.vocabulary.reasons import WhyDenied

FAMILIAR_FOR = timedelta(days=30)
FAMILIAR_REFRESH = timedelta(days=1)
"""How old the note of a familiar network has to be before a login renews it: not every login needs a write."""
MAX_NETWORKS_BY_APP_PASSWORD = 16
"""How many networks app passwords make familiar to one account at once; the oldest goes first."""
MAX_NETWORKS = 256
"""How many networks are noted of one account at all."""
OUT_OF_ORDER_MS = 60_000
"""By how much what was received before may be counted after: the longest deadline (`server.deadline_s`)."""
SITE_FACTOR = 10
"""How many times what one /64 may repeat the /48 around it may: as many as for guesses, by default."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many at once, and how many seconds for one more."""

    burst: int
    interval_s: float

    @property
    def interval_ms(self) -> int:
        """The interval as the store counts it."""
        return round(self.interval_s * 1000)

    @property
    def reach_ms(self) -> int:
        """How far into the future the draws of a full bucket reach."""
        return self.interval_ms * self.burst

    def times(self, factor: int) -> "Rate":
        """Return a rate that admits so many times as much."""
        return Rate(self.burst * factor, self.interval_s / factor)


@dataclass(frozen=True, slots=True)
class Limits:
    """The rates of all buckets."""

    source: Rate
    site: Rate
    account_and_source: Rate
    account: Rate
    factor: Rate
    code: Rate
    code_and_source: Rate
    repeat: Rate


class Kind(StrEnum):
    """What a bucket counts."""

    SOURCE = "source"
    SITE = "site"
    REPEAT = "repeat"
    ACCOUNT_AND_SOURCE = "account+source"
    ACCOUNT = "account"
    ACCOUNT_BY_DEVICE = "account-devices"
    FACTOR = "factor"
    FACTOR_RECOVERY = "factor-recovery"
    CODE = "code"
    CODE_FAMILIAR = "code-familiar"
    CODE_AND_SOURCE = "code+source"


class Bucket(NamedTuple):
    """One bucket: what it counts, of whom, and its rate."""

    kind: Kind
    subject: str
    rate: Rate

    @property
    def key(self) -> str:
        """The row that counts it."""
        return f"{self.kind} {self.subject}"


class Level(NamedTuple):
    """How full a bucket is: until when its draws reach, and when it was drawn from last, in ms since 1970.

    The second says how full it is where the clock was set back since: what it had then, it has now.
    """

    arrival_ms: int
    drawn_at_ms: int

    def now(self, now_ms: int) -> int:
        """Return the moment to count by: never before the last draw, but where the clock was set back.

        Logins are counted by the moment of their receipt and decided out of order, up to a deadline apart.
        """
        is_late = 0 < self.drawn_at_ms - now_ms <= OUT_OF_ORDER_MS
        return self.drawn_at_ms if is_late else now_ms

    def reaches_to(self, now_ms: int) -> int:
        """Return until when the draws reach, by the clock as it is now; the moment counted by for an empty bucket."""
        now_ms = self.now(now_ms)
        if self.drawn_at_ms > now_ms:
            return now_ms + max(0, self.arrival_ms - self.drawn_at_ms)
        return max(self.arrival_ms, now_ms)

    def admits(self, rate: Rate, now_ms: int, draws: int = 1) -> bool:
        """Tell whether so many draws more are within the burst."""
        return self.reaches_to(now_ms) + draws * rate.interval_ms <= self.now(now_ms) + rate.reach_ms

    def drawn(self, rate: Rate, now_ms: int, draws: int = 1) -> "Level":
        """Return the level after so many draws."""
        return Level(self.reaches_to(now_ms) + draws * rate.interval_ms, self.now(now_ms))

    def anchored(self, now_ms: int) -> "Level":
        """Return the level as it stands now, for a clock that was set back: from now on it empties at its pace."""
        return Level(self.reaches_to(now_ms), now_ms) if self.drawn_at_ms > self.now(now_ms) else self

    def given_back(self, rate: Rate, draws: int = 1) -> "Level":
        """Return the level with so many draws undone."""
        return Level(self.arrival_ms - draws * rate.interval_ms, self.drawn_at_ms)


EMPTY = Level(0, 0)


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


class Kinship(Enum):
    """What a network is to an account: by what it logged in from there."""

    STRANGE = "nothing"
    BY_APP_PASSWORD = "app passwords alone"
    BY_PASSWORD = "its password, where that was all that it needed"
    BY_BOTH = "both factors"


class Familiarity(NamedTuple):
    """What is known of a network: when the account logged in from it last, by anything and by both factors.

    `epoch` is the account's at that time; after a change the network is a stranger's again. `by_app_password`: by
    nothing else so far.
    """

    epoch: int
    passed_at: datetime
    both_at: datetime | None
    by_app_password: bool = False

    def kinship(self, epoch: int, now: datetime) -> "Kinship":
        """Return what the network is to the account now."""
        if self.epoch != epoch or now - self.passed_at >= FAMILIAR_FOR:
            return Kinship.STRANGE
        if self.both_at is not None and now - self.both_at < FAMILIAR_FOR:
            return Kinship.BY_BOTH
        return Kinship.BY_APP_PASSWORD if self.by_app_password else Kinship.BY_PASSWORD

    def is_fresh(self, epoch: int, now: datetime, *, by_both: bool) -> bool:
        """Tell whether a login need not be noted: one like it was noted not long ago."""
        noted_at = self.both_at if by_both else self.passed_at
        return self.epoch == epoch and noted_at is not None and now - noted_at < FAMILIAR_REFRESH


class Tail(Enum):
    """What a string ends in, told by its shape alone, whatever the account is."""

    NOTHING = "nothing"
    CODE = "a verification code"
    RECOVERY_CODE = "a recovery code"


class Draws(NamedTuple):
    """The buckets of one attempt, in the four groups, and what a repetition draws from instead of the first two."""

    bounding: tuple[Bucket, ...]
    counting: tuple[Bucket, ...]
    codes: tuple[Bucket, ...]
    factors: tuple[Bucket, ...]
    repeating: tuple[Bucket, ...]

    @property
    def looked_at(self) -> tuple[Bucket, ...]:
        """What is seen to be full by how an attempt is answered."""
        return self.bounding + self.counting

    def is_cost(self, bucket: Bucket) -> bool:
        """Tell whether a bucket counts what an attempt costs, whatever comes of it."""
        return bucket in self.bounding or bucket in self.repeating


def draws(limits: Limits, account: str, epoch: int, source: Source, kinship: Kinship, tail: Tail) -> Draws:
    """Return the buckets of an attempt. `epoch` is the account's, or any number where there is none."""
    both = f"{account} {source.network}"
    # A trusted network has no limit by address; what many people's host may cost is bounded for each account.
    whose, source_rate = (both, limits.repeat) if source.is_trusted else (source.network, limits.source)
    bounding = [Bucket(Kind.SOURCE, whose, source_rate)]
    repeating = [Bucket(Kind.REPEAT, whose, limits.repeat)]
    if source.site is not None and not source.is_trusted:
        # Others of one /48 must not keep an owner out at home.
        if kinship is not Kinship.BY_BOTH:
            bounding.append(Bucket(Kind.SITE, source.site, limits.site))
        repeating.append(Bucket(Kind.REPEAT, source.site, limits.repeat.times(SITE_FACTOR)))
    # A trusted source speaks for many people, strangers among them: familiar or not, it is counted like one.
    rate = limits.account if source.is_trusted else limits.account_and_source
    counting = [Bucket(Kind.ACCOUNT_AND_SOURCE, both, rate)]
    if kinship is Kinship.STRANGE:
        counting.append(Bucket(Kind.ACCOUNT, account, limits.account))
    elif kinship is Kinship.BY_APP_PASSWORD:
        counting.append(Bucket(Kind.ACCOUNT_BY_DEVICE, account, limits.account))
    codes: list[Bucket] = []
    factors: list[Bucket] = []
    # A change of password or factor ends what was counted: one half or the other is right no more.
    half = f"{account} {epoch}"
    if tail is Tail.CODE:
        factors.append(Bucket(Kind.FACTOR, half, limits.factor))
        if kinship is Kinship.BY_BOTH and not source.is_trusted:
            codes.append(Bucket(Kind.CODE_AND_SOURCE, both, limits.code_and_source))
            codes.append(Bucket(Kind.CODE_FAMILIAR, account, limits.code))
        else:
            codes.append(Bucket(Kind.CODE, account, limits.code))
    elif tail is Tail.RECOVERY_CODE:
        factors.append(Bucket(Kind.FACTOR_RECOVERY, half, limits.account))
    return Draws(tuple(bounding), tuple(counting), tuple(codes), tuple(factors), tuple(repeating))


def bucket_of(key: str, limits: Limits, trusted: Sequence[Network]) -> Bucket:
    """Return the bucket that a row counts, by its key. Raises ValueError for a key that is none."""
    word, _, subject = key.partition(" ")
    kind = Kind(word)
    rates = {
        Kind.SOURCE: limits.source,
        Kind.SITE: limits.site,
        Kind.REPEAT: limits.repeat,
        Kind.ACCOUNT_AND_SOURCE: limits.account_and_source,
        Kind.ACCOUNT: limits.account,
        Kind.ACCOUNT_BY_DEVICE: limits.account,
        Kind.FACTOR: limits.factor,
        Kind.FACTOR_RECOVERY: limits.account,
        Kind.CODE: limits.code,
        Kind.CODE_FAMILIAR: limits.code,
        Kind.CODE_AND_SOURCE: limits.code_and_source,
    }
    network = subject.rpartition(" ")[2]
    if kind is Kind.ACCOUNT_AND_SOURCE and (network == NOWHERE or _is_of(network, trusted)):
        return Bucket(kind, subject, limits.account)
    if kind is Kind.SOURCE and " " in subject:
        return Bucket(kind, subject, limits.repeat)
    if kind is Kind.REPEAT and subject.endswith("/48"):
        return Bucket(kind, subject, limits.repeat.times(SITE_FACTOR))
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


def may_be_told(verdict: Granted | Denied, *, has_both: bool, is_full: bool) -> bool:
    """Tell whether a verdict may be told while a bucket that counts guesses at the account is full.

    `has_both`: the password and the second factor were checked by us, and both were right.
    """
    return not is_full or (isinstance(verdict, Granted) and has_both)


def owes_code(verdict: Verdict) -> bool:
    """Tell whether a verdict draws from the buckets of codes: a right password with a code that was judged wrong."""
    return isinstance(verdict, Denied) and verdict.reason is WhyDenied.CODE_WRONG


def is_no_guess(verdict: Verdict) -> bool:
    """Tell whether an attempt owes no more than its cost: it is what its own client had accepted, or right but late.

    That last one is a right code of a step that is spent although it lies ahead: a clock was set.
    """
    return isinstance(verdict, Denied) and verdict.reason in _NO_GUESS


_NO_GUESS = frozenset({WhyDenied.CODE_REPLAYED_BY_SAME_CLIENT, WhyDenied.CODE_SPENT_AHEAD})
_MAY_YET_PASS = frozenset({WhyDenied.ACCOUNT_CHANGED, WhyDenied.CODE_SPENT_AHEAD})


def is_settled(verdict: Verdict) -> bool:
    """Tell whether the same string, from the same network, is no new guess while the account does not change.

    A wrong code comes true in some later step; that string is refused all the same from then on
    (`WhyDenied.CODE_WRONG_AGAIN`), so that sending it for ever is neither a guess nor what bans its owner.
    """
    return isinstance(verdict, Denied) and verdict.reason not in _MAY_YET_PASS
