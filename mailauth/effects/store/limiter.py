"""Statements of the limiter: one row a bucket, drawn from by one atomic statement.

A row holds a `core.limiter.Level`: the bucket's theoretical arrival time (GCRA) in milliseconds since 1970, which is
how far in the future its draws reach, and when it was drawn from last, which tells how full it is after the clock was
set back. A draw that would reach beyond the burst changes nothing and is thereby refused. What is written here is
what `Level` says in Python; a test holds both against each other.
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

from mailauth.core.limiter import EMPTY, OUT_OF_ORDER_MS, Bucket, Kind, Level
from mailauth.effects.store import dialects
from mailauth.effects.store.dialects import Statements
from mailauth.effects.store.tables import limiter

_NOW: ColumnElement[int] = bindparam("now_ms", type_=BigInteger)
_STEP: ColumnElement[int] = bindparam("step_ms", type_=BigInteger)
_REACH: ColumnElement[int] = bindparam("reach_ms", type_=BigInteger)
_OF_BUCKET = limiter.c.bucket == bindparam("key")

# What `Level.now` says: the moment to count by.
_AT = case(
    (
        and_(limiter.c.drawn_at_ms > _NOW, limiter.c.drawn_at_ms <= _NOW + OUT_OF_ORDER_MS),
        limiter.c.drawn_at_ms,
    ),
    else_=_NOW,
)
_REACHES_TO = case(
    (limiter.c.drawn_at_ms > _AT, _AT + case((limiter.c.arrival_ms > limiter.c.drawn_at_ms,
                                                limiter.c.arrival_ms - limiter.c.drawn_at_ms), else_=0)),
    (limiter.c.arrival_ms > _AT, limiter.c.arrival_ms),
    else_=_AT,
)  # fmt: skip
_FIRST: dict[str, ColumnElement[Any]] = {
    "bucket": bindparam("key", type_=String),
    "arrival_ms": _NOW + _STEP,
    "drawn_at_ms": _NOW,
}
_DRAWN: dict[str, ColumnElement[Any]] = {"arrival_ms": _REACHES_TO + _STEP, "drawn_at_ms": _AT}
# After the clock was set back a full bucket would stay as full as it is until the old time comes again.
_REANCHOR = (
    update(limiter).where(_OF_BUCKET, limiter.c.drawn_at_ms > _AT).values(arrival_ms=_REACHES_TO, drawn_at_ms=_AT)
)
_GIVE_BACK = update(limiter).where(_OF_BUCKET).values(arrival_ms=limiter.c.arrival_ms - _STEP)
_LEVEL = select(limiter.c.arrival_ms, limiter.c.drawn_at_ms).where(_OF_BUCKET)


class Reach(NamedTuple):
    """How full a bucket is now: its row's key, and until when its draws reach."""

    key: str
    until: datetime


def draw(connection: Connection, buckets: Sequence[Bucket], now: datetime, draws: int = 1) -> Bucket | None:
    """Draw from each bucket; return None if all admit, or the bucket that refuses (then none is drawn from).

    With 0 draws it does the same work and changes nothing, so that the time reveals nothing.
    """
    now_ms = _ms(now)
    for position, bucket in enumerate(buckets):
        if not _draw_one(connection, bucket, now_ms, draws):
            give_back(connection, buckets[:position], draws)
            for one in buckets:
                connection.execute(_REANCHOR, {"key": one.key, "now_ms": now_ms})
            return bucket
    return None


def draw_alike(connection: Connection, draws: Sequence[tuple[Bucket, int]], now: datetime) -> bool:
    """Draw from each bucket as often as it says, or from none where one refuses; tell whether all admitted.

    The same statements whatever comes of it, also with 0 draws: the time must not tell which half of a login is right.
    """
    now_ms = _ms(now)
    found = [(bucket, count, _found(connection, bucket)) for bucket, count in draws]
    are_admitting = all(
        count == 0 or (level or EMPTY).admits(bucket.rate, now_ms, count) for bucket, count, level in found
    )
    for bucket, count, _ in found:
        step_ms = count * bucket.rate.interval_ms if are_admitting else 0
        add = _add(dialects.statements(connection))
        connection.execute(add, {"key": bucket.key, "now_ms": now_ms, "step_ms": step_ms})
    return are_admitting


