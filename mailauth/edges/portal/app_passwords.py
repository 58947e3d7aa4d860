"""App passwords: the list, a new one and the device that it is for, its first login, and what revoking stops.

The password stands in the answer to the request that made it, and nowhere else; that page sends it back to us for
the profile of an Apple device.
"""

from datetime import date, timedelta

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from mailauth.core import app_password
from mailauth.edges.portal.device_settings import PROFILE_TYPE, apple_profile, qr_code, thunderbird_code
from mailauth.edges.portal.forms import SERVICES, AppPasswordForm, ProofForm
from mailauth.edges.portal.reauthentication import asks_code, prove_again
from mailauth.edges.portal.routing import For, page
from mailauth.edges.portal.visit import Visit
from mailauth.usecases.activity import LoginSeen
from mailauth.usecases.app_passwords import MadeAppPassword
from mailauth.vocabulary.errors import InvalidValue, TooMany, TooManyToday
from mailauth.vocabulary.model import AppPassword

LONGEST_EXPIRY = timedelta(days=10 * 366)


async def show_all(visit: Visit) -> Response:
    """List them, with where each was used last."""
    live = await _live(visit)
    uses = await visit.portal.last_uses([each.id for each in live])
    return visit.show("app_passwords.html", app_passwords=live, uses=uses, most=app_password.CAP_PER_ACCOUNT)


async def show_new(visit: Visit) -> Response:
    """Ask what the new one is for."""
    form = AppPasswordForm(None, visit.translations, asks_code=asks_code(visit), services=["imap", "smtp"])
    return _new_page(visit, form)


async def make(visit: Visit) -> Response:
    """Make one, and show it."""
    form = AppPasswordForm(visit.form, visit.translations, asks_code=asks_code(visit))
    if form.validate() and form.expires.data is not None:
        today = _today(visit)
        if not today <= form.expires.data < today + LONGEST_EXPIRY:
            form.expires.errors = [visit.gettext("Choose a day from today on, or leave it empty.")]
    if form.errors or form.expires.errors or not await prove_again(visit, form):
        return _new_page(visit, form, 422)
    expires_at = form.chosen_expiry(visit.zone)
    me, name = visit.me, (form.name.data or "").strip()
    try:
        made = await visit.run(
            lambda: visit.installation.app_passwords.make(
                me.account, name, form.chosen_services(), form.chosen_networks(), expires_at, visit.origin, me
            )
        )
    except TooManyToday:
        form.problems.append(
            visit.gettext("You have made as many app passwords today as there can be. Make another one tomorrow.")
        )
        return _new_page(visit, form, 422)
    except TooMany:
        form.problems.append(visit.gettext("You have as many app passwords as there can be. Revoke one first."))
        return _new_page(visit, form, 422)
    return _made_page(visit, made)


async def show_waiting(visit: Visit) -> Response:
    """Show whether it has logged in yet, for who has no script to look."""
    found = await _one(visit)
    use = (await visit.portal.last_uses([found.id])).get(found.id)
    return visit.show("waiting.html", app_password=found, use=use)


async def look_for_login(visit: Visit) -> Response:
    """Tell the page's script whether it has logged in yet, in a sentence."""
    found = await _one(visit)
    use = (await visit.portal.last_uses([found.id])).get(found.id)
    return JSONResponse({"seen": use is not None, "words": "" if use is None else seen_from(visit, use)})


def seen_from(visit: Visit, use: LoginSeen) -> str:
    """Say from where a login came, as far as that is known."""
    facts = {"agent": use.agent, "network": use.network}
    if use.agent:
        return visit.gettext("It works: seen from %(agent)s, at %(network)s.") % facts
    return visit.gettext("It works: seen from a mail app, at %(network)s.") % facts


async def give_profile(visit: Visit) -> Response:
    """Give the password that was just shown back as a configuration profile for an Apple device."""
    found, password = await _one(visit), str(visit.form.get("password", ""))
    if app_password.read(password.encode("utf-8", "replace")) is None:
        raise HTTPException(400)
    portal = visit.portal
    content = apple_profile(visit.me.account, portal.provider, found.name, password, portal.mail_servers)
    return Response(
        content, media_type=PROFILE_TYPE, headers={"Content-Disposition": 'attachment; filename="mail.mobileconfig"'}
    )


async def show_revoke(visit: Visit) -> Response:
    """Say what will stop working, before it does."""
    return await _revoke_page(visit, ProofForm(None, visit.translations, asks_code=asks_code(visit)))


async def revoke(visit: Visit) -> Response:
    """Revoke one, or all of them where the path names none."""
    form = ProofForm(visit.form, visit.translations, asks_code=asks_code(visit))
    which = (await _one(visit)).id if "id" in visit.request.path_params else None
    if not (form.validate() and await prove_again(visit, form)):
        return await _revoke_page(visit, form, 422)
    me = visit.me
    try:
        await visit.run(lambda: visit.installation.app_passwords.revoke(me.account, which, visit.origin, me))
    except InvalidValue:  # somebody was quicker; it is revoked, which is what was asked for
        return visit.go("/account/app-passwords")
    return visit.go("/account/app-passwords?done=revoked")


async def _revoke_page(visit: Visit, form: ProofForm, status: int = 200) -> Response:
    doomed = [await _one(visit)] if "id" in visit.request.path_params else await _live(visit)
    if not doomed:
        return visit.go("/account/app-passwords")
    uses = await visit.portal.last_uses([each.id for each in doomed])
    return visit.show("revoke.html", status, form=form, doomed=doomed, uses=uses)


async def _live(visit: Visit) -> list[AppPassword]:
    me = visit.me
    found = await visit.run(lambda: visit.installation.app_passwords.all(me.account))
    return [each for each in found if app_password.is_live(each, visit.now)]


async def _one(visit: Visit) -> AppPassword:
    """Return the visitor's own app password that the path names. Raises HTTPException 404 for any other."""
    found = [each for each in await _live(visit) if each.id == visit.request.path_params["id"]]
    if not found:
        raise HTTPException(404)
    return found[0]


def _new_page(visit: Visit, form: AppPasswordForm, status: int = 200) -> Response:
    return visit.show("new_app_password.html", status, form=form, services=tuple(SERVICES), today=_today(visit))


def _today(visit: Visit) -> date:
    return visit.now.astimezone(visit.zone).date()


def _made_page(visit: Visit, made: MadeAppPassword) -> Response:
    portal = visit.portal
    settings = thunderbird_code(made.account, portal.provider, made.password, portal.mail_servers)
    title = visit.gettext("QR code with the settings of your mail app")
    description = visit.gettext("Thunderbird for Android scans this picture. The settings beside it say the same.")
    return visit.show(
        "made_app_password.html",
        made=made,
        servers=portal.mail_servers,
        qr=qr_code(settings, title, description),
    )


routes = [
    page("/account/app-passwords", For.ENROLLED, get=show_all),
    page("/account/app-passwords/new", For.ENROLLED, get=show_new, post=make),
    page("/account/app-passwords/revoke-all", For.ENROLLED, get=show_revoke, post=revoke),
    page("/account/app-passwords/{id:row_id}/revoke", For.ENROLLED, get=show_revoke, post=revoke),
    page("/account/app-passwords/{id:row_id}/profile", For.ENROLLED, post=give_profile),
    page("/account/app-passwords/{id:row_id}/waiting", For.ENROLLED, get=show_waiting),
    page("/account/app-passwords/{id:row_id}/waiting.json", For.ENROLLED, get=look_for_login),
]
