"""The account page, and what hangs directly on it: authenticator, recent logins, sessions."""

from collections.abc import Sequence
from datetime import timedelta

from starlette.responses import Response

from mailauth.core.app_password import is_live
from mailauth.edges.portal import setting_up
from mailauth.edges.portal.forms import ProofForm
from mailauth.edges.portal.reauthentication import asks_code, prove_again
from mailauth.edges.portal.routing import For, page
from mailauth.edges.portal.visit import Visit
from mailauth.usecases.activity import LoginSeen
from mailauth.vocabulary.model import Credential

RECENT = 50
RECENT_ON_ACCOUNT_PAGE = 3
UNUSED_AFTER = timedelta(days=28)
"""When it is asked, kindly, whether the authenticator still works, if no code was ever used."""


async def show_account(visit: Visit) -> Response:
    """Show all that guards the account."""
    me, installation = visit.me, visit.installation
    found = await visit.run(lambda: installation.app_passwords.all(me.account))
    recent = await visit.portal.recent_logins(me, RECENT)
    return visit.show(
        "account.html",
        app_password_count=sum(is_live(each, visit.now) for each in found),
        recent=recent[:RECENT_ON_ACCOUNT_PAGE],
        clients=await visit.portal.clients_with_password_alone(me),
        is_unused=await _is_unused(visit, recent),
    )


async def show_authenticator(visit: Visit) -> Response:
    """Say how an authenticator is replaced."""
    return _authenticator_page(visit, ProofForm(None, visit.translations, asks_code=asks_code(visit)))


async def replace_authenticator(visit: Visit) -> Response:
    """Begin a replacement; the old one works until the new one is proved."""
    form = ProofForm(visit.form, visit.translations, asks_code=asks_code(visit))
    if not (form.validate() and await prove_again(visit, form)):
        return _authenticator_page(visit, form, 422)
    return await setting_up.begin(visit)


async def show_logins(visit: Visit) -> Response:
    """List recent logins, and refused ones apart from them."""
    recent = await visit.portal.recent_logins(visit.me, RECENT)
    refusals = await visit.portal.refusals(visit.me)
    return visit.show("logins.html", recent=recent, refusals=refusals)


async def show_sessions(visit: Visit) -> Response:
    """List the sessions of this portal."""
    me, sessions = visit.me, visit.installation.sessions
    found = await visit.run(lambda: sessions.all(me))
    return visit.show("sessions.html", sessions=found)


async def sign_out_everywhere(visit: Visit) -> Response:
    """End every session, this one as well."""
    me, own_account = visit.me, visit.installation.own_account
    await visit.run(lambda: own_account.sign_out_everywhere(me, visit.origin))
    visit.leave()
    return visit.go("/login?done=signed-out")


async def _is_unused(visit: Visit, recent: Sequence[LoginSeen]) -> bool:
    """Tell whether no code was used for long since the set-up: the app may have gone with an old phone."""
    me, enrolment = visit.me, visit.installation.enrolment
    if me.credential is Credential.PASSWORD_AND_CODE:
        return False
    enrolled_at = await visit.run(lambda: enrolment.enrolled_at(me.account))
    if enrolled_at is None or visit.now - enrolled_at < UNUSED_AFTER:
        return False
    with_code = {("granted", Credential.PASSWORD_AND_CODE), ("passed-on", Credential.CODE_ONLY)}
    return not any((seen.outcome, seen.credential) in with_code and seen.last_at > enrolled_at for seen in recent)


def _authenticator_page(visit: Visit, form: ProofForm, status: int = 200) -> Response:
    return visit.show("authenticator.html", status, form=form)


routes = [
    page("/account", For.ENROLLED, get=show_account),
    page("/account/authenticator", For.ENROLLED, get=show_authenticator, post=replace_authenticator),
    page("/account/logins", For.ENROLLED, get=show_logins),
    page("/account/sessions", For.ENROLLED, get=show_sessions, post=sign_out_everywhere),
]
