"""How a page is registered: for whom it is, what it answers to, and the checks that come before it.

There is no other way to register one, so that nobody can forget a check: a POST without the visitor's own token is
refused before its page is called (requirement WEB1; `middleware.py` checks where it came from), and who may not see a
page is sent to the one that is next for them.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from enum import Enum

from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from mailauth.edges.portal.forms import TOKEN_FIELD
from mailauth.edges.portal.visit import Visit, begin_visit

Page = Callable[[Visit], Awaitable[Response]]

BODY_DEADLINE_S = 15
"""A form is a few hundred bytes; who takes longer over it holds a connection for no good."""
MAX_FIELDS = 60

_FORM_TYPE = re.compile(r'application/x-www-form-urlencoded\s*(;\s*charset="?utf-8"?\s*)?', re.IGNORECASE)
"""The one encoding that our forms have. Others name their charset, and Python decodes by some in quadratic time."""


class _RowIdConvertor(IntegerConvertor):
    """`{id:row_id}` in a path: a number that a row can have. Python reads no number of 5,000 digits."""

    regex = "[0-9]{1,18}"


register_url_convertor("row_id", _RowIdConvertor())


class For(Enum):
    """Who may see a page."""

    EVERYBODY = "everybody"
    LOGGED_IN = "who has logged in"
    ENROLLED = "who has logged in and has an authenticator"


def page(path: str, whom: For, *, get: Page | None = None, post: Page | None = None) -> Route:
    """Return the route of a page, by what answers GET and what answers POST."""
    methods = [method for method, answer in (("GET", get), ("POST", post)) if answer is not None]

    async def endpoint(request: Request) -> Response:
        visit = await begin_visit(request.app.state.portal, request)
        answer = get if request.method in ("GET", "HEAD") else post
        if answer is None:  # Starlette has refused other methods by now
            raise HTTPException(405)
        if request.method == "POST":
            visit.form = await _form(request)
            if not _has_right_token(visit):
                if not visit.came_with_cookie:
                    raise HTTPException(403)  # see errors.py: no cookie is set, and without one no fresh form works
                visit.is_stale, answer = True, _fresh(get)
        elsewhere = _where_instead(visit, whom)
        if elsewhere and visit.is_stale:
            raise HTTPException(403)
        response = visit.go(elsewhere) if elsewhere else await answer(visit)
        visit.take_along(response)
        return response

    return Route(path, endpoint, methods=methods, name=path)


async def _form(request: Request) -> FormData:
    if not _FORM_TYPE.fullmatch(request.headers.get("content-type", "")):
        raise HTTPException(415)
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            return await request.form(max_fields=MAX_FIELDS, max_part_size=64 * 1024)
    except (TimeoutError, ClientDisconnect) as error:
        raise HTTPException(400) from error


def _has_right_token(visit: Visit) -> bool:
    token = visit.form.get(TOKEN_FIELD)
    return isinstance(token, str) and visit.portal.installation.sessions.csrf_is_right(visit.cookie, token)


def _fresh(get: Page | None) -> Page:
    """Return what refuses a form without the right token: by the same form, fresh, where there is one."""

    async def refuse(visit: Visit) -> Response:
        visit.form = FormData()
        response = None if get is None else await get(visit)
        if response is None or response.status_code != 200:
            raise HTTPException(403)
        response.status_code = 403
        return response

    return refuse


def _where_instead(visit: Visit, whom: For) -> str | None:
    if whom is not For.EVERYBODY and visit.session is None:
        return "/login"
    if whom is For.ENROLLED and not visit.me.is_enrolled:
        return "/setup"
    return None
