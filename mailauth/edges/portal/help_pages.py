"""Pages for everybody: how to set it up, the questions people ask, and what to do when the phone is lost."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mailauth.edges.portal.routing import For, page
from mailauth.edges.portal.visit import Visit
from mailauth.effects.store import schema


async def show_help(visit: Visit) -> Response:
    """Show the steps, with pictures where there are any, and the questions people ask."""
    return visit.show("help.html")


async def show_lost_phone(visit: Visit) -> Response:
    """Show what to do without one's phone."""
    return visit.show("lost_phone.html")


async def say_healthy(request: Request) -> Response:
    """Tell a monitor that pages and database answer. Raises StoreUnavailable or Overloaded."""
    database = request.app.state.portal.installation.database
    await database.run_reading(lambda: schema.require_current(database))
    return PlainTextResponse("ok\n")


routes = [
    page("/help", For.EVERYBODY, get=show_help),
    page("/help/lost-phone", For.EVERYBODY, get=show_lost_phone),
    Route("/healthz", say_healthy, methods=["GET"]),
]
