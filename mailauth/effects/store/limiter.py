"""Statements of the limiter and on familiar sources: one row a bucket, drawn from by one atomic statement.

A row holds the bucket's theoretical arrival time (GCRA) in milliseconds since 1970: how far in the future its
draws reach. A draw that would reach beyond the burst changes nothing and is thereby refused.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, bindparam, case, delete, insert, select, update

from mailauth.core.limiter import FAMILIAR_FOR, Bucket
from mailauth.effects.store.tables import familiar_source, limiter

_NOW: ColumnElement[int] = bindparam("now_ms", type_=BigInteger)
_STEP: ColumnElement[int] = bindparam("step_ms", type_=BigInteger)
_REACH: ColumnElement[int] = bindparam("reach_ms", type_=BigInteger)


def _later(column: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    return case((column > other, column), else_=other)  # MAX() and GREATEST() are not one function everywhere


_DRAWN = _later(limiter.c.arrival_ms, _NOW) + _STEP
_DRAW = update(limiter).where(limiter.c.bucket == bindparam("key"), _DRAWN <= _NOW + _REACH).values(arrival_ms=_DRAWN)
# After a clock was set back, a bucket would be full until the old time comes again: at most full is enough.
_CLAMP = (
    update(limiter)
    .where(limiter.c.bucket == bindparam("key"), limiter.c.arrival_ms > _NOW + _REACH)
    .values(arrival_ms=_NOW + _REACH)
)
_GIVE_BACK = (
    update(limiter).where(limiter.c.bucket == bindparam("key")).values(arrival_ms=limiter.c.arrival_ms - _STEP)
)
_ARRIVAL = select(limiter.c.arrival_ms).where(limiter.c.bucket == bindparam("key"))
_EXISTS = select(limiter.c.bucket).where(limiter.c.bucket == bindparam("key"))
_FILL = insert(limiter)
_SAME = (familiar_source.c.account_id == bindparam("whose")) & (familiar_source.c.network == bindparam("from_where"))
_LAST_PASSED = select(familiar_source.c.last_passed_at).where(_SAME)
_PASS_AGAIN = update(familiar_source).where(_SAME).values(last_passed_at=bindparam("now"))
_PASS_FIRST = insert(familiar_source)


class Level(NamedTuple):
    """How full a bucket is: its row's key, and until when its draws reach."""

    key: str
    until: datetime


def draw(connection: Connection, buckets: Sequence[Bucket], now: datetime) -> Bucket | None:
    """Draw once from each bucket; return None if all admit, or the bucket that refuses (then none is drawn from)."""
    now_ms = _ms(now)
    for position, bucket in enumerate(buckets):
        if not _draw_one(connection, bucket, now_ms):
            give_back(connection, buckets[:position])
            for one in buckets:
                connection.execute(_CLAMP, {"key": one.key, "now_ms": now_ms, "reach_ms": _reach_ms(one)})
            return bucket
    return None


def wait_s(connection: Connection, buckets: Iterable[Bucket], now: datetime) -> float:
    """Return in how many seconds all of these buckets would admit a draw, provided that nobody else draws."""
    now_ms, longest_ms = _ms(now), 0
    for bucket in buckets:
        arrival_ms = connection.execute(_ARRIVAL, {"key": bucket.key}).scalar()
        if arrival_ms is not None:
            longest_ms = max(longest_ms, arrival_ms + bucket.rate.interval_ms - _reach_ms(bucket) - now_ms)
    return longest_ms / 1000


def give_back(connection: Connection, buckets: Iterable[Bucket], draws: int = 1) -> None:
    """Undo so many draws from each bucket; none takes as long as one."""
    undone = [{"key": bucket.key, "step_ms": draws * bucket.rate.interval_ms} for bucket in buckets]
    if undone:
        connection.execute(_GIVE_BACK, undone)


def levels(connection: Connection, account: str, now: datetime) -> tuple[Level, ...]:
    """Return the buckets of an account that are not empty."""
    statement = (
        select(limiter.c.bucket, limiter.c.arrival_ms)
        .where(limiter.c.arrival_ms > _ms(now), limiter.c.bucket.contains(f" {account}", autoescape=True))
        .order_by(limiter.c.bucket)
    )
    return tuple(
        Level(key, datetime.fromtimestamp(arrival_ms / 1000, UTC))
        for key, arrival_ms in connection.execute(statement)
        if account in key.split(" ")
    )


def level(connection: Connection, bucket: Bucket) -> Level | None:
    """Return how full one bucket is; None for one that was never drawn from, or is empty and was purged."""
    arrival_ms = connection.execute(_ARRIVAL, {"key": bucket.key}).scalar()
    return None if arrival_ms is None else Level(bucket.key, datetime.fromtimestamp(arrival_ms / 1000, UTC))


def clear(connection: Connection, keys: Iterable[str]) -> None:
    """Empty buckets, by their rows' keys."""
    for key in keys:
        connection.execute(delete(limiter).where(limiter.c.bucket == key))


def last_passed(connection: Connection, account_id: int, network: str) -> datetime | None:
    """Return when an account last logged in from a network; None for never, or longer ago than is kept."""
    same = {"whose": account_id, "from_where": network}
    found: datetime | None = connection.execute(_LAST_PASSED, same).scalar()
    return found


def set_passed(connection: Connection, account_id: int, network: str, now: datetime) -> None:
    """Note that an account logged in from a network."""
    same = {"whose": account_id, "from_where": network, "now": now}
    if connection.execute(_PASS_AGAIN, same).rowcount == 0:
        connection.execute(_PASS_FIRST, {"account_id": account_id, "network": network, "last_passed_at": now})


def unset_passed(connection: Connection, account_id: int, network: str) -> None:
    """Forget that an account logged in from a network."""
    same = (familiar_source.c.account_id == account_id) & (familiar_source.c.network == network)
    connection.execute(delete(familiar_source).where(same))


def purge(connection: Connection, now: datetime) -> int:
    """Delete what says nothing any more: buckets that are empty, sources that are familiar no longer."""
    empty = connection.execute(delete(limiter).where(limiter.c.arrival_ms <= _ms(now))).rowcount
    too_old = familiar_source.c.last_passed_at <= now - FAMILIAR_FOR
    return empty + connection.execute(delete(familiar_source).where(too_old)).rowcount


def _draw_one(connection: Connection, bucket: Bucket, now_ms: int) -> bool:
    step_ms = bucket.rate.interval_ms
    values = {"key": bucket.key, "now_ms": now_ms, "step_ms": step_ms, "reach_ms": _reach_ms(bucket)}
    if connection.execute(_DRAW, values).rowcount == 1:
        return True
    if connection.execute(_EXISTS, {"key": bucket.key}).first() is not None:
        return False
    connection.execute(_FILL, {"bucket": bucket.key, "arrival_ms": now_ms + step_ms})
    return True


def _reach_ms(bucket: Bucket) -> int:
    return bucket.rate.interval_ms * bucket.rate.burst


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
