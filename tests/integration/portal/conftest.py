"""The portal of a world, and browsers that come to it."""

from collections.abc import Callable

import pytest
from starlette.applications import Starlette

from mailauth.edges.portal import app as portal
from tests.integration.portal.browsing import Browser
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
