"""The set-up, page by page: what each says, what a mistake says, and that nothing changes until a code is right."""

import html
import re
from datetime import timedelta

import httpx
import pytest

from mailauth.core import otp
from mailauth.effects.imports import Found
from mailauth.usecases.authenticator_import import Row
from mailauth.vocabulary.model import Denied, Granted, TotpParameters
from tests.integration.portal.browsing import Browser, codes_on, form_to, read, seed_on, words
from tests.integration.portal.conftest import BrowserMaker
from tests.world import CUTOVER, Person, World, WorldMaker


async def test_who_has_not_enrolled_sees_one_screen_with_one_button(world: World, browser: Browser) -> None:
    page = await browser.log_in(world.add("alice@mailitwize.be"))
    assert page.url.path == "/setup"
    assert "Two-factor authentication is required" in words(page)
    primary = [attrs for _, attrs in read(page).tags if "primary" in attrs.get("class", "").split()]
    assert [attrs["href"] for attrs in primary] == ["/setup/confirm"]


@pytest.mark.parametrize("path", ["/account", "/account/app-passwords", "/account/recovery-codes", "/account/logins"])
async def test_who_has_not_enrolled_is_sent_back_to_it_from_everywhere(
    world: World, browser: Browser, path: str
) -> None:
    await browser.log_in(world.add("alice@mailitwize.be"))
    assert (await browser.get(path)).url.path == "/setup"


async def test_before_the_date_the_page_says_from_when(make_world: WorldMaker) -> None:
    from mailauth.edges.portal import app

    world = make_world(now=CUTOVER.replace(month=4))
    browser = Browser(app.build(world.installation), world)
    page = await browser.log_in(world.add("alice@mailitwize.be"))
    assert "Two-factor authentication will be required" in words(page)
    assert "From that day on, your mail opens with two things" in words(page)
    banner = " ".join(html.unescape(re.sub(r"<[^>]*>", "", page.text.partition("<main")[0])).split())
    assert "From 5 May 2025 the password alone does not open your mail any more. (00:00, Brussels time)" in banner


async def test_the_date_stands_on_a_page_once_in_the_providers_zone(make_world: WorldMaker) -> None:
    """WEB9: its hour and zone in small print, and no UTC: near midnight that made two dates of one."""
    from mailauth.edges.portal import app

    for month in (4, 6):
        world = make_world(now=CUTOVER.replace(month=month))
        installation = app.build(world.installation)
        alice, exempt = world.add("alice@mailitwize.be"), world.add("exempt@mailitwize.be")
        world.installation.accounts.exempt(exempt.name, world.clock() + timedelta(days=9), "a scanner")
        for person in (alice, exempt):
            browser, other = Browser(installation, world), Browser(installation, world)
            pages = [await browser.get("/login"), await browser.get("/help"), await browser.log_in(person)]
            pages += [await browser.get("/setup/confirm"), await browser.get("/help/lost-phone")]
            pages.append(await other.begin_set_up(person) if person is alice else pages[0])
            for page in pages:
                said = html.unescape(re.sub(r"<[^>]*>", " ", page.text.partition("<body")[2]))
                assert said.count("5 May 2025") == 1, (page.url, said)
                assert said.count("(00:00, Brussels time)") == 1, page.url
                assert "UTC" not in said
                assert "4 May" not in said
                times = [attrs for tag, attrs in read(page).tags if tag == "time" and "data-offset" in attrs]
                assert times[0]["datetime"] == "2025-05-05T00:00:00+02:00"
                assert page.text.count("data-own-zone") == 1


