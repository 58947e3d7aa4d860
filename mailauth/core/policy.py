"""The cut-over: from which moment a second factor is required, and from whom.

Everything is computed at each login from the configured date and the account, so that changing the date takes effect
at once and for everybody. Compared in UTC. Stored is only that the date was seen to pass: no clock that is set back
undoes that.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from enum import Enum
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


class Sightings:
    """The moments that were seen to pass. One for all who ask; it grows only."""

    def __init__(self) -> None:
        self._moments: set[datetime] = set()

    def add(self, moment: datetime) -> None:
        """Let a moment have passed, whatever any clock says."""
        self._moments.add(moment)

    def __contains__(self, moment: datetime) -> bool:
        return moment in self._moments


@dataclass(frozen=True, slots=True)
class CutOver:
    """The moment from which a second factor is required, in the zone in which it was announced."""

    moment: datetime
    seen: Sightings = field(default_factory=Sightings, compare=False, repr=False)

    def has_passed(self, now: datetime) -> bool:
        """Tell whether the cut-over is here, or was seen to be before; its very moment counts as passed."""
        return now >= self.moment.astimezone(UTC) or self.moment in self.seen

    @property
    def zone(self) -> tzinfo:
        """The zone in which it was announced, and in which the provider's days begin and end."""
        return self.moment.tzinfo or UTC

    def spoken(self) -> str:
        """Return the date as people say it, in the announced zone: `5 May 2025`."""
        return f"{self.moment.day} {_MONTHS[self.moment.month - 1]} {self.moment.year}"


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


@dataclass(frozen=True, slots=True)
class Policy:
    """Who needs a second factor, and from when."""

    cutover: CutOver

    def requirement(self, account: Account, now: datetime, service: str) -> Requirement:
        """Return what a login to this account, for a service, needs now.

        Who is enrolled needs the second factor at once, before the cut-over as well: it is there to protect
        them, and an attacker must not be able to wait for a day when it isn't asked for. Who is not, after it, gets
        into the portal alone, where the set-up is all that they find.
        """
        if account.totp is not None:
            return Requirement.SECOND_FACTOR
        if account.exempt_until is not None and now < account.exempt_until:
            return Requirement.PASSWORD_BY_EXEMPTION
        if self.cutover.has_passed(now):
            return Requirement.PASSWORD_TO_ENROL if service == PORTAL else Requirement.ENROLMENT
        return Requirement.PASSWORD_BEFORE_CUTOVER
