"""The ways to mailauth, played. The main ones begin together, once a test asks for one; likewise the further ones.

A test waits for the way that it looks at. Their sites stay up until the last test; tests take accounts of their own
and leave a site as they found it. The search for secrets in the logs comes last.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.stack.people import Site
from tests.stack.table import Played, playing
from tests.stack.ways import Way, further_ways, main_ways, other_release, params


@dataclass
class Stages:
    """One thread a way, which plays it and then keeps it up until it is told to end."""

    new_directory: Callable[[], Path]
    ending: threading.Event = field(default_factory=threading.Event)
    played: dict[Way, Future[Played]] = field(default_factory=dict)
    performing: list[Future[None]] = field(default_factory=list)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(len(main_ways() + further_ways())))

    def of(self, way: Way) -> Played:
        """Return what came of a way."""
        if way not in self.played:
            self._begin(further_ways() if way in further_ways() else main_ways())
        return self.played[way].result()

    def end(self) -> None:
        """Take all down; what failed in that is raised."""
        self.ending.set()
        self.pool.shutdown()
        for each in self.performing:
            each.result()

    def _begin(self, ways: tuple[Way, ...]) -> None:
        if any(way.is_elsewhere for way in ways):
            other_release()  # made once, not by several at a time
        for way in ways:
            self.played[way] = Future()
            self.performing.append(self.pool.submit(self._perform, way, self.new_directory()))

    def _perform(self, way: Way, directory: Path) -> None:
        future = self.played[way]
        try:
            with playing(way, directory) as played:
                future.set_result(played)
                self.ending.wait()
        except BaseException as error:
            if future.done():
                raise
            future.set_exception(error)


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    made = Stages(lambda: tmp_path_factory.mktemp("way"))
    yield made
    made.end()


@pytest.fixture(scope="session", params=params(main_ways()))
def played(request: pytest.FixtureRequest, stages: Stages) -> Played:
    """What came of a way: of one main way after the other, where a test names no others."""
    return stages.of(request.param)


@pytest.fixture(scope="session")
def site(played: Played) -> Site:
    """The way's servers."""
    return played.site


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Search for secrets behind everything that could have left one."""
    items.sort(key=lambda item: item.path.name == "test_no_secret_is_left.py")
