"""Moments that people write, and how they are told them again: in the provider's zone, which is the cut-over's.

A day that is named as an end is part of what ends: its end counts, at every edge.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from mailauth.vocabulary.errors import InvalidValue

_SPAN = re.compile(r"([0-9]{1,9})([dh])")
_UNITS = {"d": "days", "h": "hours"}


def end_of_day(day: date, zone: tzinfo) -> datetime:
    """Return the end of a day as it is in a zone. Raises OverflowError for the last day that there is."""
    return datetime.combine(day + timedelta(days=1), time(), zone)


def parse(text: str, now: datetime, zone: tzinfo) -> datetime:
    """Return the moment that a person wrote, in UTC. Raises InvalidValue.

    `30d`, `12h`: so long from now. `2026-01-31`: the end of that day in the zone. `2026-01-31T10:00`: that time in the
    zone, unless it has an offset of its own.
    """
    text = text.strip()
    span = _SPAN.fullmatch(text)
    try:
        if span is not None:
            return now + timedelta(**{_UNITS[span[2]]: int(span[1])})
        return _written(text, zone).astimezone(UTC)
    except OverflowError as error:
        raise InvalidValue(f"too far away: {text!a}") from error


def told(moment: datetime, zone: tzinfo) -> str:
    """Return a moment for people: in the zone, and in UTC where that is another time."""
    there, utc = moment.astimezone(zone), moment.astimezone(UTC)
    written = f"{utc:%Y-%m-%d %H:%M} UTC"
    if there.utcoffset() == timedelta(0):
        return written
    return f"{there:%Y-%m-%d %H:%M %Z} ({written})"


def _written(text: str, zone: tzinfo) -> datetime:
    try:
        return end_of_day(date.fromisoformat(text), zone)
    except ValueError:
        pass  # no day alone
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidValue(f"not a time: {text!a}; write it as 30d, 12h or 2026-01-31") from error
    if moment.tzinfo is not None:
        return moment
    here = moment.replace(tzinfo=zone)
    if here.utcoffset() != here.replace(fold=1).utcoffset():
        raise InvalidValue(f"{text} does not exist once and only once in {zone}; take another hour, or give an offset")
    return here
