"""The login page: one sentence for every refusal, the same limits and log as every door, and whom it speaks to how."""

import pytest
from sqlalchemy import select

from mailauth.edges.portal import app as portal
from mailauth.effects.store.tables import outbox
from mailauth.vocabulary.model import AccountName, Attempt, Denied, Granted, Verdict
from mailauth.vocabulary.secret import Secret
from tests.integration.portal.browsing import Browser, form_to, read, words
from tests.integration.portal.conftest import BrowserMaker
from tests.transactions import reading
from tests.world import Person, World, WorldMaker


def _refusals(world: World) -> dict[str, tuple[str, str, str]]:
    alice = world.enrol("alice@mailitwize.be")
    world.add("bob@mailitwize.be")
    made = world.installation.app_passwords.make(alice.name, "phone")
    code = alice.code(world.clock())
    return {
        "unknown account": ("nobody@mailitwize.be", "correct horse", ""),
        "no name at all": ("@", "correct horse", ""),
        "wrong password": ("bob@mailitwize.be", "wrong", ""),
        "right password without the code": (alice.name, alice.password, ""),
        "right password, wrong code": (alice.name, alice.password, alice.code(world.clock(), 40)),
        "wrong password, right code": (alice.name, "wrong", code),
        "a recovery code of nobody": (alice.name, alice.password, "aaaa-aaaa-aaaa-aaaa"),
        "an app password": (alice.name, made.password, ""),
        "a code where none is set up": ("bob@mailitwize.be", "correct horse", "123456"),
        "too long a password": ("bob@mailitwize.be", "x" * 600, ""),
    }


async def test_every_refusal_reads_the_same(world: World, browser: Browser) -> None:
    """Requirements ENU1 and WEB5."""
    said = {}
    for why, (account, password, code) in _refusals(world).items():
        page = await browser.submit(
            await browser.get("/login"), "/login", account=account, password=password, code=code
        )
        assert page.status_code == 422
        said[why] = words(page).replace(account, "")
    assert len(set(said.values())) == 1, said
    assert "The address, the password or the code is not right." in said["wrong password"]


async def test_an_empty_field_is_told_by_name(browser: Browser) -> None:
    page = await browser.submit(await browser.get("/login"), "/login", account="", password="")
    assert page.status_code == 422
    assert {"#account", "#password"} <= set(read(page).links)


@pytest.mark.parametrize("spelling", ["{0} {1}", "{0}-{1}", " {0}{1} ", "{0}\u2009\u2011{1}"])
async def test_spaces_and_dashes_in_a_code_are_taken(world: World, browser: Browser, spelling: str) -> None:
    alice = world.enrol("alice@mailitwize.be")
    code = alice.code(world.clock())
    assert (await browser.log_in(alice, spelling.format(code[:3], code[3:]))).url.path == "/account"


async def test_address_and_codes_are_taken_as_they_were_pasted(world: World, open_browser: BrowserMaker) -> None:
    alice = world.enrol("alice@mailitwize.be")
    _, codes = world.installation.recovery_codes.issue(alice.name)
    for number, around in enumerate(("\ufeff{}\u200b", "“{}”", "\u202a{}\u202c", " <{}> ")):
        world.clock.advance(seconds=30)
        code = alice.code(world.clock())
        wide = "".join(chr(ord(digit) + 0xFEE0) for digit in code)
        arabic = "".join(chr(ord(digit) - 0x30 + 0x660) for digit in code)
        typed = (around.format(code[:3] + "\u00a0" + code[3:]), wide, arabic, codes[number].replace("-", "\u2011"))
        name = around.format(alice.name) if number % 2 else f"mailto:{alice.name}"
        page = await (browser := open_browser()).submit(
            await browser.get("/login"),
            "/login",
            account=name,
            password=alice.password,
            code=typed[number].strip(" <>"),
        )
        assert page.url.path == "/account", words(page)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("12345O", "No code of ours has this in it: O"),
        ("k7qm-2xvp-9hfd-c3wl", "No code of ours has this in it: l"),
        ("12345", "A verification code has 6 digits, a recovery code 16 characters. You typed 5."),
        ("k7qm-2xvp", "A verification code has 6 digits, a recovery code 16 characters. You typed 8."),
    ],
)
async def test_what_can_be_no_code_is_named_whoever_the_account_is(
    world: World, browser: Browser, typed: str, said: str
) -> None:
    """By its shape alone, so that it tells nothing (requirement ENU1)."""
    for person in (world.enrol("alice@mailitwize.be"), Person(AccountName("nobody@mailitwize.be"), "wrong")):
        page = await browser.log_in(person, typed)
        assert page.status_code == 422
        assert said in words(page)
        assert "is not right" not in words(page)


