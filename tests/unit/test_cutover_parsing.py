"""POL1: the date that a configuration names, and everything that is none: refuse to start."""

from datetime import UTC, datetime

import pytest

from mailauth.core.policy import Policy, parse_cutover
from mailauth.vocabulary.errors import InvalidValue
from tests.cases import case

ANNOUNCED = datetime(2025, 5, 4, 22, 0, tzinfo=UTC)


def test_one_moment_can_be_written_in_several_ways() -> None:
    for text in (
        "2025-05-05T00:00 Europe/Brussels",
        "2025-05-05T00:00:00 Europe/Brussels",
        "  2025-05-05T00:00   Europe/Brussels  ",
        "2025-05-05T00:00+02:00",
        "2025-05-05T00:00:00+02:00",
        "2025-05-04T22:00Z",
        "2025-05-04T22:00:00Z",
        "2025-05-04T22:00 UTC",
        "2025-05-05T10:00 Pacific/Auckland",
        "2025-05-04T17:00-05:00",
        "20250504T220000Z",
    ):
        with case(text):
            assert parse_cutover(text).moment.astimezone(UTC) == ANNOUNCED


def test_zone_knows_summer_and_winter_time() -> None:
    for text, utc in (
        ("2025-01-05T00:00 Europe/Brussels", datetime(2025, 1, 4, 23, 0, tzinfo=UTC)),
        ("2025-07-05T00:00 Europe/Brussels", datetime(2025, 7, 4, 22, 0, tzinfo=UTC)),
        ("2025-07-05T00:00 Asia/Kathmandu", datetime(2025, 7, 4, 18, 15, tzinfo=UTC)),
        ("2025-03-30T01:59:59 Europe/Brussels", datetime(2025, 3, 30, 0, 59, 59, tzinfo=UTC)),
        ("2025-03-30T03:00 Europe/Brussels", datetime(2025, 3, 30, 1, 0, tzinfo=UTC)),
        ("2025-10-26T01:59:59 Europe/Brussels", datetime(2025, 10, 25, 23, 59, 59, tzinfo=UTC)),
        ("2025-10-26T03:00 Europe/Brussels", datetime(2025, 10, 26, 2, 0, tzinfo=UTC)),
    ):
        with case(text, utc):
            assert parse_cutover(text).moment.astimezone(UTC) == utc


def announced(text: str) -> str:
    return Policy(parse_cutover(text)).announced("", ANNOUNCED).spoken()


def test_date_stays_in_the_zone_in_which_it_was_written() -> None:
    assert announced("2025-05-05T00:00 Europe/Brussels") == "5 May 2025"
    assert announced("2025-05-04T22:00Z") == "4 May 2025"


def test_hour_that_is_skipped_or_comes_twice_is_no_date() -> None:
    for text in (
        "2025-03-30T02:00 Europe/Brussels",
        "2025-03-30T02:59:59 Europe/Brussels",
        "2025-10-26T02:00 Europe/Brussels",
        "2025-10-26T02:59:59 Europe/Brussels",
        "2025-04-06T02:30 Australia/Sydney",
    ):
        with case(text), pytest.raises(InvalidValue, match="once and only once"):
            parse_cutover(text)


def test_anything_else_is_refused_with_what_is_wrong() -> None:
    for text, problem in (
        ("", "not a time"),
        ("   ", "not a time"),
        ("soon", "not a time"),
        ("5 May 2025", "not a time"),
        ("2025-13-05T00:00Z", "not a time"),
        ("2025-02-30T00:00Z", "not a time"),
        ("2025-05-05T25:00Z", "not a time"),
        ("05/05/2025 Europe/Brussels", "not a time"),
        ("1746396000", "not a time"),
        ("2025-05-05", "a date without a time"),
        ("2025-05-05 Europe/Brussels", "a date without a time"),
        ("2025-05-05 00:00 Europe/Brussels", "a date without a time"),
        ("2025-05-05T00:00", "a time without a zone"),
        ("2025-05-05T00:00:00", "a time without a zone"),
        ("2025-05-05T00:00+02:00 Europe/Brussels", "both an offset and a zone"),
        ("2025-05-05T00:00Z UTC", "both an offset and a zone"),
        ("2025-05-05T00:00 Europe/Brussel", "no such time zone"),
        ("2025-05-05T00:00 Brussels", "no such time zone"),
        ("2025-05-05T00:00 CEST", "no such time zone"),
        ("2025-05-05T00:00 Europe", "no such time zone"),
        ("2025-05-05T00:00 ../../etc/passwd", "no such time zone"),
        ("2025-05-05T00:00 /etc/localtime", "no such time zone"),
        ("2025-05-05T00:00 \x00", "no such time zone"),
        ("2025-05-05T00:00 Europe/Brussels extra", "no such time zone"),
        ("0001-01-01T00:00+14:00", "too far away"),
        ("9999-12-31T23:59-12:00", "too far away"),
        ("0001-01-01T00:00 Europe/Brussels", "too far away"),
        ("9999-12-31T23:59 America/New_York", "too far away"),
    ):
        with case(text, problem), pytest.raises(InvalidValue, match=problem):
            parse_cutover(text)


def test_refusal_shows_how_to_write_it() -> None:
    with pytest.raises(InvalidValue, match=r'; write it as "2025-05-05T00:00 Europe/Brussels"$'):
        parse_cutover("tomorrow")
