"""Fixtures with real server processes; see ../serving.py."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.serving import Server, Site

SiteMaker = Callable[..., Site]


@pytest.fixture(scope="module")
def make_site() -> Iterator[SiteMaker]:
    """Give a maker of sites. Their directories have short names, since a socket's path has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="mailauth-") as top:
        made: list[Site] = []

        def make(*settings: str) -> Site:
            directory = Path(top) / f"site{len(made)}"
            directory.mkdir()
            site = Site(directory, *settings)
            made.append(site)
            return site

        yield make
        for site in made:
            site.close()


@pytest.fixture(scope="module")
def site(make_site: SiteMaker) -> Site:
    """Give one site for all tests of a module."""
    return make_site()


@pytest.fixture(scope="module")
def server(site: Site) -> Server:
    """Give a server on that site, for tests that leave it as it was."""
    return site.serve()
