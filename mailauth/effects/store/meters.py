"""Statements of the limiter: one row a meter, charged by one atomic statement.

A row holds a `core.limiter.MeterState`, in milliseconds since 1970: column `arrival_ms` is the TAT, and `drawn_at_ms`
the moment when the meter was charged last, which tells how far ahead the TAT is after the clock was set back. The
column `bucket` is the meter's key. A non-conforming attempt changes nothing. What is written here is what `MeterState`
says in Python; a test compares the two.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Insert,
    String,
    and_,
    bindparam,
    case,
    delete,
    select,
    update,
)

from mailauth.core.limiter import OUT_OF_ORDER_MS, UNUSED, Meter, MeterKind, MeterState
from mailauth.effects.store import dialects
from mailauth.effects.store.dialects import Statements
from mailauth.effects.store.tables import limiter

_NOW: ColumnElement[int] = bindparam("now_ms", type_=BigInteger)
_INCREMENT: ColumnElement[int] = bindparam("increment_ms", type_=BigInteger)
_MAX_AHEAD: ColumnElement[int] = bindparam("max_ahead_ms", type_=BigInteger)
_OF_METER = limiter.c.bucket == bindparam("key")

# What `MeterState.arrival_ms` says.
_ARRIVAL = case(
    (
        and_(limiter.c.drawn_at_ms > _NOW, limiter.c.drawn_at_ms <= _NOW + OUT_OF_ORDER_MS),
        limiter.c.drawn_at_ms,
    ),
    else_=_NOW,
)
# What `MeterState.current_tat_ms` says.
_CURRENT_TAT = case(
    (limiter.c.drawn_at_ms > _ARRIVAL, _ARRIVAL + case((limiter.c.arrival_ms > limiter.c.drawn_at_ms,
                                                limiter.c.arrival_ms - limiter.c.drawn_at_ms), else_=0)),
    (limiter.c.arrival_ms > _ARRIVAL, limiter.c.arrival_ms),
    else_=_ARRIVAL,
)  # fmt: skip
_FIRST: dict[str, ColumnElement[Any]] = {
    "bucket": bindparam("key", type_=String),
    "arrival_ms": _NOW + _INCREMENT,
    "drawn_at_ms": _NOW,
}
_CHARGED: dict[str, ColumnElement[Any]] = {"arrival_ms": _CURRENT_TAT + _INCREMENT, "drawn_at_ms": _ARRIVAL}
# What `MeterState.anchored` says: else a meter that was used up would stay so until the old time comes again.
_REANCHOR = (
    update(limiter)
    .where(_OF_METER, limiter.c.drawn_at_ms > _ARRIVAL)
    .values(arrival_ms=_CURRENT_TAT, drawn_at_ms=_ARRIVAL)
)
_UNDO = update(limiter).where(_OF_METER).values(arrival_ms=limiter.c.arrival_ms - _INCREMENT)
_STATE = select(limiter.c.arrival_ms, limiter.c.drawn_at_ms).where(_OF_METER)


class StoredTat(NamedTuple):
    """The TAT of a meter by the clock as it is now, and the key of the meter's row."""

    key: str
    tat: datetime


def charge(connection: Connection, meters: Sequence[Meter], now: datetime, cost: int = 1) -> Meter | None:
    """Charge each meter; return None if the attempt conforms to all, or the meter to which it does not.

    In the second case no meter is charged. A cost of 0 does the same work and changes nothing, so that the time
    reveals nothing.
    """
    now_ms = _ms(now)
    for position, meter in enumerate(meters):
        if not _charge_one(connection, meter, now_ms, cost):
            undo(connection, meters[:position], cost)
            for one in meters:
                connection.execute(_REANCHOR, {"key": one.key, "now_ms": now_ms})
            return meter
    return None


def charge_alike(connection: Connection, costs: Sequence[tuple[Meter, int]], now: datetime) -> bool:
    """Charge each meter with its cost, or none if one is non-conforming; tell whether all conform.

    Runs the same statements in both cases, and with costs of 0: the time must not tell which half of a login is right.
    """
    now_ms = _ms(now)
    found = [(meter, cost, _found(connection, meter)) for meter, cost in costs]
    are_conforming = all(
        cost == 0 or (state or UNUSED).conforms(meter.rate, now_ms, cost) for meter, cost, state in found
    )
    for meter, cost, _ in found:
        increment_ms = cost * meter.rate.emission_interval_ms if are_conforming else 0
        add = _add(dialects.statements(connection))
        connection.execute(add, {"key": meter.key, "now_ms": now_ms, "increment_ms": increment_ms})
    return are_conforming


