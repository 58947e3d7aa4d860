"""Fixtures for every kind of test. A world is a whole installation; see world.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World, WorldMaker


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
