"""The limiter: which meters an attempt is charged to, what a non-conforming one means, and what is undone. Pure.

Each meter runs GCRA, the Generic Cell Rate Algorithm in its "virtual scheduling" form (ITU-T I.371; ATM Forum Traffic
Management 4.0). The code uses its words:

    emission interval   `T`: the time after which one more attempt is admitted.
    TAT                 Theoretical Arrival Time: when the next attempt would arrive if all came at exactly that rate.
    burst tolerance     `tau`: how much earlier than the TAT an attempt may arrive; (burst - 1) emission intervals.
    conforming          An attempt that is not earlier than that. It moves the TAT on by its cost times the interval.
    non-conforming      An attempt that is. It leaves the TAT as it is.
    cost                How many attempts one counts for. A cost of 0 does the same work and changes nothing.

A *limit* is what the configuration says (a `Rate`: burst and emission interval). A *meter* applies one limit to one
subject (an account, a network, or both). Some names are older than these words, and stay because others rely on them:

    a meter             table `limiter`, column `bucket`; log field `bucket`; `limits show`: BUCKET
    TAT                 column `arrival_ms`; `limits show`: EMPTY AT
    charged last        column `drawn_at_ms`

An attempt is charged *before* anything is verified, so that parallel guesses all count, to two groups of meters:

    bounding   the work that an attempt causes, by where it comes from. Non-conforming: the answer is "throttled", and
               nothing is verified.
    counting   guesses at this account. Non-conforming: the attempt is verified all the same, but a login is let in
               only if both of its factors are right. Everything else is answered "throttled", in the same words and
               time.

So a stranger who uses up an account's limits learns nothing, and keeps out nobody who has both factors. The answer
does not depend on the string (requirements LIM1, ENU1). Two more groups count attempts of which one half was right,
once that is known. Strangers who have neither half cannot use these limits up: they recover faster than codes are
guessed by luck. Nobody is let in beyond them. While one is used up nothing looks different to anybody else, since a
difference would tell that one half is right:

    codes      wrong codes with a right password. Non-conforming: no code is right any more.
    factors    wrong passwords with a right code, or with a right recovery code. Non-conforming: the login by both
               factors, in spite of the counting meters, is closed.

A string that was refused before, from the same network, is a *repetition*: a telephone with an old password must not
lock its owner out. It is charged to a meter of its own instead of all of these, and as a guess when that limit is used
up. It is answered like every other string while one of these limits is used up; a different answer would tell others
in that network what the telephone sends. A string that was refused while the account's limits were used up was
answered "throttled": shown again, it is charged like a repetition, and as a guess too. App passwords cannot be
guessed, and are not limited.

Networks are familiar to an account in three ways. A network from which it logged in by its password or by both factors
is not charged to the account's common meter, so that strangers cannot lock its owner out at home. Networks in which
only app passwords are used share one meter instead. A network from which both factors were given has a meter for codes
of its own. All of this ends after 30 days, and with each change of password, factor or state.
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
    """A configured limit: how many attempts at once, and after how many seconds one more."""

    burst: int
    emission_interval_s: float

    @property
    def emission_interval_ms(self) -> int:
        """The emission interval as the store counts it."""
        return round(self.emission_interval_s * 1000)

    @property
    def burst_tolerance_ms(self) -> int:
        """How much earlier than the TAT an attempt may arrive."""
        return self.emission_interval_ms * (self.burst - 1)

    @property
    def max_ahead_ms(self) -> int:
        """How far ahead of the arrival time the TAT may be *after* an attempt was charged."""
        return self.burst_tolerance_ms + self.emission_interval_ms

    def times(self, factor: int) -> "Rate":
        """Return a rate that admits `factor` times as much."""
        return Rate(self.burst * factor, self.emission_interval_s / factor)


@dataclass(frozen=True, slots=True)
class Limits:
    """All configured limits."""

    source: Rate
    site: Rate
    account_and_source: Rate
    account: Rate
    factor: Rate
    code: Rate
    code_and_source: Rate
    repeat: Rate


class MeterKind(StrEnum):
    """What a meter counts."""

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


class Meter(NamedTuple):
    """One limit applied to one subject."""

    kind: MeterKind
    subject: str
    rate: Rate

    @property
    def key(self) -> str:
        """The key of its row."""
        return f"{self.kind} {self.subject}"


class MeterState(NamedTuple):
    """The stored state of a meter: its TAT, and when it was charged last, in ms since 1970.

    `charged_at_ms` is needed after the clock was set back: the TAT is as far ahead now as it was then.
    """

    tat_ms: int
    charged_at_ms: int

    def arrival_ms(self, now_ms: int) -> int:
        """Return the arrival time of an attempt: never before the last one, unless the clock was set back.

        Logins are counted by the moment of their receipt and decided out of order, up to a deadline apart.
        """
        is_late = 0 < self.charged_at_ms - now_ms <= OUT_OF_ORDER_MS
        return self.charged_at_ms if is_late else now_ms

    def current_tat_ms(self, now_ms: int) -> int:
        """Return the TAT by the clock as it is now; never before the arrival time."""
        arrival_ms = self.arrival_ms(now_ms)
        if self.charged_at_ms > arrival_ms:
            return arrival_ms + max(0, self.tat_ms - self.charged_at_ms)
        return max(self.tat_ms, arrival_ms)

    def conforms(self, rate: Rate, now_ms: int, cost: int = 1) -> bool:
        """Tell whether an attempt of that cost is conforming."""
        new_tat_ms = self.current_tat_ms(now_ms) + cost * rate.emission_interval_ms
        return new_tat_ms <= self.arrival_ms(now_ms) + rate.max_ahead_ms

    def charged(self, rate: Rate, now_ms: int, cost: int = 1) -> "MeterState":
        """Return the state after an attempt of that cost."""
        new_tat_ms = self.current_tat_ms(now_ms) + cost * rate.emission_interval_ms
        return MeterState(new_tat_ms, self.arrival_ms(now_ms))

    def anchored(self, now_ms: int) -> "MeterState":
        """Return the state for a clock that was set back: the TAT comes nearer from now on."""
        is_set_back = self.charged_at_ms > self.arrival_ms(now_ms)
        return MeterState(self.current_tat_ms(now_ms), now_ms) if is_set_back else self

    def undone(self, rate: Rate, cost: int = 1) -> "MeterState":
        """Return the state with a charge of that cost undone."""
        return MeterState(self.tat_ms - cost * rate.emission_interval_ms, self.charged_at_ms)


UNUSED = MeterState(0, 0)


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


class AttemptMeters(NamedTuple):
    """The meters of one attempt, in the four groups, and what a repetition is charged to instead of the first two."""

    bounding: tuple[Meter, ...]
    counting: tuple[Meter, ...]
    codes: tuple[Meter, ...]
    factors: tuple[Meter, ...]
    repeating: tuple[Meter, ...]

    @property
    def visible(self) -> tuple[Meter, ...]:
        """The meters of which the answer to an attempt shows whether they are used up."""
        return self.bounding + self.counting

    def bounds_work(self, meter: Meter) -> bool:
        """Tell whether a meter counts the work that an attempt causes, whatever comes of it."""
        return meter in self.bounding or meter in self.repeating


def attempt_meters(
    limits: Limits, account: str, epoch: int, source: Source, kinship: Kinship, tail: Tail
) -> AttemptMeters:
    """Return the meters of an attempt. `epoch` is the account's, or any number if there is no such account."""
    both = f"{account} {source.network}"
    # A trusted network has no limit by address; what many people's host may cost is bounded for each account.
    whose, source_rate = (both, limits.repeat) if source.is_trusted else (source.network, limits.source)
    bounding = [Meter(MeterKind.SOURCE, whose, source_rate)]
    repeating = [Meter(MeterKind.REPEAT, whose, limits.repeat)]
    if source.site is not None and not source.is_trusted:
        # Others of one /48 must not keep an owner out at home.
        if kinship is not Kinship.BY_BOTH:
            bounding.append(Meter(MeterKind.SITE, source.site, limits.site))
        repeating.append(Meter(MeterKind.REPEAT, source.site, limits.repeat.times(SITE_FACTOR)))
    # A trusted source speaks for many people, strangers among them: familiar or not, it is counted like one.
    rate = limits.account if source.is_trusted else limits.account_and_source
    counting = [Meter(MeterKind.ACCOUNT_AND_SOURCE, both, rate)]
    if kinship is Kinship.STRANGE:
        counting.append(Meter(MeterKind.ACCOUNT, account, limits.account))
    elif kinship is Kinship.BY_APP_PASSWORD:
        counting.append(Meter(MeterKind.ACCOUNT_BY_DEVICE, account, limits.account))
    codes: list[Meter] = []
    factors: list[Meter] = []
    # A change of password or factor ends what was counted: one half or the other is right no more.
    half = f"{account} {epoch}"
    if tail is Tail.CODE:
        factors.append(Meter(MeterKind.FACTOR, half, limits.factor))
        if kinship is Kinship.BY_BOTH and not source.is_trusted:
            codes.append(Meter(MeterKind.CODE_AND_SOURCE, both, limits.code_and_source))
            codes.append(Meter(MeterKind.CODE_FAMILIAR, account, limits.code))
        else:
            codes.append(Meter(MeterKind.CODE, account, limits.code))
    elif tail is Tail.RECOVERY_CODE:
        factors.append(Meter(MeterKind.FACTOR_RECOVERY, half, limits.account))
    return AttemptMeters(tuple(bounding), tuple(counting), tuple(codes), tuple(factors), tuple(repeating))


