"""POL1: from when a second factor is required, and from whom."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from mailauth.core.policy import CutOver, Policy, Requirement
from mailauth.vocabulary.model import Account, AccountName, ActiveTotp

CUTOVER = datetime(2025, 5, 5, 0, 0, tzinfo=ZoneInfo("Europe/Brussels"))
POLICY = Policy(CutOver(CUTOVER))
PLAIN = Account(
    id=3,
    name=AccountName("alice@mailitwize.be"),
    password_hash="{ARGON2ID}",
    epoch=0,
    disabled=False,
    totp=None,
    exempt_until=None,
)
ENROLLED = replace(PLAIN, totp=ActiveTotp(9, b"sealed", "1", 0))


def at(**delta: float) -> datetime:
    return CUTOVER.astimezone(UTC) + timedelta(**delta)


@pytest.mark.parametrize(
    ("delta", "required"),
    [
        ({"days": -300}, Requirement.PASSWORD_BEFORE_CUTOVER),
        ({"seconds": -1}, Requirement.PASSWORD_BEFORE_CUTOVER),
        ({"microseconds": -1}, Requirement.PASSWORD_BEFORE_CUTOVER),
        ({"seconds": 0}, Requirement.ENROLMENT),
        ({"seconds": 1}, Requirement.ENROLMENT),
        ({"days": 3000}, Requirement.ENROLMENT),
    ],
)
def test_password_alone_ends_with_the_very_second_of_the_cutover(
    delta: dict[str, float], required: Requirement
) -> None:
    assert POLICY.requirement(PLAIN, at(**delta), "imap") is required


def test_portal_lets_in_who_has_to_enrol_from_the_cutover_on() -> None:
    assert POLICY.requirement(PLAIN, at(seconds=-1), "portal") is Requirement.PASSWORD_BEFORE_CUTOVER
    assert POLICY.requirement(PLAIN, at(), "portal") is Requirement.PASSWORD_TO_ENROL
    assert POLICY.requirement(replace(PLAIN, exempt_until=at(days=9)), at(), "portal") is (
        Requirement.PASSWORD_BY_EXEMPTION
    )
    assert POLICY.requirement(ENROLLED, at(), "portal") is Requirement.SECOND_FACTOR


@pytest.mark.parametrize("days", [-300, -1, 0, 1, 300])
def test_enrolled_account_needs_its_factor_before_and_after_the_date(days: int) -> None:
    assert POLICY.requirement(ENROLLED, at(days=days), "imap") is Requirement.SECOND_FACTOR


def test_enrolled_account_needs_its_factor_even_while_it_is_exempt() -> None:
    exempt = replace(ENROLLED, exempt_until=at(days=9))
    assert POLICY.requirement(exempt, at(days=1), "imap") is Requirement.SECOND_FACTOR


@pytest.mark.parametrize(
    ("seconds", "required"),
    [(-1, Requirement.PASSWORD_BY_EXEMPTION), (0, Requirement.ENROLMENT), (1, Requirement.ENROLMENT)],
)
def test_exemption_ends_with_its_very_second(seconds: int, required: Requirement) -> None:
    exempt = replace(PLAIN, exempt_until=at(days=9))
    assert POLICY.requirement(exempt, at(days=9, seconds=seconds), "imap") is required


def test_exemption_that_ends_before_the_cutover_changes_nothing() -> None:
    exempt = replace(PLAIN, exempt_until=at(days=-9))
    assert POLICY.requirement(exempt, at(days=-10), "imap") is Requirement.PASSWORD_BY_EXEMPTION
    assert POLICY.requirement(exempt, at(days=-9), "imap") is Requirement.PASSWORD_BEFORE_CUTOVER
    assert POLICY.requirement(exempt, at(), "imap") is Requirement.ENROLMENT


@pytest.mark.parametrize("hours", [-12, -5, 0, 2, 14])
def test_zone_of_the_clock_does_not_matter(hours: int) -> None:
    zone = timezone(timedelta(hours=hours))
    cutover = CutOver(CUTOVER)
    assert not cutover.has_passed(at(seconds=-1).astimezone(zone))
    assert cutover.has_passed(at().astimezone(zone))


def test_same_moment_in_two_zones_is_one_cutover() -> None:
    auckland = CutOver(CUTOVER.astimezone(ZoneInfo("Pacific/Auckland")))
    assert not auckland.has_passed(at(seconds=-1))
    assert auckland.has_passed(at())


def test_hour_that_comes_twice_is_told_apart_by_the_clock_in_utc() -> None:
    """02:00 UTC on the day on which Brussels' 02:30 comes twice; both readings are one after the other in UTC."""
    brussels = ZoneInfo("Europe/Brussels")
    first = datetime(2025, 10, 26, 2, 30, tzinfo=brussels)
    second = first.replace(fold=1)
    cutover = CutOver(datetime(2025, 10, 26, 1, 15, tzinfo=UTC))
    assert not cutover.has_passed(first)
    assert cutover.has_passed(second)


@pytest.mark.parametrize(
    ("moment", "spoken"),
    [
        (CUTOVER, "5 May 2025"),
        (datetime(2025, 1, 31, 23, 59, tzinfo=UTC), "31 January 2025"),
        (datetime(2025, 12, 1, tzinfo=ZoneInfo("Pacific/Auckland")), "1 December 2025"),
    ],
)
def test_date_is_spoken_in_the_zone_in_which_it_was_announced(moment: datetime, spoken: str) -> None:
    assert CutOver(moment).spoken() == spoken


def test_months_are_spoken_in_their_order() -> None:
    spoken = [CutOver(datetime(2025, month, 2, tzinfo=UTC)).spoken().split()[1] for month in range(1, 13)]
    assert spoken == (
        "January February March April May June July August September October November December".split()  # noqa: SIM905
    )
