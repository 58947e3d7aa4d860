"""APP2: what is known of an app password is never older than a second, and never more than its cap."""

import asyncio
import gc
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from mailauth.effects.store import app_passwords
from mailauth.effects.store.database import Database
from mailauth.usecases.login import app_password_cache
from mailauth.usecases.login.app_password_cache import AppPasswordCache
from mailauth.vocabulary.errors import StoreUnavailable
from mailauth.vocabulary.model import AccountName

ALICE, BOB = AccountName("alice@mailitwize.be"), AccountName("bob@mailitwize.be")


@dataclass
class FakeDatabase:
    """Answers each look-up with the number of look-ups so far, after some seconds of the clock."""

    now: float = 100.0
    takes_s: float = 0.0
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def run_reading(self, job: Any) -> Any:
        found = job()
        self.now += self.takes_s
        return found

    def read(self, job: Any) -> Any:
        return job(None)


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture
def cache(database: FakeDatabase, monkeypatch: pytest.MonkeyPatch) -> AppPasswordCache:
    def find(_connection: object, name: AccountName, selector: str) -> Any:
        database.asked.append((name, selector))
        return len(database.asked)

    monkeypatch.setattr(app_passwords, "find", find)
    return AppPasswordCache(cast(Database, database), lambda: database.now)


async def test_nothing_is_known_before_it_was_asked(cache: AppPasswordCache) -> None:
    assert cache.get(ALICE, "abcde") is None


async def test_what_was_found_is_known_for_less_than_a_second(cache: AppPasswordCache, database: FakeDatabase) -> None:
    assert await cache.load(ALICE, "abcde") == 1
    for later in (0.0, 0.5, 0.89):
        database.now = 100.0 + later
        found = cache.get(ALICE, "abcde")
        assert found is not None
        assert found.value == cast(Any, 1)
    for later in (0.91, 1.0, 100.0):
        database.now = 100.0 + later
        assert cache.get(ALICE, "abcde") is None


async def test_second_is_counted_from_the_asking_and_not_from_the_answer(
    cache: AppPasswordCache, database: FakeDatabase
) -> None:
    database.takes_s = 0.6
    await cache.load(ALICE, "abcde")
    assert cache.get(ALICE, "abcde") is not None
    database.now = 100.91
    assert cache.get(ALICE, "abcde") is None


async def test_accounts_and_selectors_are_told_apart(cache: AppPasswordCache) -> None:
    await cache.load(ALICE, "abcde")
    assert cache.get(BOB, "abcde") is None
    assert cache.get(ALICE, "abcdf") is None


async def test_loading_again_asks_again(cache: AppPasswordCache, database: FakeDatabase) -> None:
    assert await cache.load(ALICE, "abcde") == 1
    assert await cache.load(ALICE, "abcde") == 2
    assert database.asked == [(ALICE, "abcde")] * 2


async def test_guesses_do_not_fill_the_memory(cache: AppPasswordCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_password_cache, "MAX_ENTRIES", 5)
    for number in range(23):
        await cache.load(ALICE, f"{number:05d}")
        assert len(cache._entries) <= 5
    assert cache.get(ALICE, "00022") is not None


async def test_look_up_that_fails_when_no_login_waits_for_it_logs_no_traceback(
    cache: AppPasswordCache, database: FakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    is_over = asyncio.Event()

    async def fail(_job: object) -> None:
        await is_over.wait()
        raise StoreUnavailable("away")

    database.run_reading = fail  # type: ignore[method-assign,assignment]
    waiting = asyncio.ensure_future(cache.load(ALICE, "abcde"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    is_over.set()
    while cache._reader is not None:
        await asyncio.sleep(0)
    gc.collect()
    assert caplog.records == []
