"""The portal of a world, browsers that come to it, and portals as processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from mailauth.edges.portal import app as portal
from tests.integration.portal.browsing import Browser
from tests.integration.portal.listening import SiteMaker
from tests.integration.serving import Site
from tests.world import World

BrowserMaker = Callable[..., Browser]


@pytest.fixture
def app(world: World) -> Starlette:
    return portal.build(world.installation)


@pytest.fixture
def open_browser(world: World, app: Starlette) -> BrowserMaker:
    """Give a maker of browsers, each with cookies of its own."""

    def make(peer: str = "127.0.0.1", **headers: str) -> Browser:
        return Browser(app, world, peer, **headers)

    return make


@pytest.fixture
def browser(open_browser: BrowserMaker) -> Browser:
    return open_browser()


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[SiteMaker]:
    """Give a maker of sites whose portal listens beside their files, by default for our own group."""
    made: list[Site] = []

    def make(*settings: str) -> Site:
        directory = tmp_path / f"site{len(made)}"
        directory.mkdir()
        where = f"portal.listen=unix:{directory}/portal.sock"
        made.append(Site(directory, where, "portal.socket_group=", *settings))
        return made[-1]

    yield make
    for site in made:
        site.close()
