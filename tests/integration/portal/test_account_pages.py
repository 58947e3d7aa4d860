"""The account's pages: recovery codes, app passwords and their devices, logins, another address, mailed links."""

import asyncio
import json
import plistlib
import re
from datetime import timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from mailauth.core.app_password import CAP_PER_ACCOUNT
from mailauth.usecases import app_passwords
from mailauth.vocabulary.model import Ask, Attempt, Denied, Granted
from mailauth.vocabulary.secret import Secret
from tests.integration.portal.browsing import Browser, codes_on, form_to, read, seed_on, words
from tests.integration.portal.conftest import BrowserMaker
from tests.world import CUTOVER, Person, World

THUNDERBIRD = "Thunderbird"


async def _made(browser: Browser, person: Person, **typed: str) -> Any:
    page = await browser.get("/account/app-passwords/new")
    fields = {"name": "phone", "services": "imap", **browser.proof(person), **typed}
    return await browser.submit(page, "/account/app-passwords/new", **fields)


def _shown(page: Any) -> str:
    found = re.search(r'data-text="([a-z2-9]{24})"', page.text)
    assert found, words(page)
    return found[1]


async def _use(world: World, person: Person, app_password: str) -> None:
    attempt = Attempt(person.name, Secret(app_password.encode()), "imap", None, agent=THUNDERBIRD)
    assert isinstance(await world.installation.verifier.verify(attempt), Granted)
    world.installation.activity.flush()


@pytest.mark.parametrize(
    "path",
    [
        "/account/authenticator",
        "/account/recovery-codes",
        "/account/app-passwords/new",
        "/account/app-passwords/1/revoke",
        "/account/address",
    ],
)
async def test_every_change_takes_password_and_code_again(world: World, browser: Browser, path: str) -> None:
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    world.installation.app_passwords.make(alice.name, "old phone")
    right = {"name": "x", "services": "imap", "address": "alice@elsewhere.example", **browser.proof(alice)}
    for wrong, said in (
        ({"password": ""}, "Type your password."),
        ({"code": ""}, "Type the verification code"),
        ({"password": "wrong"}, "There is a problem The password or the code is not right. Check both and try again."),
        (
            {"code": alice.code(world.clock(), 40)},
            "There is a problem The password or the code is not right. Check both and try again.",
        ),
    ):
        page = await browser.get(path)
        page = await browser.submit(page, path, **{**right, **wrong})
        assert page.status_code == 422
        assert said in words(page)
    assert world.installation.recovery_codes.left(alice.name) == 0
    assert [each.name for each in world.installation.app_passwords.all(alice.name)] == ["old phone"]


async def test_who_came_by_a_recovery_code_proves_by_the_password_alone_for_ten_minutes(
    world: World, browser: Browser
) -> None:
    alice = world.enrol("alice@mailitwize.be")
    _, codes = world.installation.recovery_codes.issue(alice.name)
    await browser.log_in(alice, codes[0])
    page = await browser.get("/account/authenticator")
    assert "code" not in form_to(page, "/account/authenticator").fields
    page = await browser.submit(page, "/account/authenticator", password="wrong")
    assert "There is a problem The password is not right. Try again." in words(page)
    assert (await browser.submit(page, "/account/authenticator", password=alice.password)).url.path == "/setup/scan"
    world.clock.advance(minutes=10)
    page = await browser.get("/account/authenticator")
    assert "code" in form_to(page, "/account/authenticator").fields


async def test_an_authenticator_is_replaced_and_the_old_one_works_until_then(
    world: World, browser: Browser, open_browser: BrowserMaker
) -> None:
    """Requirement FAC3."""
    from tests.integration.portal.browsing import seed_on

    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    page = await browser.get("/account/authenticator")
    page = await browser.submit(page, "/account/authenticator", **browser.proof(alice))
    new = Person(alice.name, alice.password, seed_on(page))
    world.clock.advance(seconds=30)
    assert (await open_browser().log_in(alice, alice.code(world.clock()))).url.path == "/account"
    done = await browser.submit(page, "/setup/scan", code=new.code(world.clock()))
    assert "The new authenticator app is connected" in words(done)
    world.clock.advance(seconds=30)
    assert (await open_browser().log_in(alice, alice.code(world.clock()))).status_code == 422
    assert (await open_browser().log_in(alice, new.code(world.clock()))).url.path == "/account"


