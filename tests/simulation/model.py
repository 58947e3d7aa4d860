"""The limiter under a virtual clock, without a database: what `usecases.login` does, with a dictionary as rows.

Holds no rules of its own: meters, their states and what may be told are `core.limiter`'s. A test plays the same logins
here and on a real installation, and finds the same answers.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from typing import Literal

from mailauth.core import limiter
from mailauth.core.limiter import UNUSED, Familiarity, Kinship, Meter, MeterState, Source
from mailauth.effects.configuration.limit_sections import LimitsSection
from mailauth.vocabulary.model import AccountName, Credential, Denied, Granted
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted

LIMITS = LimitsSection().limits()
"""What an installation has by default."""

Answer = Literal["granted", "refused", "throttled"]


class Tail(StrEnum):
    """What a string ends in."""

    NOTHING = "nothing"
    RIGHT_CODE = "right code"
    WRONG_CODE = "wrong code"


@dataclass(frozen=True)
class String:
    """One presented string: which one it is, and how it reads."""

    text: str
    password_is_right: bool = False
    tail: Tail = Tail.NOTHING


@dataclass
class Site:
    """One account, what is counted against it, and how much everything cost so far."""

    is_enrolled: bool = True
    now: datetime = datetime(2030, 1, 1, tzinfo=UTC)
    epoch: int = 0
    states: dict[str, MeterState] = field(default_factory=dict)
    refused: set[tuple[int, str, str]] = field(default_factory=set)
    withheld: set[tuple[int, str, str]] = field(default_factory=set)
    accepted: set[tuple[int, str, str]] = field(default_factory=set)
    networks: dict[str, Familiarity] = field(default_factory=dict)
    hashes: int = 0
    codes_judged: int = 0
    guesses_told: int = 0
    passwords_judged: int = 0

    def pass_by(self, seconds: float) -> None:
        """Let time go by."""
        self.now += timedelta(seconds=seconds)

    def change_account(self) -> None:
        """Enrol."""
        self.epoch += 1

    def change_password(self) -> None:
        """Change the password: wrong codes that came with the old one are forgotten."""
        self.epoch += 1
        self.states = {key: state for key, state in self.states.items() if not key.startswith("code")}

    def login_by_app_password(self, client: str) -> Answer:
        """Log in by an app password: from anywhere, whatever is counted."""
        self._note(limiter.source_of(ip_address(client), ()), by_both=False, by_app_password=True)
        return "granted"

    def login(self, client: str, string: String) -> Answer:
        """Log in with a password; the account needs a code if it is enrolled, and before the cut-over only then."""
        source = limiter.source_of(ip_address(client), ())
        shown = (self.epoch, source.network, string.text)
        was_refused, was_accepted = shown in self.refused, shown in self.accepted
        known = self.networks.get(source.network)
        kinship = Kinship.STRANGE if known is None else known.kinship(self.epoch, self.now)
        shape = limiter.Tail.NOTHING if string.tail is Tail.NOTHING else limiter.Tail.CODE
        meters = limiter.attempt_meters(LIMITS, "alice@example.org", self.epoch, source, kinship, shape)
        if self._refuses(meters.bounding):
            return "throttled"
        is_repeat = was_refused or was_accepted
        is_free = (is_repeat or shown in self.withheld) and not self._refuses(meters.repeating)
        is_used_up = self._refuses(meters.counting)
        charged = meters.repeating if is_free else meters.bounding
        if not is_used_up and not (is_free and is_repeat):
            charged += meters.counting
        self._charge(charged)
        self.hashes += 1
        was_shown = was_refused or shown in self.withheld
        verdict, has_both = self._decide(string, was_refused=was_shown, accepted_here=was_accepted)
        needed = meters.codes if string.tail is not Tail.NOTHING else ()
        if is_used_up:
            needed += meters.factors
        if has_both and self._refuses(needed):
            verdict, has_both = Denied(WhyDenied.CODE_NOT_JUDGED, verdict.account, password_was_right=True), False
        if string.password_is_right and string.tail is Tail.WRONG_CODE and not (is_repeat or was_shown):
            # Had it been the right one, it would have opened the account.
            self.codes_judged += self.is_enrolled and not self._refuses(needed)
        if string.tail is Tail.RIGHT_CODE and not string.password_is_right:
            self.passwords_judged += not is_used_up or not self._refuses(needed)
            if not self._refuses(meters.factors):
                self._charge(meters.factors)
        if limiter.owes_code(verdict) and not self._refuses(meters.codes):
            self._charge(meters.codes)
        if limiter.is_settled(verdict):
            (self.withheld if is_used_up else self.refused).add(shown)
        if limiter.is_no_guess(verdict):
            self._undo(tuple(meter for meter in charged if not meters.bounds_work(meter)))
        if isinstance(verdict, Granted) and limiter.may_be_told(verdict, has_both=has_both, is_used_up=is_used_up):
            self._undo(charged)
        if not limiter.may_be_told(verdict, has_both=has_both, is_used_up=is_used_up):
            return "throttled"
        if isinstance(verdict, Denied):
            self.guesses_told += not is_repeat
            return "refused"
        if has_both:
            self.accepted.add(shown)
        self._note(source, by_both=has_both)
        return "granted"

    def _decide(self, string: String, *, was_refused: bool, accepted_here: bool) -> tuple[Granted | Denied, bool]:
        account = AccountName("alice@example.org")
        if not string.password_is_right:
            return Denied(WhyDenied.PASSWORD_WRONG, account), False
        if not self.is_enrolled:
            return Granted(account, Credential.PASSWORD, WhyGranted.BEFORE_CUTOVER), False
        if any(epoch == self.epoch and text == string.text for epoch, _, text in self.accepted):
            reason = WhyDenied.CODE_REPLAYED_BY_SAME_CLIENT if accepted_here else WhyDenied.CODE_REPLAYED
            return Denied(reason, account, password_was_right=True), False
        if was_refused and string.tail is not Tail.NOTHING:
            return Denied(WhyDenied.CODE_WRONG_AGAIN, account, password_was_right=True), False
        if string.tail is Tail.RIGHT_CODE:
            return Granted(account, Credential.PASSWORD_AND_CODE, WhyGranted.SECOND_FACTOR_GIVEN), True
        reason = WhyDenied.CODE_WRONG if string.tail is Tail.WRONG_CODE else WhyDenied.CODE_MISSING
        return Denied(reason, account, password_was_right=True), False

    @property
    def _now_ms(self) -> int:
        return int(self.now.timestamp() * 1000)

    def _refuses(self, meters: tuple[Meter, ...]) -> bool:
        return not all(self.states.get(meter.key, UNUSED).conforms(meter.rate, self._now_ms) for meter in meters)

    def _charge(self, meters: tuple[Meter, ...]) -> None:
        for meter in meters:
            self.states[meter.key] = self.states.get(meter.key, UNUSED).charged(meter.rate, self._now_ms)

    def _undo(self, meters: tuple[Meter, ...]) -> None:
        for meter in meters:
            self.states[meter.key] = self.states[meter.key].undone(meter.rate)

    def _note(self, source: Source, *, by_both: bool, by_app_password: bool = False) -> None:
        before = self.networks.get(source.network)
        both_at = before.both_at if before is not None and before.epoch == self.epoch else None
        both_at = self.now if by_both else both_at
        self.networks[source.network] = Familiarity(self.epoch, self.now, both_at, by_app_password)
