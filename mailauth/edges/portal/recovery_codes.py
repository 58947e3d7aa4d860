"""Recovery codes: shown once, copied, downloaded or printed, proved to be saved; how many are left; a new set.

The codes stand in the answer to the very request that made them, and nowhere else. That page sends them back to us
to make a file of, or to be shown again beside a mistake; nothing of that is kept either.
"""

import contextlib
import re
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from mailauth.core import alphabet, recovery, typed
from mailauth.edges.portal.forms import ProofForm, SavedCodeForm
from mailauth.edges.portal.reauthentication import asks_code, prove_again
from mailauth.edges.portal.routing import For, page
from mailauth.edges.portal.visit import Visit
from mailauth.vocabulary.errors import Overloaded, SessionOver, StoreUnavailable
from mailauth.vocabulary.secret import Secret


async def show(visit: Visit) -> Response:
    """Show how many are left, and the form for a new set."""
    return _page(visit, ProofForm(None, visit.translations, asks_code=asks_code(visit)))


async def issue(visit: Visit) -> Response:
    """Make a new set; the old one is void."""
    form = ProofForm(visit.form, visit.translations, asks_code=asks_code(visit))
    if not (form.validate() and await prove_again(visit, form)):
        return _page(visit, form, 422)
    me = visit.me
    _, codes = await visit.run(lambda: visit.installation.recovery_codes.issue(me.account, visit.origin, me))
    return await show_new(visit, visit.cookie, codes, is_first=False)


async def show_new(visit: Visit, cookie: str, codes: tuple[str, ...], *, is_first: bool) -> Response:
    """Show new codes, in the answer to the request that made them, and go on with the session of a cookie.

    They are in force by now and shown nowhere else, so they are shown also where the session ended meanwhile.
    """
    with contextlib.suppress(SessionOver, StoreUnavailable, Overloaded):
        await visit.hold(cookie)
    return _new_page(visit, SavedCodeForm(None, visit.translations), codes, is_first=is_first)


async def saved(visit: Visit) -> Response:
    """Take one of the codes as the proof that they were saved, or no proof, where somebody skips it knowingly."""
    is_first = visit.form.get("first") == "yes"
    after = "/setup/done" if is_first else "/account/recovery-codes"
    if "skip" in visit.form:
        return visit.go(after)
    form = SavedCodeForm(visit.form, visit.translations)
    if form.validate():
        code = Secret(typed.code(form.code.data or "").encode("utf-8", "replace"))
        me = visit.me
        if await visit.run(lambda: visit.installation.recovery_codes.prove(me.account, code)):
            return visit.go(f"{after}?done=proved")
        form.code.errors = [visit.gettext("This is not one of your recovery codes, or it was used already.")]
    return _new_page(visit, form, _echoed(visit), is_first=is_first, status=422)


async def download(visit: Visit) -> Response:
    """Give the codes that were just shown back as a file."""
    codes = _echoed(visit)
    if not codes:
        raise HTTPException(400)
    provider, day = visit.portal.provider, visit.now.astimezone(visit.zone).date().isoformat()
    lines = [
        visit.gettext("Recovery codes of %(account)s at %(provider)s, %(date)s")
        % {"account": visit.me.account, "provider": provider, "date": day},
        visit.gettext("Each one works once, in place of a verification code. Keep them where only you can read them."),
        "",
        *codes,
    ]
    response = PlainTextResponse("\r\n".join(lines) + "\r\n")
    response.headers["Content-Disposition"] = _attachment(f"{provider}-recovery-codes-{visit.me.account}-{day}.txt")
    return response


def _page(visit: Visit, form: ProofForm, status: int = 200) -> Response:
    return visit.show("recovery_codes.html", status, form=form)


def _new_page(
    visit: Visit, form: SavedCodeForm, codes: tuple[str, ...], *, is_first: bool, status: int = 200
) -> Response:
    mailed_to = visit.me.recovery_address or visit.me.account
    return visit.show("new_codes.html", status, form=form, codes=codes, is_first=is_first, mailed_to=mailed_to)


def _echoed(visit: Visit) -> tuple[str, ...]:
    """Return the codes that the page sent back; none where anything else is among them."""
    codes = str(visit.form.get("codes", "")).split()
    folded = [alphabet.fold(code.encode("utf-8", "replace")) for code in codes]
    is_set = len(codes) <= recovery.CODES_PER_SET
    if not is_set or not all(alphabet.is_spelled(code, recovery.CHARACTERS) for code in folded):
        return ()
    return tuple(alphabet.grouped(code.decode("ascii")) for code in folded)


def _attachment(name: str) -> str:
    """Return the header's value for a file of that name (RFC 6266 s5; the plain name for old browsers)."""
    plain = re.sub(r"[^A-Za-z0-9.@_+-]+", "-", name)
    spelled = quote(re.sub(r"[/\\\s]+", "-", name))
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{spelled}"


routes = [
    page("/account/recovery-codes", For.ENROLLED, get=show, post=issue),
    page("/account/recovery-codes/download", For.ENROLLED, post=download),
]
