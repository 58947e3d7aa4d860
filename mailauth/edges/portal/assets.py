"""The files that pages are made of: style sheets, the script, pictures, the provider's logo and colour.

All are read once, at the start; a name that is not among them is not looked for on the disk.
"""

import mimetypes
from collections.abc import Mapping
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mailauth.edges.portal.brand import style_sheet
from mailauth.effects.logo import Logo
from mailauth.effects.mails.writing import PICTURES
from mailauth.vocabulary.languages import SOURCE

FOLDER = Path(__file__).parent / "static"
ROUTE = "/static/{name:path}"

Assets = Mapping[str, tuple[bytes, str]]
"""What is served, by name: the content and its media type."""


def load(colour: str, logo: Logo | None, pictures: Path = PICTURES) -> Assets:
    """Return everything that is served under /static/; `pictures/` holds those that the announcement shows too."""
    found = {
        prefix + str(path.relative_to(folder)): (path.read_bytes(), mimetypes.guess_type(path.name)[0] or "text/plain")
        for prefix, folder in (("", FOLDER), ("pictures/", pictures))
        for path in folder.rglob("*")
        if path.is_file()
    }
    found["brand.css"] = style_sheet(colour).encode(), "text/css"
    if logo is not None:
        found["logo"] = logo.content, logo.media_type
    return found


def picture(assets: Assets, language: str, step: str) -> str | None:
    """Return the name of the picture of a step in a language, else in English, else None."""
    names = (f"pictures/{spoken}/{step}.png" for spoken in (language, SOURCE))
    return next((name for name in names if name in assets), None)


async def serve(request: Request) -> Response:
    """Answer with a file."""
    assets: Assets = request.app.state.portal.assets
    found = assets.get(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    content, media_type = found
    return Response(content, media_type=media_type)


route = Route(ROUTE, serve, methods=["GET"], name="static")
