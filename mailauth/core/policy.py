"""Who needs a second factor, from when, and by which rule: the only place that knows a date.

Rules stand in order, and the first that says anything about an account decides. Everything is computed at each login
from the configured date and the account, so that changing the date takes effect at once and for everybody. Compared
in UTC. Stored is only that a date was seen to pass: no clock that is set back undoes that.

Must not know what a login presented: what is needed is one question, what was given another (`engine.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import Enum, StrEnum
from zoneinfo import ZoneInfo

from mailauth.core.services import PORTAL
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import Account


class Requirement(Enum):
    """What a login to an account needs now."""

    SECOND_FACTOR = "a password and a second factor"
    PASSWORD_BEFORE_CUTOVER = "the password alone, because the cut-over has not come"
    PASSWORD_BY_EXEMPTION = "the password alone, because the account is exempt"
    ENROLMENT = "an enrolment first: the cut-over has passed and the account has no second factor"
    PASSWORD_TO_ENROL = "the password alone, in the portal, which lets one do nothing but enrol"


class Rule(StrEnum):
    """What may decide, the first in front."""

    ENROLLED = "enrolled"
    EXEMPTION = "exemption"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands: what it needs, by which rule, and since or until when, where the rule has a moment."""

    requirement: Requirement
    rule: Rule
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Announced:
    """What everybody may know of a domain: the date, in the zone of its announcement, and whether it has come."""

    moment: datetime
    has_passed: bool

    def spoken(self) -> str:
        """Return the date as people say it, in the announced zone: `5 May 2025`."""
        return f"{self.moment.day} {_MONTHS[self.moment.month - 1]} {self.moment.year}"


@dataclass(frozen=True, slots=True)
class CutOver:
    """The moment from which a second factor is required, in the zone in which it was announced."""

    moment: datetime


class Policy:
    """The rules of one installation. One for all who ask, since it learns which dates were seen to pass."""

    def __init__(self, cutover: CutOver) -> None:
        self._cutover = cutover
        self._seen: set[datetime] = set()
        self._rules: tuple[Callable[[Account, datetime, str], Standing | None], ...] = (
            self._enrolled,
            self._exemption,
            self._date,
        )

    @property
    def zone(self) -> tzinfo:
        """The zone in which dates are announced, and in which the provider's days begin and end."""
        return self._cutover.moment.tzinfo or UTC

    @property
    def dates(self) -> tuple[datetime, ...]:
        """The moments on which rules depend."""
        return (self._cutover.moment,)

    def stand(self, account: Account, now: datetime, service: str) -> Standing:
        """Return how an account stands now, for logins to a service."""
        for rule in self._rules:
            standing = rule(account, now, service)
            if standing is not None:
                return standing
        raise AssertionError("the last rule is about everybody")

    def announced(self, domain: str, now: datetime) -> Announced:
        """Return the date for a domain as it was presented, known here or not: this tells nothing of accounts."""
        moment = self._cutover.moment
        return Announced(moment, self._has_passed(moment, now))

    def see(self, date: datetime) -> None:
        """Let a date have passed, whatever any clock says from now on."""
        self._seen.add(date)

    def has_seen(self, date: datetime) -> bool:
        """Tell whether a date was seen to pass."""
        return date in self._seen

    def _has_passed(self, date: datetime, now: datetime) -> bool:
        """Tell whether a date is here, or was seen to be before; its very moment counts as passed."""
        return now >= date.astimezone(UTC) or date in self._seen

    def _enrolled(self, account: Account, _now: datetime, _service: str) -> Standing | None:
        """Ask who is enrolled for the second factor at once, before the cut-over as well.

        It is there to protect them, and an attacker must not be able to wait for a day when it is not asked for.
        """
        return None if account.totp is None else Standing(Requirement.SECOND_FACTOR, Rule.ENROLLED)

    def _exemption(self, account: Account, now: datetime, _service: str) -> Standing | None:
        until = account.exempt_until
        if until is None or now >= until:
            return None
        return Standing(Requirement.PASSWORD_BY_EXEMPTION, Rule.EXEMPTION, until=until)

    def _date(self, _account: Account, now: datetime, service: str) -> Standing:
        """Let who is not enrolled, from the date on, into the portal alone, where they find nothing but the set-up."""
        date = self._cutover.moment
        if not self._has_passed(date, now):
            return Standing(Requirement.PASSWORD_BEFORE_CUTOVER, Rule.DATE, until=date)
        required = Requirement.PASSWORD_TO_ENROL if service == PORTAL else Requirement.ENROLMENT
        return Standing(required, Rule.DATE, since=date)


_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]  # not strftime: its month names depend on the process's locale


def parse_cutover(text: str) -> CutOver:
    """Return the cut-over that a configuration names.

    `2025-05-05T00:00 Europe/Brussels`, or an ISO 8601 time with an offset (`2025-05-05T00:00+02:00`, `...Z`).
    Raises InvalidValue for anything else, a time without a zone, and a local time that a change to or from
    summer time makes ambiguous or leaves out: a date that can be read in two ways is no date.
    """
    stamp, _, zone_name = text.strip().partition(" ")
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError as error:
        raise InvalidValue(f"not a time: {text!a}; write it as {_EXAMPLE}") from error
    if "T" not in stamp.upper():
        raise InvalidValue(f"a date without a time: {text!a}; write it as {_EXAMPLE}")
    if not zone_name:
        if moment.tzinfo is None:
            raise InvalidValue(f"a time without a zone: {text!a}; write it as {_EXAMPLE}")
        return _within_reach(moment)
    if moment.tzinfo is not None:
        raise InvalidValue(f"a time with both an offset and a zone: {text!a}; keep one of them")
    return _within_reach(_located(moment, zone_name.strip()))


_EXAMPLE = '"2025-05-05T00:00 Europe/Brussels"'


def _within_reach(moment: datetime) -> CutOver:
    try:
        moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidValue(f"too far away: {moment}; write it as {_EXAMPLE}") from error
    return CutOver(moment)


def _located(moment: datetime, zone_name: str) -> datetime:
    try:
        zone = ZoneInfo(zone_name)
    except (ValueError, OSError, KeyError) as error:  # what zoneinfo raises for names that are no zone
        raise InvalidValue(f"no such time zone: {zone_name!a}; write it as {_EXAMPLE}") from error
    here = moment.replace(tzinfo=zone)
    if here.utcoffset() != here.replace(fold=1).utcoffset():
        raise InvalidValue(f"{moment} does not exist once and only once in {zone_name}; take another hour")
    return here