def meter_of(key: str, limits: Limits, trusted: Sequence[Network]) -> Meter:
    """Return the meter of a row, by its key. Raises ValueError for a key that belongs to none."""
    word, _, subject = key.partition(" ")
    kind = MeterKind(word)
    rates = {
        MeterKind.SOURCE: limits.source,
        MeterKind.SITE: limits.site,
        MeterKind.REPEAT: limits.repeat,
        MeterKind.ACCOUNT_AND_SOURCE: limits.account_and_source,
        MeterKind.ACCOUNT: limits.account,
        MeterKind.ACCOUNT_BY_DEVICE: limits.account,
        MeterKind.FACTOR: limits.factor,
        MeterKind.FACTOR_RECOVERY: limits.account,
        MeterKind.CODE: limits.code,
        MeterKind.CODE_FAMILIAR: limits.code,
        MeterKind.CODE_AND_SOURCE: limits.code_and_source,
    }
    network = subject.rpartition(" ")[2]
    if kind is MeterKind.ACCOUNT_AND_SOURCE and (network == NOWHERE or _is_of(network, trusted)):
        return Meter(kind, subject, limits.account)
    if kind is MeterKind.SOURCE and " " in subject:
        return Meter(kind, subject, limits.repeat)
    if kind is MeterKind.REPEAT and subject.endswith("/48"):
        return Meter(kind, subject, limits.repeat.times(SITE_FACTOR))
    return Meter(kind, subject, rates[kind])