def full(connection: Connection, buckets: Iterable[Bucket], now: datetime) -> Bucket | None:
    """Return a bucket that would refuse a draw now, or None; draws nothing."""
    now_ms = _ms(now)
    for bucket in buckets:
        if not _level(connection, bucket).admits(bucket.rate, now_ms):
            connection.execute(_REANCHOR, {"key": bucket.key, "now_ms": now_ms})
            return bucket
    return None


def wait_s(connection: Connection, buckets: Iterable[Bucket], now: datetime) -> float:
    """Return in how many seconds all of these buckets would admit a draw, provided that nobody else draws."""
    now_ms, longest_ms = _ms(now), 0
    for bucket in buckets:
        after_draw_ms = _level(connection, bucket).drawn(bucket.rate, now_ms).arrival_ms
        longest_ms = max(longest_ms, after_draw_ms - bucket.rate.reach_ms - now_ms)
    return longest_ms / 1000


def give_back(connection: Connection, buckets: Iterable[Bucket], draws: int = 1) -> None:
    """Undo `draws` draws from each bucket. With 0 it does the same work."""
    undone = [{"key": bucket.key, "step_ms": draws * bucket.rate.interval_ms} for bucket in buckets]
    if undone:
        connection.execute(_GIVE_BACK, undone)


def levels(connection: Connection, account: str, now: datetime) -> tuple[Reach, ...]:
    """Return the buckets of an account that are not empty."""
    now_ms = _ms(now)
    statement = (
        select(limiter.c.bucket, limiter.c.arrival_ms, limiter.c.drawn_at_ms)
        .where(limiter.c.bucket.contains(f" {account}", autoescape=True))
        .order_by(limiter.c.bucket)
    )
    reached = [
        (key, Level(arrival_ms, drawn_at_ms).reaches_to(now_ms))
        for key, arrival_ms, drawn_at_ms in connection.execute(statement)
        if account in key.split(" ")
    ]
    return tuple(Reach(key, _moment(until_ms)) for key, until_ms in reached if until_ms > now_ms)


def level(connection: Connection, bucket: Bucket, now: datetime) -> Reach | None:
    """Return how full one bucket is; None for one that is empty."""
    until_ms = _level(connection, bucket).reaches_to(_ms(now))
    return Reach(bucket.key, _moment(until_ms)) if until_ms > _ms(now) else None


def clear(connection: Connection, keys: Iterable[str]) -> None:
    """Empty buckets, by their rows' keys."""
    for key in keys:
        connection.execute(delete(limiter).where(limiter.c.bucket == key))


def clear_codes(connection: Connection, account: str) -> None:
    """Forget an account's wrong codes, which were guessed at with a password that is right no more."""
    kinds = (Kind.CODE, Kind.CODE_FAMILIAR)
    from_one = limiter.c.bucket.startswith(f"{Kind.CODE_AND_SOURCE} {account} ", autoescape=True)
    keys = limiter.c.bucket.in_([f"{kind} {account}" for kind in kinds])
    connection.execute(delete(limiter).where(keys | from_one))


def purge(connection: Connection, empty_since: datetime) -> int:
    """Delete buckets that were empty at a moment that is surely over, and were not drawn from since."""
    since_ms = _ms(empty_since)
    statement = delete(limiter).where(limiter.c.arrival_ms <= since_ms, limiter.c.drawn_at_ms <= since_ms)
    return connection.execute(statement).rowcount


def _draw_one(connection: Connection, bucket: Bucket, now_ms: int, draws: int) -> bool:
    step_ms = draws * bucket.rate.interval_ms
    values = {"key": bucket.key, "now_ms": now_ms, "step_ms": step_ms, "reach_ms": bucket.rate.reach_ms}
    return connection.execute(_draw(dialects.statements(connection)), values).rowcount == 1


@cache
def _draw(forms: Statements) -> Insert:
    return forms.upsert(limiter, ["bucket"], _FIRST, _DRAWN, only_if=_REACHES_TO + _STEP <= _AT + _REACH)


@cache
def _add(forms: Statements) -> Insert:
    return forms.upsert(limiter, ["bucket"], _FIRST, _DRAWN)


def _level(connection: Connection, bucket: Bucket) -> Level:
    return _found(connection, bucket) or EMPTY


def _found(connection: Connection, bucket: Bucket) -> Level | None:
    found = connection.execute(_LEVEL, {"key": bucket.key}).first()
    return None if found is None else Level(found.arrival_ms, found.drawn_at_ms)


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
