"""Another e-mail address of the same person, to which recovery codes and notices go as well; and mailed links.

A new address counts once the link that was mailed to it was opened. A link does nothing when it is opened, since mail
programs open links by themselves: the page it shows has one button.
"""

from starlette.responses import Response

from mailauth.edges.portal.forms import AddressForm, ProofForm
from mailauth.edges.portal.reauthentication import asks_code, prove_again
from mailauth.edges.portal.routing import For, page
from mailauth.edges.portal.visit import Visit
from mailauth.vocabulary.errors import InvalidValue, SessionOver, TooMany


async def show_address(visit: Visit) -> Response:
    """Show the other address, and the form for one."""
    return _address_page(visit, AddressForm(None, visit.translations, asks_code=asks_code(visit)))


async def ask_for_address(visit: Visit) -> Response:
    """Mail a link to a new address."""
    form = AddressForm(visit.form, visit.translations, asks_code=asks_code(visit))
    if not (form.validate() and await prove_again(visit, form)):
        return _address_page(visit, form, 422)
    me, own_account, address = visit.me, visit.installation.own_account, (form.address.data or "").strip()
    try:
        await visit.run(lambda: own_account.ask_for_address(me, address, visit.origin))
    except InvalidValue:
        form.address.errors = [visit.gettext("This is the mailbox itself. Take an address of another provider.")]
        return _address_page(visit, form, 422)
    except TooMany:
        form.problems.append(visit.gettext("Too many links were sent today. Try again tomorrow."))
        return _address_page(visit, form, 422)
    return visit.go("/account/address?done=asked")


async def show_removal(visit: Visit) -> Response:
    """Say what it means to forget the other address."""
    if visit.me.recovery_address is None:
        return visit.go("/account/address")
    return _removal_page(visit, ProofForm(None, visit.translations, asks_code=asks_code(visit)))


async def remove_address(visit: Visit) -> Response:
    """Forget the other address."""
    form = ProofForm(visit.form, visit.translations, asks_code=asks_code(visit))
    if not (form.validate() and await prove_again(visit, form)):
        return _removal_page(visit, form, 422)
    me, own_account = visit.me, visit.installation.own_account
    await visit.run(lambda: own_account.remove_address(me, visit.origin))
    return visit.go("/account/address?done=removed")


async def show_link(visit: Visit) -> Response:
    """Show what a mailed link is about to do, and the button that does it."""
    own_account, token = visit.installation.own_account, visit.request.path_params["token"]
    link = await visit.run(lambda: own_account.open_link(token))
    return visit.show("link.html", 200 if link else 404, link=link)


async def follow_link(visit: Visit) -> Response:
    """Do what a mailed link is for, once."""
    own_account, token = visit.installation.own_account, visit.request.path_params["token"]
    link = await visit.run(lambda: own_account.follow_link(token, visit.origin))
    if link is not None and visit.session is not None:
        try:
            await visit.hold(visit.cookie)
        except SessionOver:  # what was done has ended it
            visit.session = None
    return visit.show("link_done.html", 200 if link else 404, link=link)


def _address_page(visit: Visit, form: AddressForm, status: int = 200) -> Response:
    return visit.show("address.html", status, form=form)


def _removal_page(visit: Visit, form: ProofForm, status: int = 200) -> Response:
    return visit.show("remove_address.html", status, form=form)


routes = [
    page("/account/address", For.ENROLLED, get=show_address, post=ask_for_address),
    page("/account/address/remove", For.ENROLLED, get=show_removal, post=remove_address),
    page("/link/{token}", For.EVERYBODY, get=show_link, post=follow_link),
]
