"""The one text of every refusal: useful within 80 characters, the same for everybody, bracketed for IMAP only."""

from datetime import UTC, datetime, timedelta
from inspect import signature
from zoneinfo import ZoneInfo

import pytest

from mailauth.core.policy import Announced, CutOver, Policy
from mailauth.core.texts import AFTER, BEFORE, MAX_TEXT_BYTES, RefusalTexts
from mailauth.vocabulary.languages import LANGUAGES
from tests.cases import case

URL = "https://www.mailitwize.be/2fa"
POLICY = Policy(CutOver(datetime(2025, 5, 5, tzinfo=ZoneInfo("Europe/Brussels"))))
BEFORE_IT = datetime(2025, 5, 4, 21, 59, 59, tzinfo=UTC)
AT_IT = BEFORE_IT + timedelta(seconds=1)
DEFAULT = RefusalTexts("Mail-IT-Wize", URL, "ALERT")


def announced(now: datetime) -> Announced:
    return POLICY.announced("mailitwize.be", now)


def test_default_texts_are_the_golden_ones() -> None:
    assert DEFAULT.text("smtp", announced(AT_IT)) == (
        "Mail apps need an app password or password+code: https://www.mailitwize.be/2fa "
        "(two-factor authentication since 5 May 2025)"
    )
    assert DEFAULT.text("smtp", announced(BEFORE_IT)) == (
        "Wrong password, or password+code needed: https://www.mailitwize.be/2fa "
        "(two-factor authentication from 5 May 2025)"
    )


def test_own_words_are_said_in_the_providers_language() -> None:
    def said(language: str, now: datetime) -> str:
        return RefusalTexts("Mail-IT-Wize", URL, "ALERT", language=language).text("smtp", announced(now))

    assert said("nl", AT_IT) == (
        "Mailapps: app-wachtwoord of wachtwoord+code nodig: https://www.mailitwize.be/2fa "
        "(tweefactorauthenticatie sinds 5/05/2025)"
    )
    assert said("fr", AT_IT).endswith("(double authentification depuis le 5/05/2025)")
    assert said("de", BEFORE_IT).endswith("(Zwei-Faktor-Authentifizierung ab 5.05.2025)")
    assert len({said(language, now) for language in LANGUAGES for now in (BEFORE_IT, AT_IT)}) == 8


def test_providers_own_words_are_said_as_they_are_in_any_language() -> None:
    texts = RefusalTexts("P", URL, "", before="nog niet, {date}", after="{url}!", language="nl")
    assert texts.text("smtp", announced(AT_IT)) == f"{URL}!"
    assert texts.text("smtp", announced(BEFORE_IT)) == "nog niet, 5/05/2025"


def test_every_language_has_words_of_its_own() -> None:
    words = [each for language in LANGUAGES.values() for each in (language.refused_before, language.refused_after)]
    assert len(set(words)) == 2 * len(LANGUAGES)
    assert all(each.isascii() and "{url}" in each and "{date}" in each for each in words)


def test_link_stands_within_the_first_80_characters() -> None:
    for language in LANGUAGES:
        for now in (BEFORE_IT, AT_IT):
            with case(language, now):
                assert URL in RefusalTexts("P", URL, "ALERT", language=language).text("pop3", announced(now))[:80]


def test_text_is_one_line_that_fits_an_smtp_reply() -> None:
    for language in LANGUAGES:
        for now in (BEFORE_IT, AT_IT):
            for service in ("imap", "smtp", ""):
                with case(language, now, service):
                    text = RefusalTexts("Mail-IT-Wize", URL, "ALERT", language=language).text(service, announced(now))
                    assert text.isprintable()
                    assert text.isascii()
                    assert len(text.encode()) <= MAX_TEXT_BYTES < 512


def test_bracket_is_for_imap_only() -> None:
    for service in ("pop3", "smtp", "submission", "sieve", "managesieve", "portal", "", "IMAP"):
        with case(service):
            bare = DEFAULT.text(service, announced(AT_IT))
            assert not bare.startswith("[")
            assert DEFAULT.text("imap", announced(AT_IT)) == f"[ALERT] {bare}"


@pytest.mark.parametrize("code", ["AUTHENTICATIONFAILED", "UNAVAILABLE"])
def test_response_code_is_the_configured_one(code: str) -> None:
    texts = RefusalTexts("P", URL, code)
    assert texts.text("imap", announced(AT_IT)).startswith(f"[{code}] Mail apps")


def test_no_response_code_means_no_bracket() -> None:
    texts = RefusalTexts("P", URL, "")
    assert texts.text("imap", announced(AT_IT)) == texts.text("smtp", announced(AT_IT))


def test_text_knows_nothing_of_who_logs_in() -> None:
    """ENU1: the same for unknown, disabled, not enrolled, wrong password and wrong code."""
    assert list(signature(RefusalTexts.text).parameters) == ["self", "service", "announced"]


def test_text_changes_with_the_very_second_of_the_cutover_only() -> None:
    after = DEFAULT.text("smtp", announced(AT_IT))
    assert DEFAULT.text("smtp", announced(AT_IT + timedelta(days=999))) == after
    assert DEFAULT.text("smtp", announced(BEFORE_IT)) != after
    assert DEFAULT.text("smtp", announced(BEFORE_IT - timedelta(days=999))) == DEFAULT.text(
        "smtp", announced(BEFORE_IT)
    )


def test_own_words_are_filled_in() -> None:
    texts = RefusalTexts("Mail-IT-Wize", URL, "", before="{{b}} {date}", after="{provider} | {url} | {date}")
    assert texts.text("smtp", announced(AT_IT)) == f"Mail-IT-Wize | {URL} | 5 May 2025"
    assert texts.text("smtp", announced(BEFORE_IT)) == "{b} 5 May 2025"


def test_providers_own_words_go_out_in_ascii() -> None:
    """TXT3: clients need not read anything else in a reply, and Postfix shows a question mark for each other byte."""
    words = {
        "de": (
            "Fu\u0308r „Müller“ \u2013 ÄÖÜ äöü ß: {url} … 5\u00a0€",
            'Fuer "Mueller" - AeOeUe aeoeue ss: U ... 5 EUR',
        ),
        "fr": ("Réessayez d\u2019abord à l\u2019œuvre : {url}", "Reessayez d'abord a l'oeuvre : U"),
        "nl": ("Geïnd? Één {url}", "Geind? Een U"),
        "en": ("Na\u00efve caf\u00e9s, e\u0301 too: {url}", "Naive cafes, e too: U"),
    }
    for language, (written, said) in words.items():
        for service in ("imap", "smtp", "pop3", "sieve"):
            with case(language, service):
                text = RefusalTexts("P", "U", "", after=written, before=written, language=language)
                for now in (BEFORE_IT, AT_IT):
                    assert text.text(service, announced(now)) == said
    name = RefusalTexts("Почта Ünal", URL, "", after="{provider}", language="de").text("imap", announced(AT_IT))
    assert name == "????? Uenal"


def test_braces_in_the_provider_name_are_not_filled_in_again() -> None:
    texts = RefusalTexts("{url} {oops}", URL, "", after="{provider}")
    assert texts.text("smtp", announced(AT_IT)) == "{url} {oops}"


def test_both_default_words_name_link_and_date() -> None:
    for words in (BEFORE, AFTER):
        assert "{url}" in words
        assert "{date}" in words