async def test_a_code_behind_the_password_works_here_too(world: World, browser: Browser) -> None:
    alice = world.enrol("alice@mailitwize.be")
    page = await browser.log_in(alice, "", alice.password + alice.code(world.clock()))
    assert page.url.path == "/account"


async def test_password_that_is_changed_while_a_login_is_under_way_opens_nothing(
    world: World, open_browser: BrowserMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requirement WEB7: neither a session, nor a change of what guards the account."""
    alice, bob = world.enrol("alice@mailitwize.be"), world.add("bob@mailitwize.be")
    inside = open_browser()
    await inside.come_in(alice)
    form = await inside.get("/account/recovery-codes")
    verify = world.installation.verifier.verify

    async def verify_before_the_change(attempt: Attempt) -> Verdict:
        verdict = await verify(attempt)
        assert isinstance(verdict, Granted), verdict
        world.installation.accounts.set_password(attempt.name, Secret(b"changed"), revoke_app_passwords=False)
        return verdict

    monkeypatch.setattr(world.installation.verifier, "verify", verify_before_the_change)
    page = await inside.submit(form, "/account/recovery-codes", **inside.proof(alice))
    assert page.url.path == "/login"
    alice.password = "changed"
    world.clock.advance(seconds=30)
    for person in (alice, bob):
        browser = open_browser()
        page = await browser.log_in(person, person.code(world.clock()) if person.seed else "")
        assert page.url.path == "/login"
        assert (await browser.get("/account")).url.path == "/login"


async def test_portal_and_imap_share_the_limits(make_world: WorldMaker) -> None:
    """Requirement LIM4; who is throttled reads when to try again."""
    world = make_world("limits.account_and_source_burst=3", "limits.account_and_source_interval_s=600")
    alice = world.add("alice@mailitwize.be")
    browser = Browser(portal.build(world.installation), world, "192.0.2.7")
    for guess in ("one", "two", "three"):
        assert isinstance(await world.login(alice.name, guess, "imap", "192.0.2.7"), Denied)
    page = await browser.log_in(alice)
    assert page.status_code == 422
    assert "Too many tries. Try again in 10 minutes." in words(page)
    world.clock.advance(minutes=10)
    assert (await browser.log_in(alice)).url.path == "/setup"


async def test_fields_say_what_they_are_for_password_managers_and_phones(browser: Browser) -> None:
    inputs = {attrs["name"]: attrs for tag, attrs in read(await browser.get("/login")).tags if tag == "input"}
    assert inputs["account"]["autocomplete"] == "username"
    assert inputs["password"]["autocomplete"] == "current-password"
    assert inputs["code"]["autocomplete"] == "one-time-code"
    for name in ("account", "password", "code"):
        assert (inputs[name]["autocapitalize"], inputs[name]["spellcheck"]) == ("off", "false")


async def test_every_page_has_one_of_what_there_is_one_of(world: World, browser: Browser) -> None:
    pages = [await browser.get(path) for path in ("/login", "/help", "/help/lost-phone", "/nothing")]
    pages.append(await browser.enrol(world.add("alice@mailitwize.be")))
    kinds = ("authenticator", "recovery-codes", "app-passwords", "app-passwords/new", "logins", "sessions", "address")
    pages += [await browser.get(path) for path in ("/account", *(f"/account/{kind}" for kind in kinds))]
    for page in pages:
        tags = read(page).tags
        names = [tag for tag, _ in tags]
        assert names.count("main") == 1, page.url
        assert names.count("h1") == 1, page.url
        assert sum("primary" in attrs.get("class", "").split() for _, attrs in tags) <= 1, page.url
        assert dict(tags)["html"]["lang"] == "en"
        nav = [attrs["href"] for tag, attrs in tags if tag == "a"][1:4]
        assert nav == ["/", "/help", "/help/lost-phone"], page.url


async def test_the_date_is_on_every_page_of_who_has_not_enrolled_and_on_none_of_who_has(
    world: World, browser: Browser
) -> None:
    """For who is enrolled it has no meaning: the password alone stopped when the app was connected."""
    alice = world.add("alice@mailitwize.be")
    pages = [await browser.get(path) for path in ("/login", "/help", "/help/lost-phone", "/nothing")]
    pages.append(await browser.log_in(alice))
    pages.append(await browser.get("/setup/confirm"))
    for page in pages:
        assert "the password alone does not open your mail" in page.text, page.url
        assert 'datetime="2025-05-05T00:00:00+02:00"' in page.text, page.url
    await browser.submit(pages[-1], "/logout")
    after = [await browser.enrol(alice)]
    after += [await browser.get(path) for path in ("/account", "/setup/done", "/account/app-passwords", "/help")]
    for page in after:
        assert "the password alone does not open your mail" not in page.text, page.url
        assert "2025-05-05T00:00:00" not in page.text, page.url


async def test_help_for_a_lost_phone_is_readable_without_logging_in(browser: Browser) -> None:
    page = await browser.get("/help/lost-phone")
    assert page.status_code == 200
    assert "You have a recovery code" in words(page)
    assert "support@mailitwize.be" in words(page)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("nl-BE,nl;q=0.9,en;q=0.8", "nl"),
        ("fr;q=0.4, de;q=0.9", "de"),
        ("ja", "en"),
        ("", "en"),
        (";;q=x,,-,*;q=2", "en"),
    ],
)
async def test_the_browser_is_asked_for_the_language(open_browser: BrowserMaker, header: str, language: str) -> None:
    page = await open_browser(**{"Accept-Language": header}).get("/login")
    assert dict(read(page).tags)["html"]["lang"] == language


async def test_a_chosen_language_is_kept_for_the_browser_and_the_account(
    world: World, browser: Browser, open_browser: BrowserMaker
) -> None:
    page = await browser.submit(await browser.get("/help"), "/language", language="fr")
    assert page.url.path == "/help"
    assert dict(read(page).tags)["html"]["lang"] == "fr"
    alice = world.enrol("alice@mailitwize.be")
    await browser.come_in(alice)
    await browser.submit(await browser.get("/account"), "/language", language="de")
    other = open_browser(**{"Accept-Language": "nl"})
    await other.submit(await other.get("/login"), "/language", language="fr")
    page = await other.come_in(alice)
    assert dict(read(page).tags)["html"]["lang"] == "de"


async def test_who_chose_no_language_gets_mails_in_that_of_the_page(world: World, open_browser: BrowserMaker) -> None:
    alice = world.enrol("alice@mailitwize.be")
    await open_browser(**{"Accept-Language": "nl-BE,nl;q=0.9"}).come_in(alice)
    world.installation.app_passwords.make("alice@mailitwize.be", "telephone")
    with reading(world.installation.database) as connection:
        assert connection.execute(select(outbox.c.language)).scalars().all()[-1] == "nl"


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nX: y", "javascript:x", ""]
)
async def test_a_change_of_language_leads_nowhere_else(browser: Browser, back: str) -> None:
    form = form_to(await browser.get("/login"), "/language")
    response = await browser.post("/language", {**form.fields, "language": "nl", "back": back})
    assert response.status_code == 303
    assert response.headers["location"] == "/"


async def test_the_colour_of_the_provider_is_readable(make_world: WorldMaker) -> None:
    from mailauth.edges.portal.brand import DARK_BACKGROUND, LIGHT_BACKGROUND, contrast, readable, text_on

    for colour in ("#000000", "#ffffff", "#ffcc00", "#1d5b8f", "#ff0000", "#7f7f7f", "#00ff88"):
        assert contrast(text_on(colour), colour) >= 4.5
        for background in (LIGHT_BACKGROUND, DARK_BACKGROUND):
            assert contrast(readable(colour, background), background) >= 4.5
    world = make_world('portal.colour="#ffcc00"')
    browser = Browser(portal.build(world.installation), world)
    sheet = await browser.get("/static/brand.css")
    assert "--brand: #ffcc00; --on-brand: #000000" in sheet.text
    assert sheet.headers["content-type"].startswith("text/css")


async def test_a_monitor_is_told_that_it_works(browser: Browser) -> None:
    assert (await browser.get("/healthz")).text == "ok\n"
