"""One sandbox that speaks TLS, for all tests on it; its portal has a name and a port of its own."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from tests.stack import sandboxes
from tests.stack.sandboxes import Sandbox

PORTAL_NAME = "2fa.mailitwize.be"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    named = ("--set", f"portal.url=https://{PORTAL_NAME}")
    with sandboxes.running(tmp_path_factory.mktemp("tls"), "--tls", *named) as made:
        made.set(f"portal.url={made.portal}")  # the port is known only now
        yield made


@pytest.fixture(scope="session")
def verifying(site: Sandbox) -> ssl.SSLContext:
    """What a client believes that knows the sandbox's authority, as strict as Python 3.13."""
    context = ssl.create_default_context(cafile=site.ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context
