"""The mails: each kind in each language says what happened, when, from where and what to do, as text and as HTML."""

import re
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth.core.colour import readable_on
from mailauth.core.policy import Policy, parse_cutover
from mailauth.effects.languages import LOCALE, Languages
from mailauth.effects.mails import origins
from mailauth.effects.mails.writing import APPS, STEPS, Mails
from mailauth.vocabulary.languages import LANGUAGES
from mailauth.vocabulary.notices import NoticeKind
from tests.cases import case
from tests.unit.every_mail import (
    AFTER,
    BEFORE,
    CODES,
    EVERY_MAIL,
    FACTS,
    LETTERHEAD,
    MAILS,
    html_of,
    text_of,
    write,
)


class Page(HTMLParser):
    """What an HTML mail consists of, and what it says."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._hidden = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words += data

    def links(self) -> list[str | None]:
        return [attributes["href"] for tag, attributes in self.tags if tag == "a"]


def both(mail: EmailMessage) -> tuple[str, str]:
    """Return what the text and the HTML say, each on one line."""
    return " ".join(text_of(mail).split()), " ".join(Page(html_of(mail)).words.split())


def test_every_mail_is_whole_and_in_its_language() -> None:
    for language, kind, facts, moment in EVERY_MAIL:
        with case(language, kind, facts, moment):
            mail = write(kind, language, facts, moment)
            assert mail["Content-Language"] == language
            for words in (str(mail["Subject"]), *both(mail)):
                for left in ("%(", "{{", "{%", "}}", "None", "Undefined"):
                    assert left not in words
                if language != "en":
                    without_links = re.sub(r"https?://\S+|\S+@\S+", "", words)
                    english = {"the", "your", "you", "password", "from", "write", "this", "code of", "recovery"}
                    assert not english & set(re.findall(r"[a-z]+", without_links.lower())), without_links


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_no_sentence_of_a_mail_is_the_english_one(language: str) -> None:
    with (LOCALE / language / "LC_MESSAGES" / "mailauth.po").open("rb") as file:
        catalog = read_po(file)
    sentences = {
        max(re.split(r"%\(\w+\)[sd]", identifier), key=len).strip()
        for message in catalog
        for identifier in map(str, message.id if isinstance(message.id, tuple) else (message.id,))
        if identifier
    }
    long_ones = [sentence for sentence in sentences if sentence.count(" ") >= 3]
    assert len(long_ones) > 60
    for kind in NoticeKind:
        for facts in FACTS.get(kind, [{}]):
            said = "\n".join(both(write(kind, language, facts)))
            assert [sentence for sentence in long_ones if sentence in said] == []


def test_notice_says_what_happened_when_from_where_and_whom_to_ask() -> None:
    others = (NoticeKind.ANNOUNCEMENT, NoticeKind.REMOVALS_HELD)  # to everybody, and to administrators
    for kind in [kind for kind in NoticeKind if kind not in others]:
        with case(kind):
            for words in both(write(kind)):
                assert "alice@mailitwize.be" in words
                if kind is not NoticeKind.RIGHT_PASSWORD_WRONG_CODE:
                    assert "6 May 2025, 14:32 (Brussels time; 12:32 UTC)" in words
                assert "reading mail (IMAP), Thunderbird, address 192.0.2.7" in words
                assert "help@mailitwize.be" in words
                assert "Mail-IT-Wize" in words
                if kind is not NoticeKind.ENROLMENT_UNDONE:  # which says what to do anyway
                    assert "If this wasn't you" in words


def test_what_an_administrator_did_is_called_so() -> None:
    for words in both(write(NoticeKind.AUTHENTICATOR_REMOVED, service="administrator")):
        assert "an administrator of Mail-IT-Wize" in words
        assert "If you did not ask for this" in words
        assert "Somebody else knows your password" not in words


def test_recovery_codes_are_in_the_text_and_in_the_html() -> None:
    """REC4."""
    for language in LANGUAGES:
        for first in (True, False):
            with case(language, first):
                for words in both(write(NoticeKind.RECOVERY_CODES, language, {"codes": CODES, "first": first})):
                    for code in CODES:
                        assert code in words


@pytest.mark.parametrize(
    ("left", "words", "warned"),
    [
        (4, "4 recovery codes left", False),
        (3, "3 recovery codes left", True),
        (1, "1 recovery code left", True),
        (0, "no recovery codes left", True),
    ],
)
def test_use_of_a_recovery_code_says_how_many_are_left_and_warns_at_three(left: int, words: str, warned: bool) -> None:
    mail = write(NoticeKind.RECOVERY_CODE_USED, facts={"left": left})
    for said in both(mail):
        assert words in said
        assert ("Make new recovery codes" in said) is warned
    assert ("https://2fa.mailitwize.be/account/recovery-codes" in text_of(mail)) is warned


@pytest.mark.parametrize(
    "kind", [NoticeKind.AUTHENTICATOR_SET, NoticeKind.UNDO_LINK_REPLACED, NoticeKind.CONFIRM_ADDRESS]
)
def test_link_is_the_portals_and_in_both(kind: NoticeKind) -> None:
    mail = write(kind)
    link = "https://2fa.mailitwize.be/link/abc"
    assert f"\n{link}\n" in text_of(mail)
    assert link in Page(html_of(mail)).links()


def test_app_password_made_says_which_and_what_it_opens() -> None:
    for words in both(
        write(NoticeKind.APP_PASSWORD_MADE, facts={"name": "Phone", "services": ["imap", "submission"]})
    ):
        assert 'Name: "Phone"' in words
        assert "Opens: reading mail (IMAP), sending mail (SMTP)" in words


def test_name_of_a_device_is_a_quotation_without_a_link() -> None:
    for kind in (NoticeKind.APP_PASSWORD_MADE, NoticeKind.APP_PASSWORD_REVOKED):
        for name, shown in (
            ("Anna's iPhone 15.2", "Anna's iPhone 15.2"),
            ("l\u2019ordinateur", "l\u2019ordinateur"),
            ('<img src="https://evil.example/x.png">&"\'', "img src https evil example x png '"),
            (
                "blocked! Unlock within 24 h: https://evil.example/unlock",
                "blocked Unlock within 24 h https evil example unlock",
            ),
            ('" was blocked. Write to help@evil.example', "was blocked Write to help evil example"),
            ("📱", ""),
        ):
            with case(kind, name, shown):
                mail = write(kind, facts={"name": name, "names": [name], "services": []})
                for words in both(mail):
                    assert f'"{shown}"' in words
                    assert "evil.example" not in words
                assert "img" not in [tag for tag, _ in Page(html_of(mail)).tags]


@pytest.mark.parametrize("agent", ["Go to https://evil.example/now", "see evil.example", "a\r\nBcc: b@evil.example"])
def test_what_a_client_says_about_itself_cannot_be_a_link_or_a_line(agent: str) -> None:
    mail = write(NoticeKind.RIGHT_PASSWORD_WRONG_CODE, agent=agent)
    for words in (text_of(mail), html_of(mail)):
        assert "evil.example" not in words
        assert "evil example" in words
    assert mail["Bcc"] is None


@given(st.text(max_size=200))
def test_agent_in_words_is_one_short_line_without_host_names(agent: str) -> None:
    words = origins.plain(agent)
    assert len(words) <= 60
    assert not re.search(r"[\r\n:/@<>\"]|[^\d.]\.|\.[^\d]", words)


def test_version_of_a_client_is_kept() -> None:
    assert origins.plain("Thunderbird 128.0 (Linux)") == "Thunderbird 128.0 (Linux)"


def test_html_is_simple_and_loads_nothing_from_elsewhere() -> None:
    for language, kind, facts, moment in EVERY_MAIL:
        with case(language, kind, facts, moment):
            page = Page(html_of(write(kind, language, facts, moment)))
            used = {tag for tag, _ in page.tags}
            assert not used & {"table", "script", "link", "iframe", "form", "object"}
            for attributes in (attributes for tag, attributes in page.tags if tag == "img"):
                assert str(attributes["src"]).startswith("cid:")
                assert attributes["alt"]
            assert dict(page.tags)["html"]["lang"] == language
            assert [attributes for _, attributes in page.tags if "style" in attributes] == []
            for link in page.links():
                assert link is not None
                assert link.startswith(("https://", "mailto:help@mailitwize.be"))
            assert [tag for tag, _ in page.tags].count("h1") == 1


def test_text_has_short_lines_and_one_blank_line_between_paragraphs() -> None:
    for language, kind, facts, moment in EVERY_MAIL:
        with case(language, kind, facts, moment):
            text = text_of(write(kind, language, facts, moment))
            assert [line for line in text.splitlines() if len(line) > 72 and "https://" not in line] == []
            assert "\n\n\n" not in text


def test_html_is_in_the_providers_colour_and_fit_for_dark_mode() -> None:
    html = html_of(write(NoticeKind.AUTHENTICATOR_SET))
    assert "background: #1d5b8f; color: #ffffff" in html
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


@given(st.from_regex(r"#[0-9a-f]{6}", fullmatch=True))
def test_words_on_any_colour_can_be_read(colour: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1."""

    def luminance(value: str) -> float:
        parts = [int(value[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(colour), luminance(readable_on(colour))), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("language", "date"), [("en", "5 May 2025"), ("nl", "5 mei 2025"), ("fr", "5 mai 2025"), ("de", "5. Mai 2025")]
)
def test_announcement_says_from_when_with_which_apps_and_how(language: str, date: str) -> None:
    mail = write(NoticeKind.ANNOUNCEMENT, language, moment=BEFORE)
    assert date in mail["Subject"]
    page = Page(html_of(mail))
    for app, android, ios in APPS:
        assert android in page.links()
        assert ios in page.links()
        for words in both(mail):
            assert app in words
        assert android in text_of(mail)
        assert ios in text_of(mail)
    assert [attributes.get("class") for _, attributes in page.tags].count("button") == 1
    assert "https://2fa.mailitwize.be/setup" in page.links()
    for words in both(mail):
        assert date in words
        assert "help@mailitwize.be" in words
        assert all(f"{number}. " in words for number in range(1, 6))


def test_announcement_after_the_cutover_says_that_it_is_required_now() -> None:
    mail = write(NoticeKind.ANNOUNCEMENT, moment=AFTER)
    assert mail["Subject"] == "Please set up two-factor authentication now"
    assert "Since 5 May 2025" in text_of(mail)


def test_announcement_shows_the_pictures_that_are_there_and_describes_the_others(tmp_path: Path) -> None:
    (tmp_path / "nl").mkdir()
    (tmp_path / "nl" / "login.png").write_bytes(b"\x89PNG login")
    (tmp_path / "nl" / "scan.png").write_bytes(b"\x89PNG scan")
    mail = write(NoticeKind.ANNOUNCEMENT, "nl", mails=Mails(Languages(), LETTERHEAD, tmp_path))
    shown = [attributes for tag, attributes in Page(html_of(mail)).tags if tag == "img"]
    parts = {str(part["Content-ID"]): part for part in mail.walk() if part.get_content_type() == "image/png"}
    assert len(shown) == len(parts) == 2
    for attributes in shown:
        part = parts[f"<{str(attributes['src']).removeprefix('cid:')}>"]
        assert part.get_content_disposition() == "inline"
        assert attributes["alt"]
    assert [part.get_content() for part in parts.values()] == [b"\x89PNG login", b"\x89PNG scan"]
    assert "Een pagina met één veld, voor uw wachtwoord." in Page(html_of(mail)).words
    assert text_of(mail).count("   [") == len(STEPS)


def test_headers_carry_the_id_the_moment_and_where_answers_go() -> None:
    mail = write(NoticeKind.AUTHENTICATOR_REPLACED)
    assert mail["Message-ID"] == "<id@mailitwize.be>"
    assert mail["Date"].datetime == AFTER
    assert mail["From"] == "Mail-IT-Wize <noreply@mailitwize.be>"
    assert mail["Reply-To"] == "help@mailitwize.be"
    assert mail["Auto-Submitted"] == "auto-generated"


def test_mailbox_beyond_ascii_is_written_as_it_is() -> None:
    mail = write(NoticeKind.AUTHENTICATOR_REPLACED, recipient="zoë@mailitwize.be")
    assert "\r\nTo: zoë@mailitwize.be\r\n".encode() in mail.as_bytes()


@given(st.text(min_size=1, max_size=40), st.sampled_from(list(LANGUAGES)))
@settings(deadline=None)  # the machines that run this are busy
def test_no_name_of_a_device_makes_a_header(name: str, language: str) -> None:
    """MAIL2."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    mail = write(NoticeKind.APP_PASSWORD_REVOKED, language, {"names": [name]})
    head = mail.as_bytes().split(b"\r\n\r\n", 1)[0]
    fields = [line.split(b":")[0].lower() for line in head.split(b"\r\n") if line[:1] not in b" \t"]
    assert len(fields) == len(set(fields))
    assert b"bcc" not in fields


ON_THE_FIRST_OF_A_MONTH = Mails(
    Languages(), replace(LETTERHEAD, policy=Policy(parse_cutover("2030-01-01T00:00 Europe/Brussels")))
)


def test_subject_begins_on_the_line_of_its_header() -> None:
    """By whichever policy a mail is sent: not every program takes away the blank that a fold begins with."""
    for mails in (MAILS, ON_THE_FIRST_OF_A_MONTH):
        for policy in (SMTP, SMTPUTF8):
            for language in LANGUAGES:
                with case(mails, policy, language):
                    for kind in NoticeKind:
                        mail = write(kind, language, moment=BEFORE, mails=mails)
                        head = mail.as_bytes(policy=policy).split(b"\r\n\r\n")[0]
                        assert re.search(rb"^Subject: \S", head, re.MULTILINE), head
                        assert message_from_bytes(head, policy=SMTP)["Subject"] == mail["Subject"]


@pytest.mark.parametrize(
    ("language", "minutes"),
    [("en", "five minutes"), ("nl", "vijf minuten"), ("fr", "cinq minutes"), ("de", "fünf Minuten")],
)
def test_mails_say_one_time_that_the_set_up_takes(language: str, minutes: str) -> None:
    """The portal says the same: `test_the_set_up_takes_as_long_as_the_announcement_says`."""
    not_enrolled = {"is_enrolled": False}
    for mail in (
        write(NoticeKind.ANNOUNCEMENT, language, moment=BEFORE),
        write(NoticeKind.PASSWORD_ALONE_REFUSED, language, not_enrolled),
    ):
        for words in both(mail):
            assert re.findall(r"\S+ [Mm]inut(?:es|en)\b", words) == [minutes]


def test_announcement_says_that_it_takes_effect_at_once_for_who_sets_it_up() -> None:
    at_once = "as soon as your authenticator app is connected, mail apps that have your password alone stop working"
    for words in both(write(NoticeKind.ANNOUNCEMENT, moment=BEFORE)):
        assert at_once in words
    assert at_once not in both(write(NoticeKind.ANNOUNCEMENT, moment=AFTER))[0], "they stopped long ago"


def test_mail_with_recovery_codes_says_what_the_page_says_of_keeping_them() -> None:
    for words in both(write(NoticeKind.RECOVERY_CODES)):
        assert "Print or copy the codes" in words
        assert "apart from your mailbox. Then delete this mail" in words
