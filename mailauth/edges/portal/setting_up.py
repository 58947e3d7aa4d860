"""The set-up of an authenticator, step by step: required, password, QR code and code, recovery codes.

Who has one already comes here to replace it, from the account page. Nothing is in force until a code was right, and
no mistake makes a new QR code. It is shown once after each proof: a page that is opened again has the field alone.
"""

from typing import assert_never

from starlette.responses import Response

from mailauth.core import alphabet, typed
from mailauth.edges.portal import recovery_codes
from mailauth.edges.portal.device_settings import qr_code
from mailauth.edges.portal.forms import CodeForm, ProofForm
from mailauth.edges.portal.reauthentication import confirm_password, wait_until
from mailauth.edges.portal.routing import For, page
from mailauth.edges.portal.visit import Visit
from mailauth.usecases.authenticators import WrongCode
from mailauth.usecases.set_up import CodeUsed, PendingSetUp, SetUpDone, ShownBefore, TooManyTries
from mailauth.vocabulary.errors import NothingToConfirm
from mailauth.vocabulary.secret import Secret

MOST_CLIENTS = 5
"""Mail apps that are listed as those that would stop working; more would bury the button."""


async def show_required(visit: Visit) -> Response:
    """Say that it is required, or from when, with one button that begins."""
    if visit.me.is_enrolled:
        return visit.go("/account")
    clients = await visit.portal.clients_with_password_alone(visit.me)
    return visit.show("setup.html", clients=clients[:MOST_CLIENTS])


async def show_confirm(visit: Visit) -> Response:
    """Ask for the password again."""
    if visit.me.is_enrolled:
        return visit.go("/account/authenticator")
    return visit.show("confirm.html", form=ProofForm(None, visit.translations))


async def confirm(visit: Visit) -> Response:
    """Take the password; then make the secret."""
    if visit.me.is_enrolled:
        return visit.go("/account/authenticator")
    form = ProofForm(visit.form, visit.translations)
    if not (form.validate() and await confirm_password(visit, form)):
        return visit.show("confirm.html", 422, form=form)
    return await begin(visit)


async def begin(visit: Visit) -> Response:
    """Make the secret, in a session that has just proved who it is, and go to the QR code."""
    me, set_up = visit.me, visit.installation.set_up
    await visit.run(lambda: set_up.begin(me))
    return visit.go("/setup/scan")


async def show_scan(visit: Visit) -> Response:
    """Show the QR code, and the field for the code."""
    me, set_up = visit.me, visit.installation.set_up
    if visit.request.method == "HEAD" or visit.comes_from_elsewhere:  # nobody has asked to see it
        return visit.go(_where_to_prove(visit))
    pending = await visit.run(lambda: set_up.show(me))
    if pending is None:
        return visit.go(_where_to_prove(visit))
    return _scan_page(visit, pending, CodeForm(None, visit.translations))


async def scan(visit: Visit) -> Response:
    """Take the code; then the authenticator is in force."""
    form = CodeForm(visit.form, visit.translations)
    set_up, me = visit.installation.set_up, visit.me
    if form.validate():
        code = Secret(typed.code(form.code.data or "").encode())
        try:
            result = await visit.run(lambda: set_up.confirm(me, code, visit.origin))
        except NothingToConfirm:
            return visit.go(_where_to_prove(visit))
        if isinstance(result, SetUpDone):
            if not result.is_replacement:
                return await recovery_codes.show_new(visit, result.cookie, result.codes, is_first=True)
            await visit.hold(result.cookie)
            return visit.go("/account/authenticator?done=replaced")
        form.code.errors = [_what_is_wrong(visit, result)]
    sight = str(visit.form.get("sight", ""))
    pending = await visit.run(lambda: set_up.show_again(me, sight))
    if pending is None:
        return visit.go(_where_to_prove(visit))
    return _scan_page(visit, pending, form, 422)


async def cancel(visit: Visit) -> Response:
    """Forget the secret; what was in force before is in force."""
    me, set_up = visit.me, visit.installation.set_up
    await visit.run(lambda: set_up.cancel(me))
    return visit.go("/account" if me.is_enrolled else "/setup")


async def show_done(visit: Visit) -> Response:
    """Say that it is done, and what is next."""
    return visit.show("done.html")


def _where_to_prove(visit: Visit) -> str:
    return "/account/authenticator" if visit.me.is_enrolled else "/setup/confirm"


def _scan_page(visit: Visit, pending: PendingSetUp | ShownBefore, form: CodeForm, status: int = 200) -> Response:
    if isinstance(pending, ShownBefore):
        proof = _where_to_prove(visit)
        return visit.show("scan.html", status, form=form, pending=pending, proof=proof)
    title = visit.gettext("QR code for your authenticator app")
    description = visit.gettext(
        "Scan this picture with your authenticator app. If you cannot scan it, the setup key below does the same."
    )
    return visit.show(
        "scan.html",
        status,
        form=form,
        pending=pending,
        key=alphabet.grouped(pending.secret).replace("-", " "),
        qr=qr_code(pending.uri, title, description),
    )


def _what_is_wrong(visit: Visit, result: WrongCode | CodeUsed | TooManyTries) -> str:
    match result:
        case WrongCode(steps_off=int(steps)):
            return _clock_is_off(visit, steps)
        case WrongCode():
            return visit.gettext("This code is not right. A new one comes every 30 seconds: type the one you see now.")
        case CodeUsed():
            return visit.gettext("This code was used already. Wait until your app shows the next one, and type that.")
        case TooManyTries(until=until):
            return wait_until(visit, until)
        case _:
            assert_never(result)


def _clock_is_off(visit: Visit, steps: int) -> str:
    """Say by how much: half a minute is as exact as a code tells."""
    seconds = abs(steps) * 30
    amount = (
        visit.translations.ngettext("%(count)d minute", "%(count)d minutes", round(seconds / 60))
        % {"count": round(seconds / 60)}
        if seconds % 60 == 0
        else visit.gettext("%(count)d seconds") % {"count": seconds}
    )
    words = (
        visit.gettext(
            "The clock of your device is about %(amount)s fast. Set it to automatic, then type the new code."
        )
        if steps > 0
        else visit.gettext(
            "The clock of your device is about %(amount)s slow. Set it to automatic, then type the new code."
        )
    )
    return words % {"amount": amount}


routes = [
    page("/setup", For.LOGGED_IN, get=show_required),
    page("/setup/confirm", For.LOGGED_IN, get=show_confirm, post=confirm),
    page("/setup/scan", For.LOGGED_IN, get=show_scan, post=scan),
    page("/setup/cancel", For.LOGGED_IN, post=cancel),
    page("/setup/done", For.ENROLLED, get=show_done, post=recovery_codes.saved),
]
