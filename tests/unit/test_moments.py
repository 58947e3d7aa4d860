"""POL3: moments that people write: a day means its end in the provider's zone, whoever reads it."""

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest

from mailauth.core.moments import end_of_day, parse, told
from mailauth.core.policy import Policy, parse_cutover
from mailauth.vocabulary.errors import InvalidValue
from tests.cases import case

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
BRUSSELS = ZoneInfo("Europe/Brussels")


def test_moment_is_a_span_from_now_the_end_of_a_day_or_a_time_in_the_zone() -> None:
    for text, moment in (
        ("1d", NOW + timedelta(days=1)),
        ("0h", NOW),
        ("48h", NOW + timedelta(days=2)),
        ("2026-01-31", datetime(2026, 1, 31, 23, tzinfo=UTC)),
        (" 2026-07-31 ", datetime(2026, 7, 31, 22, tzinfo=UTC)),
        ("2026-03-29", datetime(2026, 3, 29, 22, tzinfo=UTC)),  # a day of 23 hours
        ("2026-01-31T10:00", datetime(2026, 1, 31, 9, tzinfo=UTC)),
        ("2026-01-31T10:00Z", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T10:00+05:45", datetime(2026, 1, 31, 4, 15, tzinfo=UTC)),
    ):
        with case(text, moment):
            assert parse(text, NOW, BRUSSELS) == moment
            assert parse(text, NOW, BRUSSELS).utcoffset() == timedelta(0)


def test_the_zone_is_that_of_the_cutover() -> None:
    zones: tuple[tuple[str, tzinfo], ...] = (
        ("2025-05-05T00:00 Europe/Brussels", BRUSSELS),
        ("2025-05-05T00:00+02:00", timezone(timedelta(hours=2))),
        ("2025-05-05T00:00Z", UTC),
    )
    for text, zone in zones:
        with case(text):
            assert Policy(parse_cutover(text)).zone == zone


def test_other_words_are_no_moment() -> None:
    for text in ("", "d", "1", "1w", "1 d", "-1d", "+1d", "1.5d", "１d", "²d", "1D", "d1", "soon", "2026-02-30"):  # noqa: RUF001
        with case(text), pytest.raises(InvalidValue, match="not a time"):
            parse(text, NOW, UTC)


def test_moment_beyond_the_calendar_is_refused() -> None:
    for text in ("999999999d", "999999999h", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "9999-12-31"):
        with case(text), pytest.raises(InvalidValue, match="too far away"):
            parse(text, NOW, UTC)


def test_local_time_that_is_not_there_once_is_refused() -> None:
    for text in ("2026-03-29T02:30", "2026-10-25T02:30"):
        with case(text), pytest.raises(InvalidValue, match="does not exist once and only once"):
            parse(text, NOW, BRUSSELS)


def test_day_ends_where_the_clocks_change_at_midnight() -> None:
    ended = end_of_day(date(2024, 3, 30), ZoneInfo("Asia/Beirut"))
    assert ended.astimezone(UTC) == datetime(2024, 3, 30, 22, tzinfo=UTC)


def test_moment_is_told_in_the_zone_and_in_utc() -> None:
    moment = datetime(2031, 1, 31, 23, tzinfo=UTC)
    assert told(moment, BRUSSELS) == "2031-02-01 00:00 CET (2031-01-31 23:00 UTC)"
    assert told(moment, UTC) == "2031-01-31 23:00 UTC"