async def test_recovery_codes_are_counted_and_few_are_warned_of(world: World, browser: Browser) -> None:
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    assert "You have no recovery codes" in words(await browser.get("/account"))
    page = await browser.get("/account/recovery-codes")
    page = await browser.submit(page, "/account/recovery-codes", **browser.proof(alice))
    codes = codes_on(page)
    assert len(codes) == 10
    assert "Few recovery codes" not in words(await browser.get("/account"))
    for code in codes[:7]:
        world.installation.recovery_codes.prove(alice.name, Secret(code.encode()))
    assert "3 recovery codes still work" in words(await browser.get("/account"))
    assert "Only 3 recovery codes still work. Make a new set." in words(await browser.get("/account/recovery-codes"))


async def test_a_new_set_voids_the_old_one(world: World, browser: Browser, open_browser: BrowserMaker) -> None:
    alice = world.enrol("alice@mailitwize.be")
    _, old = world.installation.recovery_codes.issue(alice.name)
    await browser.come_in(alice)
    page = await browser.get("/account/recovery-codes")
    page = await browser.submit(page, "/account/recovery-codes", **browser.proof(alice))
    assert (await open_browser().log_in(alice, old[0])).status_code == 422
    assert (await open_browser().log_in(alice, codes_on(page)[0])).url.path == "/account"


async def test_an_app_password_is_shown_once_with_what_to_enter(world: World, browser: Browser) -> None:
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    page = await _made(browser, alice)
    password = _shown(page)
    said = words(page)
    assert re.search(r"(?:[a-z2-9]{4}-){5}[a-z2-9]{4}", said), "grouped"
    for fact in (alice.name, "imap.mailitwize.be, port 993", "smtp.mailitwize.be, port 465", "Waiting for"):
        assert fact in said
    listed = await browser.get("/account/app-passwords")
    assert "phone" in words(listed)
    assert "May: read mail (IMAP)" in words(listed)
    assert password not in listed.text
    assert isinstance(await world.login(alice.name, password, "imap"), Granted)
    assert isinstance(await world.login(alice.name, password, "smtp"), Denied)


async def test_mistakes_are_listed_in_the_order_of_the_fields(world: World, browser: Browser) -> None:
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    for path, typed in (
        ("/account/app-passwords/new", {"name": "", "services": "", "networks": "x", "expires": "x"}),
        ("/account/address", {"address": ""}),
    ):
        fields = {**form_to(await browser.get(path), path).fields, **typed, "password": "", "code": ""}
        fields.pop("services", None)
        page = await browser.post(path, fields)
        listed = [link[1:] for link in read(page).links if link.startswith("#") and link != "#main"]
        shown = [attrs["id"] for tag, attrs in read(page).tags if attrs.get("id") in set(listed)]
        assert len(listed) == len(typed) + 2
        assert listed == shown


async def test_what_to_do_with_recovery_codes_is_the_same_where_the_phone_is_lost(browser: Browser) -> None:
    said = words(await browser.get("/help/lost-phone"))
    assert "Find the codes that you printed or saved; or our mail" in said
    assert "if you kept it" in said
    assert "If you kept our mail with the recovery codes, read it there." in said


async def test_it_waits_for_the_first_login_and_says_from_where(world: World, browser: Browser) -> None:
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    page = await _made(browser, alice)
    where = next(attrs["data-waiting"] for _, attrs in read(page).tags if "data-waiting" in attrs)
    assert (await browser.get(where)).json()["seen"] is False
    await _use(world, alice, _shown(page))
    answer = (await browser.get(where)).json()
    assert answer["seen"] is True
    assert THUNDERBIRD in answer["words"]
    plain = await browser.get(where.removesuffix(".json"))
    assert f"seen from {THUNDERBIRD}" in words(plain)
    assert f"Last used by {THUNDERBIRD}" in words(await browser.get("/account/app-passwords"))


async def test_the_profile_and_the_picture_hold_the_settings(world: World, browser: Browser) -> None:
    from mailauth.edges.portal.device_settings import MailServers, thunderbird_code
    from mailauth.vocabulary.model import AccountName

    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    page = await _made(browser, alice)
    form = next(form for form in read(page).forms if form.action.endswith("/profile"))
    response = await browser.post(form.action, form.fields)
    assert response.headers["content-type"] == "application/x-apple-aspen-config"
    mail = plistlib.loads(response.content)["PayloadContent"][0]
    assert mail["IncomingPassword"] == _shown(page)
    assert (mail["IncomingMailServerHostName"], mail["IncomingMailServerPortNumber"]) == ("imap.mailitwize.be", 993)
    assert mail["OutgoingMailServerUseSSL"] is True
    assert (await browser.post(form.action, {**form.fields, "password": "x"})).status_code == 400
    servers = MailServers("imap.example", 993, "smtp.example", 465)
    settings = json.loads(thunderbird_code(AccountName("a@example"), "Example", "secret", servers))
    assert settings[:2] == [1, [1, 1]]
    assert settings[2] == [0, "imap.example", 993, 3, 1, "a@example", "Example", "secret"]