@pytest.mark.parametrize("exempt", [False, True])
async def test_before_the_date_the_page_says_that_it_takes_effect_at_once(
    make_world: WorldMaker, exempt: bool
) -> None:
    """As it does: the policy asks who is enrolled for the second factor, whatever the date."""
    from mailauth.edges.portal import app

    world = make_world(now=CUTOVER.replace(month=6 if exempt else 4))
    browser = Browser(app.build(world.installation), world)
    alice = world.add("alice@mailitwize.be")
    if exempt:
        world.installation.accounts.exempt(alice.name, world.clock() + timedelta(days=9), "a scanner")
    at_once = "as soon as your authenticator app is connected, mail apps that have your password alone stop working"
    page = await browser.log_in(alice)
    assert at_once in words(page)
    assert isinstance(await world.login(alice.name, alice.password), Granted)
    await browser.submit(page, "/logout")
    await browser.enrol(alice)
    assert isinstance(await world.login(alice.name, alice.password), Denied)
    said = words(await browser.get("/setup/done"))
    assert "Mail apps that have your password alone do not work any more." in said


@pytest.mark.parametrize(
    ("language", "minutes"),
    [("en", "five minutes"), ("nl", "vijf minuten"), ("fr", "cinq minutes"), ("de", "fünf Minuten")],
)
async def test_the_set_up_takes_as_long_as_the_announcement_says(
    world: World, open_browser: BrowserMaker, language: str, minutes: str
) -> None:
    """The mails say the same: `test_mails_say_one_time_that_the_set_up_takes`."""
    page = await open_browser(**{"Accept-Language": language}).log_in(world.add("alice@mailitwize.be"))
    assert re.findall(r"\S+ [Mm]inut(?:es|en)\b", words(page)) == [minutes]


async def test_the_password_is_asked_for_again_before_a_secret_is_shown(world: World, browser: Browser) -> None:
    alice = world.add("alice@mailitwize.be")
    await browser.log_in(alice)
    assert (await browser.get("/setup/scan")).url.path == "/setup/confirm"
    page = await browser.submit(await browser.get("/setup/confirm"), "/setup/confirm", password="wrong")
    assert page.status_code == 422
    assert "There is a problem The password is not right. Try again." in words(page)
    assert "code" not in form_to(page, "/setup/confirm").fields
    assert (await browser.get("/setup/scan")).url.path == "/setup/confirm"


async def test_the_whole_set_up_ends_with_codes_that_log_in(
    world: World, browser: Browser, open_browser: BrowserMaker
) -> None:
    alice = world.add("alice@mailitwize.be")
    page = await browser.enrol(alice)
    codes = codes_on(page)
    assert len(set(codes)) == 10
    assert f"e-mailing them to {alice.name}" in words(page)
    assert "Print or copy the codes, and keep them apart from your mailbox. Then delete that mail" in words(page)
    assert (await open_browser().log_in(alice, codes[0])).url.path == "/account"
    assert (await open_browser().log_in(alice, codes[0])).status_code == 422, "used twice"
    assert (await open_browser().log_in(alice)).status_code == 422, "the password alone (WEB5)"


MISTAKES = {
    "": "Type the verification code that your app shows now.",
    " - ": "Type the verification code that your app shows now.",
    "12345": "This code is too short: 5 of 6 digits.",
    "1234567": "This code is too long: 7 digits.",
    "12345a": "A verification code has digits only. Take this out: a",
    "12 O4x5O": "A verification code has digits only. Take this out: O x",
}


@pytest.mark.parametrize(("typed", "said"), MISTAKES.items())
async def test_each_mistake_is_told_by_its_own_sentence(world: World, browser: Browser, typed: str, said: str) -> None:
    page = await browser.begin_set_up(world.add("alice@mailitwize.be"))
    page = await browser.submit(page, "/setup/scan", code=typed)
    assert page.status_code == 422
    assert said in words(page)
    _is_told_accessibly(page)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (5, "about 150 seconds fast"),
        (-4, "about 2 minutes slow"),
        (2, "about 1 minute fast"),
        (10, "about 5 minutes fast"),
        (40, "This code is not right."),
    ],
)
async def test_a_clock_that_is_off_is_told_by_how_much(world: World, browser: Browser, steps: int, said: str) -> None:
    alice = world.add("alice@mailitwize.be")
    page = await browser.begin_set_up(alice)
    page = await browser.submit(page, "/setup/scan", code=alice.code(world.clock(), steps))
    assert said in words(page)
    assert not world.installation.explainer.explain(alice.name).enrolled


