"""The languages: choosing one, dates in each, and that no sentence is left untranslated."""

import re
import string
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from mailauth.effects.languages import LOCALE, Languages
from mailauth.vocabulary.languages import LANGUAGES, SOURCE

ROOT = Path(__file__).parents[2]
TRANSLATED = [language for language in LANGUAGES if language != SOURCE]
BRUSSELS = ZoneInfo("Europe/Brussels")
AN_EVENING = datetime(2025, 5, 6, 23, 32, tzinfo=UTC)


def catalog(language: str) -> Catalog:
    with (LOCALE / language / "LC_MESSAGES" / "mailauth.po").open("rb") as file:
        return read_po(file, locale=language)


def sentences(of: Catalog) -> Iterator[Message]:
    return (message for message in of if message.id)


def identity(identifier: str | tuple[str, ...] | list[str]) -> str:
    """Return what a sentence is found by: its singular."""
    return identifier if isinstance(identifier, str) else identifier[0]


@pytest.fixture(scope="module")
def extracted() -> set[str]:
    """Every sentence in the code and in the templates, as `make messages` finds them."""
    with (ROOT / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)
    found = {identity(sentence) for _, _, sentence, _, _ in extract_from_dir(ROOT, methods, options)}
    assert len(found) > 100
    return found


@pytest.mark.parametrize("language", TRANSLATED)
def test_catalog_has_what_is_said_and_nothing_else(language: str, extracted: set[str]) -> None:
    """`make messages` brings in what is missing."""
    ours = catalog(language)
    known = {identity(message.id) for message in sentences(ours)}
    assert sorted(extracted - known) == []
    assert sorted(known - extracted) == []
    assert list(ours.obsolete) == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_is_translated(language: str) -> None:
    left = []
    for message in sentences(catalog(language)):
        words = message.string if isinstance(message.string, tuple) else (message.string,)
        if message.fuzzy or not all(each.strip() for each in words):
            left.append(message.id)
    assert left == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_translation_has_the_placeholders_of_the_sentence(language: str) -> None:
    wrong = []
    for message in sentences(catalog(language)):
        plural = message.id if isinstance(message.id, tuple) else (message.id, message.id)
        translations = [
            str(words) for words in (message.string if isinstance(message.string, tuple) else (message.string,))
        ]
        for index, words in enumerate(translations):
            if words and placeholders(words) != placeholders(str(plural[min(index, 1)])):
                wrong.append((message.id, words))
    assert wrong == []


def placeholders(words: str) -> list[str]:
    braces = [name for _, name, _, _ in string.Formatter().parse(re.sub(r"%\(\w+\)|%", "", words)) if name]
    return sorted(set(re.findall(r"%\(\w+\)[sd]|%%", words))) + sorted(braces)


@pytest.mark.parametrize("language", TRANSLATED)
def test_translation_begins_and_ends_as_the_sentence_does(language: str) -> None:
    wrong = []
    for message in sentences(catalog(language)):
        identifier, words = message.id, message.string
        if not isinstance(identifier, str) or not isinstance(words, str) or not words:
            continue
        if identifier[-1:] == ":" and words[-1:] != ":":
            wrong.append(words)
        if (identifier[:1].isspace(), identifier[-1:].isspace()) != (words[:1].isspace(), words[-1:].isspace()):
            wrong.append(words)
    assert wrong == []


def test_french_has_a_no_break_space_before_its_high_punctuation() -> None:
    wrong = [
        words
        for message in sentences(catalog("fr"))
        for words in map(str, message.string if isinstance(message.string, tuple) else (message.string,))
        if re.search(r" [:;?!](\s|$)|\w[;?!](\s|$)", words)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("language", "familiar"),
    [("nl", r"\b(je|jij|jouw)\b"), ("fr", r"\b(tu|ton|ta|tes)\b"), ("de", r"\b(du|dein|deine|dir)\b")],
)
def test_translation_keeps_the_formal_address(language: str, familiar: str) -> None:
    wrong = [
        words
        for message in sentences(catalog(language))
        for words in map(str, message.string if isinstance(message.string, tuple) else (message.string,))
        if re.search(familiar, words, re.IGNORECASE)
    ]
    assert wrong == []


def test_catalogs_are_compiled_in_memory_and_once() -> None:
    languages = Languages()
    languages.load()
    assert not list(LOCALE.rglob("*.mo"))
    assert languages.translations("fr").gettext("Your recovery codes") == "Vos codes de récupération"
    assert languages.translations("fr") is Languages().translations("fr")