async def test_what_an_app_password_may_do_can_be_limited(world: World, browser: Browser) -> None:
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    page = await _made(browser, alice, networks="192.0.2.0/24, 2001:db8::/64", expires="2025-07-01")
    password = _shown(page)
    assert isinstance(await world.login(alice.name, password, client="192.0.2.7"), Granted)
    assert isinstance(await world.login(alice.name, password, client="198.51.100.7"), Denied)
    listed = words(await browser.get("/account/app-passwords"))
    assert "Only from 192.0.2.0/24, 2001:db8::/64" in listed
    assert "Works until 2 July 2025, 00:00" in listed
    for typed, said in (
        ({"networks": "everywhere"}, "This is not a network"),
        ({"expires": "2025-01-01"}, "Choose a day from today on"),
        ({"expires": "0001-01-01"}, "Choose a day from today on"),
        ({"expires": "9999-12-31"}, "Choose a day from today on"),
        ({"services": ""}, ""),
        ({"name": ""}, "Give it a name"),
        ({"name": "\u0301\u0308 !"}, "Give it a name"),
        ({"name": "x" * 61}, "at most 60 characters"),
    ):
        page = await _made(browser, alice, **typed)
        assert page.status_code == 422
        assert said in words(page)


async def test_what_will_stop_working_is_said_first_and_then_it_does(world: World, browser: Browser) -> None:
    """Requirement APP2, as far as the page goes: revoked within the second."""
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    password = _shown(await _made(browser, alice))
    await _use(world, alice, password)
    listed = await browser.get("/account/app-passwords")
    path = next(link for link in read(listed).links if link.endswith("/revoke"))
    page = await browser.get(path)
    assert f"This will stop working phone: read mail (IMAP). Last used by {THUNDERBIRD}" in words(page)
    assert isinstance(await world.login(alice.name, password), Granted), "the page alone revokes nothing"
    page = await browser.submit(page, path, **browser.proof(alice))
    assert "Revoked." in words(page)
    deadline = asyncio.get_running_loop().time() + 1
    while isinstance(await world.login(alice.name, password), Granted):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


