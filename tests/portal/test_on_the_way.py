"""What goes otherwise than planned: leaving half way, two tabs, a lost phone, no mouse, no script, a forged page."""

from __future__ import annotations

import json

from tests.portal.browsing import PHONE, Album, Visitor, elsewhere, shown_codes
from tests.portal.conftest import Come
from tests.portal.holding import Mailbox, Phone, scan, text_of
from tests.stack import clients
from tests.stack.sandboxes import Account, Sandbox


def begin(visitor: Visitor, account: Account) -> None:
    """From the login to the QR code."""
    visitor.log_in(account.name, account.password)
    visitor.is_at("/setup")
    visitor.press()
    visitor.type(password=account.password)
    visitor.press()
    visitor.is_at("/setup/scan")


def read(visitor: Visitor, name: str) -> Phone:
    """Scan what the screen shows."""
    visitor.album = visitor.album or Album.new(name)
    picture = visitor.picture("scan")
    assert picture is not None
    return Phone(scan(picture))


def is_enrolled(sandbox: Sandbox, account: Account) -> bool:
    listed = json.loads(sandbox.command("account", "list", "--json"))
    return bool(next(each["enrolled"] for each in listed if each["account"] == account.name))


def test_leaving_half_way_changes_nothing(come: Come, sandbox: Sandbox, newcomer: Account) -> None:
    """Point 9: nothing is saved until a code is right; and who comes back in another browser begins anew."""
    first, later = come(), come()
    begin(first, newcomer)
    before = read(first, "half-way")
    first.leave()
    assert not is_enrolled(sandbox, newcomer)
    begin(later, newcomer)
    after = read(later, "half-way-later")
    assert after.secret != before.secret
    later.type(code=before.code())
    later.press()
    later.is_at("/setup/scan")
    assert not is_enrolled(sandbox, newcomer)


def test_two_tabs_show_one_code_and_the_second_submit_is_told_that_it_is_done(
    visitor: Visitor, sandbox: Sandbox, newcomer: Account
) -> None:
    begin(visitor, newcomer)
    one = read(visitor, "two-tabs")
    first_tab = visitor.page
    visitor.page = visitor.context.new_page()
    visitor.open("/setup/scan")
    assert read(visitor, "two-tabs").uri == one.uri
    second_tab, visitor.page = visitor.page, first_tab
    visitor.type(code=one.code())
    visitor.press()
    assert len(shown_codes(visitor.text)) == 10
    visitor.page = second_tab
    visitor.type(code=one.code())
    visitor.press()
    assert visitor.path in ("/account/authenticator", "/account", "/setup/confirm", "/login"), visitor.path
    assert is_enrolled(sandbox, newcomer)


def test_who_lost_the_phone_gets_back_in_and_replaces_it(come: Come, sandbox: Sandbox, newcomer: Account) -> None:
    """Points 20 and 21, FAC3: in by a recovery code, then another authenticator; the old one works until then."""
    visitor = come(device=PHONE)
    begin(visitor, newcomer)
    old = read(visitor, "lost-phone")
    visitor.type(code=old.code())
    visitor.press()
    codes = shown_codes(visitor.text)
    other = come(device=PHONE)
    other.open("/login")
    other.follow("/help/lost-phone")
    assert "lost" in other.heading.lower()
    other.log_in(newcomer.name, newcomer.password, codes[0])
    other.open("/account/authenticator")
    # The factor was given a moment ago: who has no phone is not asked for another recovery code.
    other.type(password=newcomer.password)
    other.press()
    other.is_at("/setup/scan")
    new = read(other, "lost-phone-new")
    assert new.secret != old.secret
    assert elsewhere(clients.imap, sandbox.imap, newcomer.name, newcomer.password + old.code(), clients.HOME), (
        "the old one works until the new one is proved"
    )
    other.type(code=new.code())
    other.press()
    assert not elsewhere(
        clients.imap, sandbox.imap, newcomer.name, newcomer.password + old.code(), clients.ELSEWHERE
    ), "the old one is out"
    assert elsewhere(clients.imap, sandbox.imap, newcomer.name, newcomer.password + new.code(), clients.HOME)
    mailbox = Mailbox(sandbox, newcomer.name)
    mailbox.wait(lambda mail: "replaced" in text_of(mail), "the replacement is told by mail")
    mailbox.wait(lambda mail: "recovery code" in str(mail["Subject"]).lower(), "the used code is told by mail")


def test_the_set_up_needs_no_mouse(visitor: Visitor, newcomer: Account) -> None:
    """Point 22: by keyboard alone."""
    keys = visitor.page.keyboard
    visitor.open("/login")
    visitor.field("account").focus()
    keys.type(newcomer.name)
    keys.press("Tab")
    keys.type(newcomer.password)
    press_enter(visitor)
    visitor.is_at("/setup")
    tab_to(visitor, "button.primary, a.primary")
    press_enter(visitor)
    visitor.is_at("/setup/confirm")
    tab_to(visitor, "input[name=password]")
    keys.type(newcomer.password)
    press_enter(visitor)
    visitor.is_at("/setup/scan")
    phone = read(visitor, "keyboard")
    tab_to(visitor, "input[name=code]")
    keys.type(phone.code())
    press_enter(visitor)
    assert len(shown_codes(visitor.text)) == 10


def tab_to(visitor: Visitor, selector: str) -> None:
    for _ in range(40):
        if visitor.page.evaluate("selector => document.activeElement?.matches(selector) ?? false", selector):
            return
        visitor.page.keyboard.press("Tab")
    raise AssertionError(f"the Tab key does not lead to {selector}")


def press_enter(visitor: Visitor) -> None:
    with visitor.page.expect_navigation(wait_until="load"):
        visitor.page.keyboard.press("Enter")


def test_an_error_takes_the_focus_and_names_itself_in_the_title(visitor: Visitor, newcomer: Account) -> None:
    """Point 22: who cannot see the page hears first that something is wrong."""
    begin(visitor, newcomer)
    visitor.type(code="000000")
    visitor.press()
    assert visitor.page.title().startswith("Error: ")
    focused = visitor.page.evaluate("document.activeElement.getAttribute('role') || document.activeElement.name")
    assert focused in ("alert", "code")
    assert visitor.field("code").get_attribute("aria-invalid") == "true"


def test_pasted_spaces_and_dashes_are_taken(visitor: Visitor, newcomer: Account) -> None:
    """Points 5 and 6."""
    begin(visitor, newcomer)
    phone = read(visitor, "pasted")
    code = phone.code()
    visitor.type(code=f" {code[:3]} {code[3:]}")
    visitor.press()
    assert len(shown_codes(visitor.text)) == 10


def test_log_out_ends_the_session_everywhere_it_says(come: Come, enrolled: Account) -> None:
    one, two = come(), come()
    one.log_in(enrolled.name, enrolled.password, enrolled.fresh_code())
    two.log_in(enrolled.name, enrolled.password, enrolled.fresh_code())
    one.open("/account/sessions")
    one.press()
    two.open("/account")
    two.is_at("/login")
