"""The ways, all played at once; a test waits for the one that it looks at. They stay up until the end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stack.every_door.playing import Played, playing
from tests.stack.every_door.ways import Way, other_release, ways


@dataclass
class _Stage:
    """One thread a way, which plays it and then keeps it up until it is told to end."""

    ending: threading.Event

    def perform(self, way: Way, directory: Path, future: Future[Played]) -> None:
        try:
            with playing(way, directory) as played:
                future.set_result(played)
                self.ending.wait()
        except BaseException as error:
            if future.done():
                raise
            future.set_exception(error)


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Way, Future[Played]]]:
    other_release()  # made once, not by three at a time
    stage = _Stage(threading.Event())
    futures: dict[Way, Future[Played]] = {way: Future() for way in ways()}
    with ThreadPoolExecutor(len(futures)) as pool, contextlib.ExitStack() as stack:
        stack.callback(stage.ending.set)
        performing = [
            pool.submit(stage.perform, way, tmp_path_factory.mktemp("way"), future) for way, future in futures.items()
        ]
        yield futures
    for each in performing:
        each.result()


@pytest.fixture
def played(request: pytest.FixtureRequest, stages: dict[Way, Future[Played]]) -> Played:
    """What came of the way that the test names."""
    return stages[request.param].result()
