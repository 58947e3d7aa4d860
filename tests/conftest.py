"""Fixtures for every kind of test. A world is a whole installation; see world.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World, WorldMaker

TESTS = Path(__file__).parent
SLOWEST_FIRST = ("stack/every_door", "stack/logins", "stack", "integration", "property", "migration", "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in several processes, keep together what shares servers, and begin with what takes longest.

    A group is a file; for the tests on real servers, which share them, a directory.
    """
    for item in items:
        place = item.path.relative_to(TESTS)
        group = place.parent if place.parts[0] in ("stack", "portal") else place
        item.add_marker(pytest.mark.xdist_group(str(group)))
    items.sort(key=lambda item: _rank(str(item.path.relative_to(TESTS))))


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