@pytest.mark.parametrize("steps", [-1, 0, 1])
async def test_one_step_either_side_is_taken_with_spaces_and_dashes(
    world: World, browser: Browser, steps: int
) -> None:
    alice = world.add("alice@mailitwize.be")
    page = await browser.begin_set_up(alice)
    code = alice.code(world.clock(), steps)
    page = await browser.submit(page, "/setup/scan", code=f" {code[:3]}\u00a0\u2013{code[3:]} ")
    assert len(codes_on(page)) == 10, words(page)


async def test_too_many_wrong_codes_say_when_to_try_again(world: World, browser: Browser) -> None:
    alice = world.add("alice@mailitwize.be")
    page = await browser.begin_set_up(alice)
    for _ in range(11):
        page = await browser.submit(page, "/setup/scan", code=alice.code(world.clock(), 40))
    assert "Too many tries. Try again in 1 minute." in words(page)
    world.clock.advance(minutes=1)
    page = await browser.submit(page, "/setup/scan", code=alice.code(world.clock()))
    assert codes_on(page)


async def test_an_error_never_makes_a_new_qr_code_nor_does_another_tab(world: World, browser: Browser) -> None:
    alice = world.add("alice@mailitwize.be")
    first = await browser.begin_set_up(alice)
    again = await browser.submit(first, "/setup/scan", code="000000")
    other_tab = await browser.submit(await browser.get("/setup/confirm"), "/setup/confirm", password=alice.password)
    assert seed_on(first) == seed_on(again) == seed_on(other_tab)


async def test_imported_authenticator_opens_the_portal_and_is_replaced_by_one_of_ours(
    world: World, browser: Browser
) -> None:
    """Its codes have eight digits, and last a minute: at the login, as a proof, and not for the new one."""
    alice = world.add("alice@mailitwize.be")
    theirs, seed = TotpParameters(8, 60, "SHA512"), b"a seed from elsewhere"
    rows: list[Row] = []
    found = Found("a file", alice.name, seed, theirs)
    world.installation.authenticator_import.put_in_force([found], rows.append)
    assert [row.outcome for row in rows] == ["taken"]

    def code() -> str:
        world.clock.advance(seconds=60)
        return otp.code_at(seed, otp.step_at(world.clock(), theirs), theirs)

    page = await browser.log_in(alice, code()[2:])
    assert page.url.path == "/login", "six of the eight are no code"
    shown = code()
    page = await browser.log_in(alice, f"{shown[:4]} {shown[4:]}")
    assert page.url.path == "/account", words(page)
    proof = {"password": alice.password, "code": code()}
    page = await browser.submit(await browser.get("/account/authenticator"), "/account/authenticator", **proof)
    alice.seed = seed_on(page)
    page = await browser.submit(page, "/setup/scan", code=alice.code(world.clock()))
    assert "replaced" in str(page.url)
    world.clock.advance(seconds=60)
    assert isinstance(await world.login(alice.name, alice.password + alice.code(world.clock())), Granted)
    assert isinstance(await world.login(alice.name, alice.password + code()), Denied)


async def test_another_sites_link_uses_up_no_sight_of_the_secret(world: World, browser: Browser) -> None:
    """WEB8: a link by which the cookie comes along (GET, SameSite=Lax), and HEAD, which shows nothing."""
    alice = world.add("alice@mailitwize.be")
    await browser.log_in(alice)
    fields = form_to(await browser.get("/setup/confirm"), "/setup/confirm").fields
    assert (
        await browser.client.post("/setup/confirm", data={**fields, "password": alice.password})
    ).status_code == 303
    for site in ("cross-site", "same-site"):
        answer = await browser.client.get("/setup/scan", headers={"Sec-Fetch-Site": site})
        assert (answer.status_code, answer.headers["location"]) == (303, "/setup/confirm")
    assert (await browser.client.head("/setup/scan")).status_code == 303
    page = await browser.get("/setup/scan", headers={"Sec-Fetch-Site": "same-origin"})
    assert seed_on(page)


