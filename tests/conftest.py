"""Fixtures for every kind of test. A world is a whole installation; see world.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World, WorldMaker

TESTS = Path(__file__).parent
SLOWEST_FIRST = ("stack/logins", "stack", "integration", "property", "migration", "unit")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in several processes, keep together what shares servers, and begin with what takes longest.

    A group is a file; for the tests on real servers, which share them, a directory, or what a test names itself.
    First of all, since xdist reads the groups in this hook too.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            place = item.path.relative_to(TESTS)
            group = place.parent if place.parts[0] in ("stack", "portal") else place
            item.add_marker(pytest.mark.xdist_group(str(group)))
    items.sort(key=lambda item: _rank(str(item.path.relative_to(TESTS))))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Find out where groups are ignored: pytest 9.2 and xdist 3.8 each start the same servers many times over."""
    if session.config.getoption("loadgroup", default=False):  # xdist's, in each of its processes
        assert all("@" in item.nodeid for item in session.items), "xdist keeps no groups together with this pytest"


def _rank(place: str) -> int:
    return next((rank for rank, start in enumerate(SLOWEST_FIRST) if place.startswith(start)), 0)


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[WorldMaker]:
    """Give a maker of worlds, each in a directory of its own; they are closed at the end."""
    made: list[World] = []

    def make(*settings: str, **options: object) -> World:
        directory = tmp_path / f"world{len(made)}"
        directory.mkdir()
        world = World(directory, *settings, **options)  # type: ignore[arg-type]
        made.append(world)
        return world

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world: WorldMaker) -> World:
    """Give one world, 30 days after the cut-over."""
    return make_world()
