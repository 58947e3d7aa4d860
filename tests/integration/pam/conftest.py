"""Fixtures for pam_mailauth.so: builds, private PAM stacks, and sites with a real server behind a stack."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pam_module.harness.helper import build
from pam_module.harness.pam_stack import PamStack
from tests.integration.pam.doors import Door
from tests.integration.serving import Site

DoorMaker = Callable[..., Door]


@pytest.fixture(scope="session")
def shipped() -> Path:
    return build("all", "test-parts")


@pytest.fixture(scope="session")
def sanitized() -> Path:
    return build("all", "test-parts", sanitize=True)


@pytest.fixture(params=["shipped", "sanitized"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> PamStack:
    """Give a stack of each build, for a scripted server."""
    return PamStack(request.getfixturevalue(request.param), tmp_path)


@pytest.fixture
def plain(shipped: Path, tmp_path: Path) -> PamStack:
    """Give a stack of the shipped build, for a scripted server."""
    return PamStack(shipped, tmp_path)


@pytest.fixture(scope="session")
def make_door(shipped: Path) -> Iterator[DoorMaker]:
    """Give a maker of sites with a server and a PAM stack. Their names are short, for the socket's path."""
    with tempfile.TemporaryDirectory(prefix="mailauth-") as top:
        made: list[Door] = []

        def make(*settings: str) -> Door:
            directory = Path(top) / f"site{len(made)}"
            directory.mkdir()
            site = Site(directory, *settings)
            door = Door(site, shipped)
            made.append(door)
            site.serve()
            return door

        yield make
        for door in made:
            door.close()
            door.site.close()


@pytest.fixture(scope="session")
def door(make_door: DoorMaker) -> Door:
    """Give a door after the cut-over, without limits and memory."""
    return make_door()
