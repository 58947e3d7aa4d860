"""The pages that say that something did not work: what, and what to do now. Never a traceback or a path.

They look like every other page, also where the database that knows the visitor cannot be asked.
"""

import contextlib

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mailauth.edges.portal.site import Portal
from mailauth.edges.portal.visit import begin_visit, visit_of_stranger
from mailauth.vocabulary.errors import Overloaded, StoreUnavailable

RETRY_AFTER_S = 30

_KNOWN = frozenset({400, 403, 404, 405, 413, 415, 429, 500, 503})


async def page(portal: Portal, request: Request, status: int) -> Response:
    """Return the page of an error."""
    shown = status if status in _KNOWN else 400 if 400 <= status < 500 else 500
    visit = visit_of_stranger(portal, request)
    if shown < 500:
        with contextlib.suppress(StoreUnavailable, Overloaded):
            visit = await begin_visit(portal, request)
    response = visit.show("error.html", status=shown, code=shown)
    if shown in (429, 503):
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    if shown == 403 and visit.came_with_cookie:
        # The token of the page's own forms belongs to this cookie. Where none came, another site may have sent the
        # form, and a new one would take the place of the visitor's own: whoever lost it gets one by GET.
        visit.take_along(response)
    return response


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what Starlette or a page raised."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    response = await page(request.app.state.portal, request, status)
    allowed = error.headers.get("Allow") if isinstance(error, HTTPException) and error.headers else None
    if allowed:
        response.headers["Allow"] = allowed
    return response


async def on_unavailable(request: Request, _error: Exception) -> Response:
    """Answer where the database, or whoever checks passwords, cannot be asked now."""
    return await page(request.app.state.portal, request, 503)
