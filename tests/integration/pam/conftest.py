"""Fixtures for pam_mailauth.so: builds, private PAM stacks, and sites with a real server behind a stack."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pam_module.harness.helper import build
from pam_module.harness.pam_stack import PamStack
from tests.integration.serving import Site

SiteMaker = Callable[..., Site]


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


@pytest.fixture(scope="module")
def make_site() -> Iterator[SiteMaker]:
    """Give a maker of sites with a server. Their directories have short names, for the socket's path."""
    with tempfile.TemporaryDirectory(prefix="mailauth-") as top:
        made: list[Site] = []

        def make(*settings: str) -> Site:
            directory = Path(top) / f"site{len(made)}"
            directory.mkdir()
            site = Site(directory, *settings)
            made.append(site)
            site.serve()
            return site

        yield make
        for site in made:
            site.close()
