"""The limiter's statements do what its pure part says, whatever the clock does (LIM2, LIM10)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from mailauth.core.limiter import UNUSED, Meter, MeterKind, MeterState, Rate
from mailauth.effects.store import meters, upkeep
from mailauth.effects.store.database import Database
from mailauth.effects.store.tables import metadata
from tests.transactions import writing

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
RATES = st.builds(Rate, st.integers(1, 5), st.sampled_from([0.5, 1, 60]))
ACTS = st.lists(
    st.tuples(st.sampled_from(["charge", "charge nothing", "undo", "look"]), st.integers(-300, 300)), max_size=25
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path_factory.mktemp('limiter')}/limiter.db"
    upkeep.create(url)
    database = Database(url)
    metadata.create_all(database.engine)
    yield database
    database.close()


class Undo(Exception):
    """Ends a transaction so that nothing of it stays."""


@given(RATES, ACTS)
def test_statements_do_what_states_say(database: Database, rate: Rate, acts: list[tuple[str, int]]) -> None:
    meter = Meter(MeterKind.ACCOUNT, "alice@example.org", rate)
    try:
        with writing(database) as connection:
            _play(connection, meter, acts)
            raise Undo
    except Undo:
        pass


def _play(connection: Connection, meter: Meter, acts: list[tuple[str, int]]) -> None:
    now, state, charged = EPOCH, UNUSED, 0
    for act, seconds in acts:
        now += timedelta(seconds=seconds)
        now_ms = int(now.timestamp() * 1000)
        if act == "look":
            is_used_up = meters.non_conforming(connection, [meter], now) is not None
            assert is_used_up != state.conforms(meter.rate, now_ms)
            state = state.anchored(now_ms) if is_used_up else state
            continue
        if act == "undo":
            if charged:
                meters.undo(connection, [meter])
                state, charged = state.undone(meter.rate), charged - 1
            continue
        cost = int(act == "charge")
        is_admitted = meters.charge(connection, [meter], now, cost) is None
        assert is_admitted == state.conforms(meter.rate, now_ms, cost)
        if is_admitted:
            state, charged = state.charged(meter.rate, now_ms, cost), charged + cost
        else:
            state = state.anchored(now_ms)
        tat = meters.tat(connection, meter, now)
        tat_ms = now_ms if tat is None else round(tat.timestamp() * 1000)
        assert tat_ms == state.current_tat_ms(now_ms)
        assert tat_ms <= state.arrival_ms(now_ms) + meter.rate.max_ahead_ms, "never further ahead than a burst"


@given(RATES, st.lists(st.integers(-10_000, 10_000), min_size=1, max_size=40))
def test_clock_that_is_set_admits_at_most_one_burst_more_each_time_it_goes_ahead(rate: Rate, jumps: list[int]) -> None:
    """Counting by the longest way that the clock can have gone."""
    state, now_ms, admitted, ahead_ms = UNUSED, 10**9, 0, 0
    for jump in jumps:
        now_ms += jump
        ahead_ms += max(0, jump)
        for _ in range(rate.burst + 1):
            if state.conforms(rate, now_ms):
                state, admitted = state.charged(rate, now_ms), admitted + 1
    assert admitted <= rate.burst + ahead_ms // rate.emission_interval_ms


def test_state_of_a_row_from_before_counts_as_it_did() -> None:
    assert MeterState(5_000, 0).current_tat_ms(2_000) == 5_000


def test_logins_that_are_decided_out_of_order_let_no_limit_recover(database: Database) -> None:
    """Each is counted by the moment of its receipt, seconds before that of one that was counted already."""
    meter = Meter(MeterKind.CODE, "bob@example.org", Rate(3, 60))
    with writing(database) as connection:
        for _ in range(3):
            assert meters.charge_alike(connection, [(meter, 1)], EPOCH)
        for _ in range(500):
            meters.charge_alike(connection, [(meter, 0)], EPOCH + timedelta(seconds=8))
            assert not meters.charge_alike(connection, [(meter, 1)], EPOCH)
            meters.charge(connection, [meter], EPOCH)
            meters.non_conforming(connection, [meter], EPOCH)
        assert not meters.charge_alike(connection, [(meter, 1)], EPOCH + timedelta(seconds=50))
        assert meters.charge_alike(connection, [(meter, 1)], EPOCH + timedelta(seconds=61))


def test_meter_that_is_beyond_a_new_limit_refuses_nothing_that_costs_nothing(database: Database) -> None:
    before, after = (Meter(MeterKind.FACTOR, "carol@example.org", Rate(burst, 60)) for burst in (50, 20))
    with writing(database) as connection:
        for _ in range(50):
            assert meters.charge_alike(connection, [(before, 1)], EPOCH)
        assert meters.charge_alike(connection, [(after, 0)], EPOCH)
        assert not meters.charge_alike(connection, [(after, 1)], EPOCH)