async def test_script_in_a_session_fills_nobodys_mailbox(
    world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that is made is mailed, and each that is revoked: so many a day, and the next day again."""
    monkeypatch.setattr(app_passwords, "MAX_MADE_A_DAY", 2)
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    for _ in range(2):
        assert "You have made as many" not in words(await _made(browser, alice))
        world.installation.app_passwords.revoke(alice.name, None)
        world.clock.advance(seconds=30)
    assert "You have made as many app passwords today as there can be" in words(await _made(browser, alice))
    world.installation.app_passwords.make(alice.name, "by an administrator")
    world.clock.advance(days=1)
    await browser.come_in(alice)
    assert "You have made as many" not in words(await _made(browser, alice))


async def test_expired_app_passwords_leave_room_for_new_ones(world: World, browser: Browser) -> None:
    """No page lists them, so nobody could revoke them either."""
    alice = world.enrol("alice@mailitwize.be")
    world.installation.app_passwords.make(alice.name, "phone")
    soon = world.clock() + timedelta(minutes=5)
    for number in range(CAP_PER_ACCOUNT - 1):
        world.installation.app_passwords.make(alice.name, f"device {number}", expires_at=soon)
    await browser.come_in(alice)
    assert "You have as many app passwords as there can be" in words(await _made(browser, alice))
    world.clock.advance(minutes=5)
    assert _shown(await _made(browser, alice))


@pytest.mark.parametrize("digits", [18, 19, 5000])
async def test_number_that_no_app_password_has_is_not_found(world: World, browser: Browser, digits: int) -> None:
    await browser.come_in(world.enrol("alice@mailitwize.be"))
    for page in ("revoke", "waiting", "waiting.json"):
        assert (await browser.get(f"/account/app-passwords/{'9' * digits}/{page}")).status_code == 404


async def test_all_are_revoked_at_once_and_nobody_elses(world: World, browser: Browser) -> None:
    alice, bob = world.enrol("alice@mailitwize.be"), world.enrol("bob@mailitwize.be")
    for person in (alice, alice, bob):
        world.installation.app_passwords.make(person.name, "phone")
    await browser.come_in(alice)
    theirs = world.installation.app_passwords.all(bob.name)[0].id
    assert (await browser.get(f"/account/app-passwords/{theirs}/revoke")).status_code == 404
    assert (await browser.get(f"/account/app-passwords/{theirs}/waiting.json")).status_code == 404
    page = await browser.get("/account/app-passwords/revoke-all")
    assert "Revoke all 2 app passwords?" in words(page)
    await browser.submit(page, "/account/app-passwords/revoke-all", **browser.proof(alice))
    live = {
        person.name: [each for each in world.installation.app_passwords.all(person.name) if not each.revoked_at]
        for person in (alice, bob)
    }
    assert not live[alice.name]
    assert len(live[bob.name]) == 1


async def test_recent_logins_show_refused_ones_too(world: World, browser: Browser) -> None:
    alice = world.enrol("alice@mailitwize.be")
    await world.login(alice.name, "wrong", "smtp", "198.51.100.7")
    await browser.come_in(alice)
    world.installation.activity.flush()
    said = words(await browser.get("/account/logins"))
    assert "refused send mail (SMTP)" in said
    assert "198.51.100.7" in said
    assert "let in this portal" in said


async def test_flood_of_refused_logins_hides_none_that_was_let_in(world: World, browser: Browser) -> None:
    """ACT1: on both pages, however many tries came later."""
    alice = world.enrol("alice@mailitwize.be")
    token = world.installation.app_passwords.make(alice.name, "phone").password
    await browser.come_in(alice)
    await world.login(alice.name, token, "imap", "198.51.100.66")
    for number in range(60):
        world.clock.advance(seconds=1)
        await world.login(alice.name, f"guess {number}", "imap", f"203.0.113.{number}")
    world.installation.activity.flush()
    assert "198.51.100.66" in words(await browser.get("/account"))
    said = words(await browser.get("/account/logins"))
    let_in, _, refused = said.partition("Refused logins")
    assert "198.51.100.66" in let_in
    assert "203.0.113" not in let_in
    assert "203.0.113.59" in refused
    assert "and 50 more refused logins, from other addresses" in refused
    assert refused.count("203.0.113.") == 10


async def test_recent_logins_say_no_more_than_is_known_where_others_check_the_password(
    world: World, browser: Browser
) -> None:
    """LIM8: nobody here knows whether they let somebody in."""
    alice = world.add("alice@mailitwize.be")
    after, world.clock.now = world.clock.now, CUTOVER - timedelta(days=10)
    verifier, address = world.installation.verifier, ip_address("198.51.100.7")
    asked = Attempt(alice.name, Secret(b"a guess"), "imap", address, ask=Ask.SECOND_FACTOR)
    assert isinstance(await verifier.verify(asked), Granted)
    world.installation.activity.flush()
    world.clock.now = after
    await browser.enrol(alice)
    for path in ("/account", "/account/logins"):
        said = words(await browser.get(path))
        assert "no code needed" in said
    assert "no code needed read mail (IMAP)" in said


async def test_apps_that_use_the_password_alone_are_listed_before_the_date_and_after(
    world: World, browser: Browser
) -> None:
    alice = world.add("alice@mailitwize.be")
    after, world.clock.now = world.clock.now, CUTOVER - timedelta(days=10)
    await _use(world, alice, alice.password)
    page = await browser.log_in(alice)
    assert "What stops working as soon as the app is connected These log in with your password alone" in words(page)
    assert f"{THUNDERBIRD}, at" in words(page)
    await browser.submit(page, "/logout")
    await browser.enrol(alice)
    none_any_more = (
        "These do not work any more They logged in with your password alone. "
        f"Give each an app password of its own. {THUNDERBIRD}, at"
    )
    assert none_any_more in words(await browser.get("/account")), "before the date as well"
    await browser.submit(await browser.get("/account"), "/logout")
    world.clock.now = after
    await browser.come_in(alice)
    assert none_any_more in words(await browser.get("/account"))


async def test_who_never_used_a_code_is_asked_after_four_weeks_whether_the_app_still_works(
    world: World, browser: Browser, open_browser: BrowserMaker
) -> None:
    alice = world.enrol("alice@mailitwize.be")
    _, codes = world.installation.recovery_codes.issue(alice.name)
    asked = "Does your authenticator app still work?"
    world.clock.advance(days=27)
    assert asked not in words(await open_browser().log_in(alice, codes[0]))
    world.clock.advance(days=1)
    assert asked in words(await open_browser().log_in(alice, codes[1]))
    await browser.come_in(alice)
    world.installation.activity.flush()
    assert asked not in words(await browser.get("/account"))
    assert asked not in words(await open_browser().log_in(alice, codes[2]))


async def test_the_mailbox_itself_is_no_other_address(world: World, browser: Browser) -> None:
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    for typed, said in (
        (alice.name, "This is the mailbox itself"),
        (f"\u200bmailto:{alice.name}", "This is the mailbox itself"),
        ("nonsense", "This is not an e-mail address"),
        ("alice smith;@example.org", "An e-mail address cannot have this in it: (blank) ;"),
    ):
        page = await browser.get("/account/address")
        page = await browser.submit(page, "/account/address", address=typed, **browser.proof(alice))
        assert page.status_code == 422
        assert said in words(page)


AT_ONCE = {
    "en": ("Whoever can unlock that phone can read the mail on it", "s app password at once"),
    "nl": ("Wie die telefoon kan ontgrendelen, kan er uw mail op lezen", "meteen het app-wachtwoord van de telefoon"),
    "fr": (
        "peut déverrouiller ce téléphone peut y lire vos e-mails",
        "Supprimez donc tout de suite le mot de passe",
    ),
    "de": (
        "entsperren kann, kann darauf Ihre E-Mails lesen",
        "Löschen Sie deshalb sofort das App-Passwort des Telefons",
    ),
}


async def test_who_lost_the_phone_is_told_first_to_delete_its_app_password_at_once(
    world: World, open_browser: BrowserMaker
) -> None:
    """Whoever unlocks the phone reads the mail on it, recovery codes included: that is no matter of the code alone."""
    for language, said in AT_ONCE.items():
        browser = open_browser(**{"Accept-Language": language})
        stranger = words(await browser.get("/help/lost-phone"))
        await browser.come_in(world.enrol(f"{language}@mailitwize.be"))
        inside = await browser.get("/help/lost-phone")
        for page in (stranger, words(inside)):
            assert all(each in page for each in said)
            first, second = (page.index(each) for each in said)
            assert first < second < len(page) / 2
        primary = [attrs["href"] for _, attrs in read(inside).tags if "primary" in attrs.get("class", "").split()]
        assert primary == ["/account/app-passwords"]


async def test_new_authenticator_has_a_label_of_its_own_and_the_page_says_which(
    world: World, browser: Browser
) -> None:
    """Requirement FAC3: Microsoft Authenticator overwrites an entry of the same issuer and label, at once."""
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    labels = ["Mail-IT-Wize:alice@mailitwize.be"]
    for days in (400, 0, 0):
        world.clock.advance(days=days)
        if days:
            await browser.come_in(alice)
        page = await browser.get("/account/authenticator")
        page = await browser.submit(page, "/account/authenticator", **browser.proof(alice))
        uri = next(link for link in read(page).links if link.startswith("otpauth:"))
        label = unquote(urlsplit(uri).path.removeprefix("/"))
        assert label.startswith("Mail-IT-Wize:alice@mailitwize.be ")
        assert label.count(":") == 1
        assert parse_qs(urlsplit(uri).query)["issuer"] == ["Mail-IT-Wize"]
        assert label not in labels
        labels.append(label)
        name = label.partition(":")[2]
        assert f"The new entry is called {name}, so that it does not replace the old one" in words(page)
        assert f"Account name: {name}." in words(page)
        alice.seed = seed_on(page)
        done = await browser.submit(page, "/setup/scan", code=alice.code(world.clock()))
        assert "The new authenticator app is connected" in words(done)
        world.clock.advance(minutes=1)
    assert labels[1] == "Mail-IT-Wize:alice@mailitwize.be 2026-07-09", "the day, as the provider's zone has it"
    begun = world.installation.enrolment.begin(alice.name)
    assert unquote(begun.uri).partition("?")[0].removeprefix("otpauth://totp/") not in labels


async def test_longest_name_beyond_ascii_is_shown_its_app_password(world: World, browser: Browser) -> None:
    """Spelled in ASCII, the settings of such a name are more than a QR code holds."""
    long = world.enrol("\u00e9" * 115 + "@mailitwize.be")
    await browser.come_in(long)
    page = await _made(browser, long)
    assert page.status_code == 200
    await _use(world, long, _shown(page))


async def test_password_of_blanks_alone_opens_the_portal_as_it_opens_the_mailbox(
    world: World, browser: Browser
) -> None:
    blank = world.add("blank@mailitwize.be", " " * 12)
    page = await browser.log_in(blank)
    assert "Two-factor authentication is required" in words(page), "and not that something has to be typed"
