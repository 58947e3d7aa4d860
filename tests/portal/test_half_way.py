"""What does not go straight: two tabs, leaving half way, a lost phone, mistakes that are told apart."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from playwright.sync_api import Error

from tests.portal.browsing import PHONE, Album, Visitor, elsewhere, shown_codes
from tests.portal.conftest import Come
from tests.portal.holding import Mailbox, Phone, scan
from tests.portal.touring import PUBLIC, uri_of
from tests.stack import clients
from tests.stack.sandboxes import STEP_S, Account, Sandbox


def begin(visitor: Visitor, account: Account) -> Phone:
    """Log in and go as far as the QR code; return a phone that has typed the key off."""
    visitor.log_in(account.name, account.password)
    visitor.press()
    visitor.type(password=account.password)
    visitor.press()
    visitor.is_at("/setup/scan")
    visitor.unfold()
    return Phone(uri_of(visitor.shown_key(), account.name))


def imap(sandbox: Sandbox, account: Account, secret: str, source: str = clients.HOME) -> bool:
    return bool(elsewhere(clients.imap, sandbox.imap, account.name, secret, source))


def is_enrolled(account: Account) -> bool:
    shown = json.loads(account.sandbox.command("account", "show", account.name, "--json"))
    return bool(shown["enrolled"])


def test_two_tabs_show_one_secret_and_do_not_confuse_it(visitor: Visitor, newcomer: Account, sandbox: Sandbox) -> None:
    phone = begin(visitor, newcomer)
    first = visitor.page
    second = visitor.context.new_page()
    visitor.listen(second)
    second.goto(sandbox.portal + "/setup")
    second.locator("main .primary").click()
    second.wait_for_url("**/setup/confirm")  # whoever sits there now has not confirmed it
    second.locator("main input[name=password]").fill(newcomer.password)
    second.locator("main button.primary").click()
    second.wait_for_url("**/setup/scan")
    assert second.locator("#key").text_content() == first.locator("#key").text_content()
    second.locator("main input[name=code]").fill(phone.wrong_code())
    second.locator("main button.primary").click()
    second.locator("#errors").wait_for()
    # The password was confirmed again since: the first tab's form is an old one, and its code is asked for once more.
    visitor.type(code=phone.code())
    visitor.press()
    visitor.page.locator("#errors").wait_for()
    visitor.type(code=phone.code())
    visitor.press()
    assert len(shown_codes(visitor.text)) == 10
    # The other tab still holds the form of before.
    second.locator("main input[name=code]").fill(phone.code())
    second.locator("main button.primary").click()
    second.wait_for_load_state()
    assert shown_codes(second.locator("body").inner_text()) == []
    assert imap(sandbox, newcomer, newcomer.password + phone.code())


def test_who_clicks_twice_sends_one_form(visitor: Visitor, newcomer: Account) -> None:
    """Two would put a code that is spent by now into the place of the recovery codes."""
    begin(visitor, newcomer)
    is_held_back = visitor.page.evaluate(
        """() => {
            const form = document.querySelector("main form[action='/setup/scan']");
            return [1, 2].map(() => !form.dispatchEvent(new SubmitEvent("submit", { cancelable: true })));
        }"""
    )
    assert is_held_back == [False, True]


def test_leaving_half_way_changes_nothing(come: Come, newcomer: Account, sandbox: Sandbox) -> None:
    before = newcomer.sandbox.command("account", "show", newcomer.name, "--json")
    visitor = come()
    phone = begin(visitor, newcomer)
    visitor.page.locator('form[action="/logout"] button').click()
    visitor.page.wait_for_url("**/login*")
    assert newcomer.sandbox.command("account", "show", newcomer.name, "--json") == before
    again = come()
    other = begin(again, newcomer)
    assert other.secret != phone.secret, "the pending secret outlived its session"
    again.type(code=phone.code())
    again.press()
    again.is_at("/setup/scan")
    with again.page.expect_navigation():
        again.page.locator('form[action="/setup/cancel"] button').click()
    again.is_at("/setup")
    assert newcomer.sandbox.command("account", "show", newcomer.name, "--json") == before
    assert not imap(sandbox, newcomer, newcomer.password + phone.code())


def test_who_lost_the_phone_gets_back_in_and_replaces_it(come: Come, enrolled: Account, sandbox: Sandbox) -> None:
    """FAC3: the old authenticator works until the new one is proved."""
    codes = enrolled.recovery_codes()
    visitor = come(device=PHONE, album=Album.new("lost-phone"))
    visitor.open("/login")
    visitor.follow("/help/lost-phone")
    visitor.picture("help")
    visitor.log_in(enrolled.name, enrolled.password, codes[0])
    visitor.is_at("/account")
    visitor.picture("account")
    visitor.open("/account/authenticator")
    assert visitor.main.locator("input[name=code]").count() == 0, "a second recovery code would be burnt"
    visitor.type(password=enrolled.password)
    visitor.picture("replace")
    visitor.press()
    visitor.is_at("/setup/scan")
    picture = visitor.picture("scan")
    assert picture is not None
    phone = Phone(scan(picture))
    assert imap(sandbox, enrolled, enrolled.typed()), "the old authenticator was gone too soon"
    visitor.type(code=phone.code())
    visitor.press()
    visitor.is_at("/account/authenticator")
    visitor.picture("replaced")
    assert not imap(sandbox, enrolled, enrolled.typed(), clients.ELSEWHERE), "the lost phone still works"
    assert imap(sandbox, enrolled, enrolled.password + phone.code())
    assert imap(sandbox, enrolled, enrolled.password + codes[1]), "the codes that are left keep working"
    mailbox = Mailbox(sandbox, enrolled.name)
    mailbox.wait(lambda mail: "was replaced" in str(mail["Subject"]), "the replacement is told of")
    mailbox.wait(lambda mail: "recovery code" in str(mail["Subject"]).lower(), "the used code is told of")


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
def test_help_for_a_lost_phone_is_in_the_same_place_on_every_page(
    come: Come, newcomer: Account, enrolled: Account, *, script: bool
) -> None:
    """WCAG 3.2.6; readable without logging in."""
    visitor = come(script=script)
    places = set()
    pages = list(PUBLIC)
    for account, code, more in (
        (newcomer, "", ["/setup", "/setup/confirm"]),
        (enrolled, enrolled.fresh_code(), ["/account", "/account/app-passwords", "/account/logins"]),
    ):
        for path in pages:
            visitor.open(path)
            nav = visitor.page.locator("header nav a").all()
            places.add(tuple(each.get_attribute("href") for each in nav))
        visitor.context.clear_cookies()
        visitor.log_in(account.name, account.password, code)
        pages = more
    for path in pages:
        visitor.open(path)
        places.add(tuple(each.get_attribute("href") for each in visitor.page.locator("header nav a").all()))
    assert places == {("/help", "/help/lost-phone")}


def test_mistakes_in_a_code_are_told_apart(visitor: Visitor, newcomer: Account) -> None:
    """Empty, short, long, letters, wrong, off by the clock, used already: each has words of its own."""
    phone = begin(visitor, newcomer)
    step = int(time.time() // STEP_S)
    said = []
    for code in ("", "123", "12345678", "12a456", phone.wrong_code(), phone.at(step - 6), phone.at(step + 6)):
        visitor.type(code=code)
        visitor.press()
        visitor.is_at("/setup/scan")
        said.append(visitor.page.locator("#code-error").inner_text())
        assert visitor.page.locator("#errors").evaluate("each => each === document.activeElement"), "no focus"
        assert visitor.page.title().startswith("Error: ")
    assert len(set(said)) == len(said), said
    assert "slow" in said[5]
    assert "fast" in said[6]
    assert visitor.shown_key() == phone.secret, "a mistake made a new secret"
    code = phone.code()
    visitor.type(code=f" {code[:3]} {code[3:]} ")
    visitor.press()
    assert len(shown_codes(visitor.text)) == 10, "spaces were not taken"


def test_sign_out_everywhere_ends_every_session(come: Come, enrolled: Account) -> None:
    one, two = come(), come()
    one.log_in(enrolled.name, enrolled.password, enrolled.fresh_code())
    two.log_in(enrolled.name, enrolled.password, enrolled.fresh_code())
    one.open("/account/sessions")
    one.press()
    one.is_at("/login")
    two.open("/account")
    two.is_at("/login")


def test_a_click_too_much_does_no_harm(visitor: Visitor, newcomer: Account, sandbox: Sandbox) -> None:
    """Going back after the success shows nothing secret again, and changes nothing."""
    phone = begin(visitor, newcomer)
    visitor.type(code=phone.code())
    visitor.press()
    visitor.type(code=shown_codes(visitor.text)[0])
    visitor.press()
    visitor.is_at("/setup/done")
    with contextlib.suppress(Error):  # a page that is not to be stored is not shown again
        visitor.page.go_back(timeout=3000)
    assert shown_codes(visitor.page.locator("body").inner_text()) == []
    assert is_enrolled(newcomer)
    visitor.open("/setup/scan")
    assert visitor.page.locator("#key").count() == 0
    assert imap(sandbox, newcomer, newcomer.password + phone.code())