def non_conforming(connection: Connection, meters: Iterable[Meter], now: datetime) -> Meter | None:
    """Return a meter to which an attempt would not conform now, or None; charges nothing."""
    now_ms = _ms(now)
    for meter in meters:
        if not _state(connection, meter).conforms(meter.rate, now_ms):
            connection.execute(_REANCHOR, {"key": meter.key, "now_ms": now_ms})
            return meter
    return None


def wait_s(connection: Connection, meters: Iterable[Meter], now: datetime) -> float:
    """Return in how many seconds an attempt would conform to all of these meters, if nobody else is charged."""
    now_ms, longest_ms = _ms(now), 0
    for meter in meters:
        new_tat_ms = _state(connection, meter).charged(meter.rate, now_ms).tat_ms
        longest_ms = max(longest_ms, new_tat_ms - meter.rate.max_ahead_ms - now_ms)
    return longest_ms / 1000


def undo(connection: Connection, meters: Iterable[Meter], cost: int = 1) -> None:
    """Undo a charge of `cost` to each meter. A cost of 0 does the same work."""
    undone = [{"key": meter.key, "increment_ms": cost * meter.rate.emission_interval_ms} for meter in meters]
    if undone:
        connection.execute(_UNDO, undone)


def tats(connection: Connection, account: str, now: datetime) -> tuple[StoredTat, ...]:
    """Return the TATs of an account's meters; only those that are ahead of now."""
    now_ms = _ms(now)
    statement = (
        select(limiter.c.bucket, limiter.c.arrival_ms, limiter.c.drawn_at_ms)
        .where(limiter.c.bucket.contains(f" {account}", autoescape=True))
        .order_by(limiter.c.bucket)
    )
    found = [
        (key, MeterState(arrival_ms, drawn_at_ms).current_tat_ms(now_ms))
        for key, arrival_ms, drawn_at_ms in connection.execute(statement)
        if account in key.split(" ")
    ]
    return tuple(StoredTat(key, _moment(tat_ms)) for key, tat_ms in found if tat_ms > now_ms)


def tat(connection: Connection, meter: Meter, now: datetime) -> datetime | None:
    """Return the TAT of one meter; None if it is not ahead of now."""
    tat_ms = _state(connection, meter).current_tat_ms(_ms(now))
    return _moment(tat_ms) if tat_ms > _ms(now) else None


def clear(connection: Connection, keys: Iterable[str]) -> None:
    """Forget all charges to meters, by their rows' keys."""
    for key in keys:
        connection.execute(delete(limiter).where(limiter.c.bucket == key))


def clear_codes(connection: Connection, account: str) -> None:
    """Forget the wrong codes of an account that has a new password: they came with the old one."""
    kinds = (MeterKind.CODE, MeterKind.CODE_FAMILIAR)
    from_one = limiter.c.bucket.startswith(f"{MeterKind.CODE_AND_SOURCE} {account} ", autoescape=True)
    keys = limiter.c.bucket.in_([f"{kind} {account}" for kind in kinds])
    connection.execute(delete(limiter).where(keys | from_one))


def purge(connection: Connection, unused_since: datetime) -> int:
    """Delete the rows of meters whose TAT was over at a past moment, and that were not charged since."""
    since_ms = _ms(unused_since)
    statement = delete(limiter).where(limiter.c.arrival_ms <= since_ms, limiter.c.drawn_at_ms <= since_ms)
    return connection.execute(statement).rowcount


def _charge_one(connection: Connection, meter: Meter, now_ms: int, cost: int) -> bool:
    increment_ms = cost * meter.rate.emission_interval_ms
    values = {
        "key": meter.key,
        "now_ms": now_ms,
        "increment_ms": increment_ms,
        "max_ahead_ms": meter.rate.max_ahead_ms,
    }
    return connection.execute(_charge(dialects.statements(connection)), values).rowcount == 1


@cache
def _charge(forms: Statements) -> Insert:
    return forms.upsert(
        limiter, ["bucket"], _FIRST, _CHARGED, only_if=_CURRENT_TAT + _INCREMENT <= _ARRIVAL + _MAX_AHEAD
    )


@cache
def _add(forms: Statements) -> Insert:
    return forms.upsert(limiter, ["bucket"], _FIRST, _CHARGED)


def _state(connection: Connection, meter: Meter) -> MeterState:
    return _found(connection, meter) or UNUSED


def _found(connection: Connection, meter: Meter) -> MeterState | None:
    found = connection.execute(_STATE, {"key": meter.key}).first()
    return None if found is None else MeterState(found.arrival_ms, found.drawn_at_ms)


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
