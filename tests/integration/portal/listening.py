"""Portals that listen on a Unix socket beside their files, as real processes, and how a web server asks them.

Holds no tests; `make_site` is in conftest.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.integration.portal.browsing import HOST
from tests.integration.serving import PATIENCE_S, Server, Site

UNKNOWN_PAGE = "/nothing"
"""What is logged with the client's address, and looks at nothing."""
SiteMaker = Callable[..., Site]


def start(site: Site, *parts: str, **options: Any) -> Server:
    """Start the portal, alone or with the other parts."""
    return site.serve(parts=parts, **options)


def socket_of(site: Site) -> Path:
    return site.directory / "portal.sock"


def ask(path: Path, **headers: str) -> httpx.Response:
    """Ask for a page as a web server would."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=PATIENCE_S) as client:
        return client.get(f"http://{HOST}{UNKNOWN_PAGE}", headers=headers)
