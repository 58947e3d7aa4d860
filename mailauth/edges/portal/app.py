"""The portal: every page, the guard around them, and what they all work with."""

import logging
from ipaddress import ip_network
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mailauth.core.web_addresses import host_of
from mailauth.edges.portal import (
    account,
    addresses,
    app_passwords,
    assets,
    errors,
    help_pages,
    logging_in,
    recovery_codes,
    setting_up,
)
from mailauth.edges.portal.device_settings import mail_servers
from mailauth.edges.portal.middleware import Guard
from mailauth.edges.portal.pages import Pages
from mailauth.edges.portal.site import Portal
from mailauth.effects import logo
from mailauth.effects.logo import Logo
from mailauth.vocabulary.errors import (
    AccountUnknown,
    InvalidConfiguration,
    NotProved,
    Overloaded,
    SessionOver,
    StoreUnavailable,
)
from mailauth.wiring import Installation

_log = logging.getLogger(__name__)


def build(installation: Installation) -> Starlette:
    """Return the portal of an installation, as an ASGI application."""
    settings = installation.configuration.portal
    files = assets.load(settings.colour, _logo(settings.logo))
    portal = Portal(
        installation=installation,
        pages=Pages(
            installation.configuration, installation.policy, installation.languages, files, installation.clock
        ),
        assets=files,
        provider=installation.configuration.provider.name,
        own_origin=settings.url,  # the configuration has it in its one form
        own_host=host_of(urlsplit(settings.url).netloc),
        by_unix_socket=settings.socket_path is not None,
        trusted_proxies=tuple(ip_network(text) for text in settings.trusted_proxies),
        mail_servers=mail_servers(settings.imap, settings.smtp),
    )
    app = Starlette(
        routes=[
            *logging_in.routes,
            *setting_up.routes,
            *account.routes,
            *recovery_codes.routes,
            *app_passwords.routes,
            *addresses.routes,
            *help_pages.routes,
            assets.route,
        ],
        middleware=[Middleware(Guard, portal=portal)],
        exception_handlers={
            HTTPException: errors.on_http_error,
            StoreUnavailable: errors.on_unavailable,
            Overloaded: errors.on_unavailable,
            SessionOver: _to_login,
            AccountUnknown: _to_login,
            NotProved: _to_login,
        },
    )
    app.router.redirect_slashes = False
    app.state.portal = portal
    return app


def _logo(path: str) -> Logo | None:
    """Return the logo, or None where it cannot be used: nobody's login should fail for want of a picture."""
    try:
        return logo.read(path)
    except InvalidConfiguration as error:
        _log.warning("%s; pages show the provider's name instead", error)
        return None


async def _to_login(_request: Request, _error: Exception) -> Response:
    """Send whose session ended while the page was made to the login."""
    return RedirectResponse("/login", status_code=303)