@pytest.mark.parametrize("is_replacement", [False, True])
async def test_set_up_left_half_way_shows_its_secret_to_nobody_without_a_new_proof(
    world: World, browser: Browser, is_replacement: bool
) -> None:
    """Requirement WEB8: whoever sits at the same browser next neither sees the QR code nor can finish with it."""
    if is_replacement:
        alice, proof = world.enrol("alice@mailitwize.be"), "/account/authenticator"
        await browser.come_in(alice)
    else:
        alice, proof = world.add("alice@mailitwize.be"), "/setup/confirm"
        await browser.log_in(alice)

    async def prove() -> httpx.Response:
        typed = browser.proof(alice) if is_replacement else {"password": alice.password}
        return await browser.submit(await browser.get(proof), proof, **typed)

    first = await prove()
    seed = seed_on(first)
    later = [await browser.get(path) for path in ("/setup/scan", proof, "/setup/scan", "/setup")]
    later.append(await browser.submit(later[0], "/setup/scan", code="000000"))
    fields = form_to(later[0], "/setup/scan").fields
    later.append(await browser.post("/setup/scan", {**fields, "sight": "0" * 64, "code": "000000"}))
    forgotten = {name: value for name, value in fields.items() if name != "csrf"}
    later.append(await browser.post("/setup/scan", {**forgotten, "code": "000000"}))
    for page in later:
        assert otp.base32(seed) not in page.text
        assert "otpauth:" not in page.text
    assert "the picture is shown only once" in words(later[0])
    assert later[4].status_code == 422
    assert seed_on(await browser.submit(first, "/setup/scan", code="000000")) == seed, "beside a mistake, as before"
    assert seed_on(await prove()) == seed
    new = Person(alice.name, alice.password, seed)
    page = await browser.submit(await browser.get("/setup/scan"), "/setup/scan", code=new.code(world.clock()))
    assert page.status_code == 200, "who has scanned it need not see it again"
    assert world.installation.explainer.explain(alice.name).enrolled


async def test_a_tab_that_was_open_before_confirms_as_well(world: World, browser: Browser) -> None:
    alice = world.add("alice@mailitwize.be")
    await browser.log_in(alice)
    old_tab = await browser.get("/setup/confirm")
    page = await browser.submit(await browser.get("/setup/confirm"), "/setup/confirm", password=alice.password)
    alice.seed = seed_on(page)
    refused = await browser.submit(old_tab, "/setup/confirm", password=alice.password)
    assert refused.status_code == 403
    fresh = await browser.submit(refused, "/setup/confirm", password=alice.password)
    assert seed_on(fresh) == alice.seed


async def test_the_secret_is_gone_after_ten_minutes(world: World, browser: Browser) -> None:
    alice = world.add("alice@mailitwize.be")
    page = await browser.begin_set_up(alice)
    world.clock.advance(minutes=10)
    after = await browser.submit(page, "/setup/scan", code=alice.code(world.clock()))
    assert after.url.path == "/setup/confirm"
    after = await browser.submit(after, "/setup/confirm", password=alice.password)
    assert seed_on(after) != alice.seed


async def test_cancelling_and_logging_out_leave_nothing_behind(world: World, browser: Browser) -> None:
    alice = world.add("alice@mailitwize.be")
    page = await browser.begin_set_up(alice)
    assert (await browser.submit(page, "/setup/cancel")).url.path == "/setup"
    assert (await browser.get("/setup/scan")).url.path == "/setup/confirm"
    page = await browser.submit(await browser.get("/setup/confirm"), "/setup/confirm", password=alice.password)
    await browser.submit(page, "/logout")
    await browser.log_in(alice)
    assert (await browser.get("/setup/scan")).url.path == "/setup/confirm"