def test_language_that_is_not_spoken_here_is_the_providers() -> None:
    languages = Languages("nl")
    for language in (None, "es", ""):
        assert languages.translations(language).gettext("Your recovery codes") == "Uw herstelcodes"
    assert languages.translations("en").gettext("Your recovery codes") == "Your recovery codes"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("fr-BE,fr;q=0.9,nl;q=0.8,en;q=0.7", "fr"),
        ("es, de;q=0.3, nl;q=0.4", "nl"),
        ("NL", "nl"),
        ("de-AT", "de"),
        ("es,*;q=0.5", "en"),
        ("fr;q=0", "en"),
        ("nl;q=2, fr;q=x, de;level=1", "en"),
        (";;;,q=,=;q", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_browser_is_answered_in_what_it_asks_for(header: str | None, language: str) -> None:
    assert Languages().negotiate(header) == language


def test_choice_of_a_person_goes_before_the_browsers_wish() -> None:
    languages = Languages()
    assert languages.negotiate("fr", None, "de") == "de"
    assert languages.negotiate("fr", "xx", None) == "fr"
    assert languages.negotiate("fr", "nl", "de") == "nl"


@given(st.text(max_size=500), st.lists(st.none() | st.text(max_size=5), max_size=3))
def test_whatever_is_asked_for_the_answer_is_a_language_that_is_spoken_here(
    header: str, chosen: list[str | None]
) -> None:
    assert Languages("nl").negotiate(header, *chosen) in LANGUAGES


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "7 May 2025, 01:32 (Brussels time; 6 May 2025, 23:32 UTC)"),
        ("nl", "7 mei 2025, 01:32 (tijd in Brussel; 6 mei 2025, 23:32 UTC)"),
        ("fr", "7 mai 2025, 01:32 (heure à Bruxelles\u00a0; 6 mai 2025, 23:32 UTC)"),
        ("de", "7. Mai 2025, 01:32 (Zeit in Brüssel; 6. Mai 2025, 23:32 UTC)"),
    ],
)
def test_moment_is_said_in_the_providers_zone_and_in_utc(language: str, words: str) -> None:
    assert Languages().format_moment(AN_EVENING, language, BRUSSELS) == words


def test_moment_in_a_zone_without_a_place_is_said_by_its_clock() -> None:
    languages = Languages()
    in_two_hours = timezone(timedelta(hours=2))
    assert languages.format_moment(AN_EVENING, "en", in_two_hours) == "7 May 2025, 01:32 (6 May 2025, 23:32 UTC)"
    assert languages.format_moment(AN_EVENING, "en") == "6 May 2025, 23:32 UTC"
    assert languages.format_moment(AN_EVENING, "en", ZoneInfo("UTC")) == "6 May 2025, 23:32 UTC"


def test_same_day_in_utc_is_not_said_twice() -> None:
    noon = datetime(2025, 5, 6, 12, 32, tzinfo=UTC)
    assert Languages().format_moment(noon, "en", BRUSSELS) == "6 May 2025, 14:32 (Brussels time; 12:32 UTC)"


@pytest.mark.parametrize(
    ("language", "words"), [("en", "5 May 2025"), ("nl", "5 mei 2025"), ("fr", "5 mai 2025"), ("de", "5. Mai 2025")]
)
def test_date_is_that_of_the_zone(language: str, words: str) -> None:
    cutover = datetime(2025, 5, 5, tzinfo=BRUSSELS)
    assert Languages().format_date(cutover, language, BRUSSELS) == words
    assert Languages(language).format_date(cutover.astimezone(UTC), None, BRUSSELS) == words


@pytest.mark.parametrize(
    ("day", "words"),
    [(1, "1er janvier 2030"), (2, "2 janvier 2030"), (10, "10 janvier 2030"), (11, "11 janvier 2030")],
)
def test_first_of_a_month_is_an_ordinal_in_french(day: int, words: str) -> None:
    cutover = datetime(2030, 1, day, tzinfo=BRUSSELS)
    assert Languages().format_date(cutover, "fr", BRUSSELS) == words
    assert Languages().format_moment(cutover, "fr", BRUSSELS).startswith(words + ", 00:00 (heure à Bruxelles")


@pytest.mark.parametrize("language", LANGUAGES)
def test_moment_on_a_page_names_the_zone_alone(language: str) -> None:
    words = Languages().format_moment(AN_EVENING, language, BRUSSELS, with_utc=False)
    assert words in Languages().format_moment(AN_EVENING, language, BRUSSELS).replace("\u00a0", "").replace(";", ")")
    assert "UTC" not in words


def test_zone_without_a_name_is_told_by_utc_on_a_page_as_well() -> None:
    in_two_hours = timezone(timedelta(hours=2))
    words = Languages().format_moment(AN_EVENING, "en", in_two_hours, with_utc=False)
    assert words == "7 May 2025, 01:32 (6 May 2025, 23:32 UTC)"
