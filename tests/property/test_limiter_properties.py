"""The limiter's statements do what its pure part says, whatever the clock does (LIM2, LIM10)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from mailauth.core.limiter import EMPTY, Bucket, Kind, Level, Rate
from mailauth.effects.store import limiter
from mailauth.effects.store.database import Database, create
from mailauth.effects.store.tables import metadata
from tests.transactions import writing

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
RATES = st.builds(Rate, st.integers(1, 5), st.sampled_from([0.5, 1, 60]))
ACTS = st.lists(
    st.tuples(st.sampled_from(["draw", "draw nothing", "give back", "look"]), st.integers(-300, 300)), max_size=25
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path_factory.mktemp('limiter')}/limiter.db"
    create(url)
    database = Database(url)
    metadata.create_all(database.engine)
    yield database
    database.close()


class Undo(Exception):
    """Ends a transaction so that nothing of it stays."""


@given(RATES, ACTS)
def test_statements_do_what_levels_say(database: Database, rate: Rate, acts: list[tuple[str, int]]) -> None:
    bucket = Bucket(Kind.ACCOUNT, "alice@example.org", rate)
    try:
        with writing(database) as connection:
            _play(connection, bucket, acts)
            raise Undo
    except Undo:
        pass


def _play(connection: Connection, bucket: Bucket, acts: list[tuple[str, int]]) -> None:
    now, level, drawn = EPOCH, EMPTY, 0
    for act, seconds in acts:
        now += timedelta(seconds=seconds)
        now_ms = int(now.timestamp() * 1000)
        if act == "look":
            is_full = limiter.full(connection, [bucket], now) is not None
            assert is_full != level.admits(bucket.rate, now_ms)
            level = level.anchored(now_ms) if is_full else level
            continue
        if act == "give back":
            if drawn:
                limiter.give_back(connection, [bucket])
                level, drawn = level.given_back(bucket.rate), drawn - 1
            continue
        draws = int(act == "draw")
        is_admitted = limiter.draw(connection, [bucket], now, draws) is None
        assert is_admitted == level.admits(bucket.rate, now_ms, draws)
        if is_admitted:
            level, drawn = level.drawn(bucket.rate, now_ms, draws), drawn + draws
        else:
            level = level.anchored(now_ms)
        reach = limiter.level(connection, bucket, now)
        reaches_to = now_ms if reach is None else round(reach.until.timestamp() * 1000)
        assert reaches_to == level.reaches_to(now_ms)
        assert reaches_to <= level.now(now_ms) + bucket.rate.reach_ms, "never fuller than full"


@given(RATES, st.lists(st.integers(-10_000, 10_000), min_size=1, max_size=40))
def test_clock_that_is_set_admits_at_most_one_burst_more_each_time_it_goes_ahead(rate: Rate, jumps: list[int]) -> None:
    """Counting by the longest way that the clock can have gone."""
    level, now_ms, admitted, ahead_ms = EMPTY, 10**9, 0, 0
    for jump in jumps:
        now_ms += jump
        ahead_ms += max(0, jump)
        for _ in range(rate.burst + 1):
            if level.admits(rate, now_ms):
                level, admitted = level.drawn(rate, now_ms), admitted + 1
    assert admitted <= rate.burst + ahead_ms // rate.interval_ms


def test_level_of_a_row_from_before_counts_as_it_did() -> None:
    assert Level(5_000, 0).reaches_to(2_000) == 5_000


def test_logins_that_are_decided_out_of_order_empty_no_bucket(database: Database) -> None:
    """Each is counted by the moment of its receipt, seconds before that of one that was counted already."""
    bucket = Bucket(Kind.CODE, "bob@example.org", Rate(3, 60))
    with writing(database) as connection:
        for _ in range(3):
            assert limiter.draw_alike(connection, [(bucket, 1)], EPOCH)
        for _ in range(500):
            limiter.draw_alike(connection, [(bucket, 0)], EPOCH + timedelta(seconds=8))
            assert not limiter.draw_alike(connection, [(bucket, 1)], EPOCH)
            limiter.draw(connection, [bucket], EPOCH)
            limiter.full(connection, [bucket], EPOCH)
        assert not limiter.draw_alike(connection, [(bucket, 1)], EPOCH + timedelta(seconds=50))
        assert limiter.draw_alike(connection, [(bucket, 1)], EPOCH + timedelta(seconds=61))


def test_bucket_that_is_fuller_than_a_new_rate_allows_refuses_nothing_that_draws_nothing(database: Database) -> None:
    before, after = (Bucket(Kind.FACTOR, "carol@example.org", Rate(burst, 60)) for burst in (50, 20))
    with writing(database) as connection:
        for _ in range(50):
            assert limiter.draw_alike(connection, [(before, 1)], EPOCH)
        assert limiter.draw_alike(connection, [(after, 0)], EPOCH)
        assert not limiter.draw_alike(connection, [(after, 1)], EPOCH)
