"""The way in and out: home, login, logout, and the choice of a language."""

from starlette.responses import Response

from mailauth.edges.portal.forms import LoginForm
from mailauth.edges.portal.reauthentication import log_in
from mailauth.edges.portal.routing import For, page
from mailauth.edges.portal.visit import Visit, is_language


async def home(visit: Visit) -> Response:
    """Send everybody to what is next for them."""
    return visit.go(_next_for(visit))


async def show_login(visit: Visit) -> Response:
    """Ask for account, password and code."""
    if visit.session is not None and not visit.is_stale:
        return visit.go(_next_for(visit))
    return _page(visit, LoginForm(None, visit.translations))


async def login(visit: Visit) -> Response:
    """Take account, password and code."""
    form = LoginForm(visit.form, visit.translations)
    if form.validate() and await log_in(visit, form):
        return visit.go(_next_for(visit))
    return _page(visit, form, status=422)


async def logout(visit: Visit) -> Response:
    """End the session."""
    await visit.run(lambda: visit.installation.sessions.close(visit.presented_cookie))
    visit.leave()
    return visit.go("/login?done=logged-out")


async def choose_language(visit: Visit) -> Response:
    """Speak another language from now on."""
    chosen = str(visit.form.get("language", ""))
    if is_language(chosen):
        visit.chosen_language = chosen
        if visit.session is not None:
            session, own_account = visit.session, visit.installation.own_account
            await visit.run(lambda: own_account.set_language(session, chosen))
    return visit.go(_path(str(visit.form.get("back", ""))))


def _page(visit: Visit, form: LoginForm, status: int = 200) -> Response:
    return visit.show("login.html", status, form=form)


def _next_for(visit: Visit) -> str:
    if visit.session is None:
        return "/login"
    return "/account" if visit.session.is_enrolled else "/setup"


def _path(back: str) -> str:
    """Return where to go back to: a path of this portal, whatever somebody put into the form."""
    is_path = back.startswith("/") and not back.startswith("//") and back.isascii() and back.isprintable()
    return back if is_path and "\\" not in back and "?" not in back else "/"


routes = [
    page("/", For.EVERYBODY, get=home),
    page("/login", For.EVERYBODY, get=show_login, post=login),
    page("/logout", For.EVERYBODY, post=logout),
    page("/language", For.EVERYBODY, post=choose_language),
]
