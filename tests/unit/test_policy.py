"""POL1: from when a second factor is required, and from whom."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from mailauth.core.policy import Announced, CutOver, Policy, Requirement, Rule, Standing
from mailauth.vocabulary.model import Account, AccountName, ActiveTotp
from tests.cases import case

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
    assert POLICY.stand(PLAIN, at(**delta), "imap").requirement is required


def test_portal_lets_in_who_has_to_enrol_from_the_cutover_on() -> None:
    assert POLICY.stand(PLAIN, at(seconds=-1), "portal").requirement is Requirement.PASSWORD_BEFORE_CUTOVER
    assert POLICY.stand(PLAIN, at(), "portal").requirement is Requirement.PASSWORD_TO_ENROL
    assert POLICY.stand(replace(PLAIN, exempt_until=at(days=9)), at(), "portal").requirement is (
        Requirement.PASSWORD_BY_EXEMPTION
    )
    assert POLICY.stand(ENROLLED, at(), "portal").requirement is Requirement.SECOND_FACTOR


@pytest.mark.parametrize("days", [-300, -1, 0, 1, 300])
def test_enrolled_account_needs_its_factor_before_and_after_the_date(days: int) -> None:
    assert POLICY.stand(ENROLLED, at(days=days), "imap").requirement is Requirement.SECOND_FACTOR


def test_enrolled_account_needs_its_factor_even_while_it_is_exempt() -> None:
    exempt = replace(ENROLLED, exempt_until=at(days=9))
    assert POLICY.stand(exempt, at(days=1), "imap").requirement is Requirement.SECOND_FACTOR


@pytest.mark.parametrize(
    ("seconds", "required"),
    [(-1, Requirement.PASSWORD_BY_EXEMPTION), (0, Requirement.ENROLMENT), (1, Requirement.ENROLMENT)],
)
def test_exemption_ends_with_its_very_second(seconds: int, required: Requirement) -> None:
    exempt = replace(PLAIN, exempt_until=at(days=9))
    assert POLICY.stand(exempt, at(days=9, seconds=seconds), "imap").requirement is required


def test_exemption_that_ends_before_the_cutover_changes_nothing() -> None:
    exempt = replace(PLAIN, exempt_until=at(days=-9))
    assert POLICY.stand(exempt, at(days=-10), "imap").requirement is Requirement.PASSWORD_BY_EXEMPTION
    assert POLICY.stand(exempt, at(days=-9), "imap").requirement is Requirement.PASSWORD_BEFORE_CUTOVER
    assert POLICY.stand(exempt, at(), "imap").requirement is Requirement.ENROLMENT


@pytest.mark.parametrize("hours", [-12, -5, 0, 2, 14])
def test_zone_of_the_clock_does_not_matter(hours: int) -> None:
    zone = timezone(timedelta(hours=hours))
    assert not POLICY.announced("", at(seconds=-1).astimezone(zone)).has_passed
    assert POLICY.announced("", at().astimezone(zone)).has_passed


def test_same_moment_in_two_zones_is_one_cutover() -> None:
    auckland = Policy(CutOver(CUTOVER.astimezone(ZoneInfo("Pacific/Auckland"))))
    assert not auckland.announced("", at(seconds=-1)).has_passed
    assert auckland.announced("", at()).has_passed


def test_hour_that_comes_twice_is_told_apart_by_the_clock_in_utc() -> None:
    """02:00 UTC on the day on which Brussels' 02:30 comes twice; both readings are one after the other in UTC."""
    brussels = ZoneInfo("Europe/Brussels")
    first = datetime(2025, 10, 26, 2, 30, tzinfo=brussels)
    second = first.replace(fold=1)
    policy = Policy(CutOver(datetime(2025, 10, 26, 1, 15, tzinfo=UTC)))
    assert not policy.announced("", first).has_passed
    assert policy.announced("", second).has_passed


@pytest.mark.parametrize(
    ("moment", "spoken"),
    [
        (CUTOVER, "5 May 2025"),
        (datetime(2025, 1, 31, 23, 59, tzinfo=UTC), "31 January 2025"),
        (datetime(2025, 12, 1, tzinfo=ZoneInfo("Pacific/Auckland")), "1 December 2025"),
    ],
)
def test_date_is_spoken_in_the_zone_in_which_it_was_announced(moment: datetime, spoken: str) -> None:
    assert Announced(moment, has_passed=False).spoken() == spoken


def test_months_are_spoken_in_their_order() -> None:
    spoken = [
        Announced(datetime(2025, month, 2, tzinfo=UTC), has_passed=False).spoken().split()[1] for month in range(1, 13)
    ]
    assert spoken == (
        "January February March April May June July August September October November December".split()  # noqa: SIM905
    )


def test_standing_names_the_rule_that_decides_and_its_moment() -> None:
    exempt = replace(PLAIN, exempt_until=at(days=9))
    for account, now, standing in (
        (ENROLLED, at(days=1), Standing(Requirement.SECOND_FACTOR, Rule.ENROLLED)),
        (replace(exempt, totp=ENROLLED.totp), at(days=1), Standing(Requirement.SECOND_FACTOR, Rule.ENROLLED)),
        (exempt, at(days=1), Standing(Requirement.PASSWORD_BY_EXEMPTION, Rule.EXEMPTION, until=at(days=9))),
        (exempt, at(days=9), Standing(Requirement.ENROLMENT, Rule.DATE, since=CUTOVER)),
        (PLAIN, at(days=-1), Standing(Requirement.PASSWORD_BEFORE_CUTOVER, Rule.DATE, until=CUTOVER)),
        (PLAIN, at(days=1), Standing(Requirement.ENROLMENT, Rule.DATE, since=CUTOVER)),
    ):
        with case(standing):
            assert POLICY.stand(account, now, "imap") == standing


def test_date_that_was_seen_to_pass_has_passed_for_logins_and_for_texts() -> None:
    policy = Policy(CutOver(CUTOVER))
    policy.see(CUTOVER)
    assert policy.has_seen(CUTOVER)
    assert policy.stand(PLAIN, at(days=-300), "imap") == Standing(Requirement.ENROLMENT, Rule.DATE, since=CUTOVER)
    assert policy.announced("mailitwize.be", at(days=-300)) == Announced(CUTOVER, has_passed=True)
    assert not POLICY.has_seen(CUTOVER), "another installation's"


def test_what_is_announced_is_the_same_for_domains_that_are_not_here() -> None:
    told = {POLICY.announced(domain, at()) for domain in ("mailitwize.be", "elsewhere.example", "", "\0")}
    assert len(told) == 1