async def test_the_page_offers_every_way_to_take_the_key(world: World, browser: Browser) -> None:
    page = await browser.begin_set_up(world.add("alice@mailitwize.be"))
    links = read(page).links
    assert any(link.startswith("otpauth://totp/Mail-IT-Wize:alice%40mailitwize.be?") for link in links)
    for shop in (
        "https://play.google.com/store/apps/details?id=com.google.android.apps.authenticator2",
        "https://apps.apple.com/app/google-authenticator/id388497605",
        "https://play.google.com/store/apps/details?id=com.azure.authenticator",
        "https://apps.apple.com/app/microsoft-authenticator/id983156458",
    ):
        assert shop in links
    assert re.search(r"<svg [^>]*role=\"img\"[^>]*><title>[^<]+</title><desc>[^<]+</desc>", page.text)
    assert re.search(r"(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}", words(page)), "groups of four"
    assert "Some apps call it a code" in words(page)
    assert "Any other app that makes verification codes works as well" in words(page)
    code = next(attrs for tag, attrs in read(page).tags if tag == "input" and attrs.get("id") == "code")
    assert (code["inputmode"], code["autocomplete"]) == ("numeric", "one-time-code")


async def test_proving_spends_one_code_and_skipping_none(world: World, browser: Browser) -> None:
    alice = world.add("alice@mailitwize.be")
    page = await browser.enrol(alice)
    codes = codes_on(page)
    again = await browser.submit(page, "/setup/done", code="aaaa-aaaa-aaaa-aaaa")
    assert again.status_code == 422
    assert codes_on(again) == codes, "who mistyped sees them still"
    done = await browser.submit(again, "/setup/done", code=codes[3].upper().replace("-", " "))
    assert done.url.path == "/setup/done"
    assert "9 are left" in words(done)
    assert world.installation.recovery_codes.left(alice.name) == 9


async def test_skipping_is_a_button_of_its_own(world: World, browser: Browser) -> None:
    alice = world.add("alice@mailitwize.be")
    page = await browser.enrol(alice)
    done = await browser.submit(page, "/setup/done", skip="yes")
    assert done.url.path == "/setup/done"
    assert world.installation.recovery_codes.left(alice.name) == 10


async def test_the_codes_come_as_a_file_named_after_provider_account_and_date(world: World, browser: Browser) -> None:
    page = await browser.enrol(world.add("alice@mailitwize.be"))
    form = form_to(page, "/account/recovery-codes/download")
    file = await browser.post(form.action, form.fields)
    assert (
        'filename="Mail-IT-Wize-recovery-codes-alice@mailitwize.be-2025-06-04.txt"'
        in file.headers["content-disposition"]
    )
    assert all(code in file.text for code in codes_on(page))
    junk = await browser.post(form.action, {**form.fields, "codes": "not a code <script>"})
    assert junk.status_code == 400


async def test_codes_are_shown_once(world: World, browser: Browser) -> None:
    page = await browser.enrol(world.add("alice@mailitwize.be"))
    for path in ("/setup/scan", "/setup/done", "/account/recovery-codes", "/account"):
        shown = await browser.get(path)
        assert not codes_on(shown)
        assert not any(code in shown.text for code in codes_on(page))


def _is_told_accessibly(page: object) -> None:
    reader = read(page)  # type: ignore[arg-type]
    text: str = page.text  # type: ignore[attr-defined]
    assert re.search(r"<title>\s*Error: ", text)
    summary = next(attrs for _, attrs in reader.tags if attrs.get("role") == "alert")
    assert "autofocus" in summary
    assert summary["tabindex"] == "-1"
    assert "#code" in reader.links
    code = next(attrs for tag, attrs in reader.tags if tag == "input" and attrs.get("id") == "code")
    assert code["aria-invalid"] == "true"
    ids = {attrs.get("id") for _, attrs in reader.tags}
    assert set(code["aria-describedby"].split()) <= ids
    assert "code-error" in code["aria-describedby"]