def _is_of(network: str, trusted: Sequence[Network]) -> bool:
    around = ip_network(network)
    # An IPv6 source is counted by its /64, of which a smaller network may be trusted.
    return any(around.version == one.version and around.overlaps(one) for one in trusted)


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a limit is used: how many attempts are left, until when none is, when all of the burst is back."""

    meter: Meter
    left: int
    blocked_until: datetime | None
    recovered_at: datetime


def usage(meter: Meter, tat: datetime, now: datetime) -> Usage:
    """Return how much of a meter's limit is used, by its TAT."""
    ahead_ms = (tat - now) // timedelta(milliseconds=1)  # whole numbers: bursts may be huge
    spare_ms = meter.rate.burst_tolerance_ms - ahead_ms
    if spare_ms < 0:
        return Usage(meter, 0, tat - timedelta(milliseconds=meter.rate.burst_tolerance_ms), tat)
    return Usage(meter, min(meter.rate.burst, spare_ms // meter.rate.emission_interval_ms + 1), None, tat)


def may_be_told(verdict: Granted | Denied, *, has_both: bool, is_used_up: bool) -> bool:
    """Tell whether a verdict may be told while a limit of guesses at the account is used up.

    `has_both`: we checked the password and the second factor, and both were right.
    """
    return not is_used_up or (isinstance(verdict, Granted) and has_both)


def owes_code(verdict: Verdict) -> bool:
    """Tell whether a verdict is charged to the meters of codes: a right password with a code that was judged wrong."""
    return isinstance(verdict, Denied) and verdict.reason is WhyDenied.CODE_WRONG


def is_no_guess(verdict: Verdict) -> bool:
    """Tell whether an attempt is no guess: its own client had the string accepted, or its code is right but spent.

    The latter is a code of a step that lies ahead and is spent all the same, since the clock was set back.
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
