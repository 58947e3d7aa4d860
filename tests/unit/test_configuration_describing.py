"""The configuration explains itself, and the first file says what the defaults are."""

import tomllib
from collections.abc import Iterator

from mailauth.effects.configuration.loading import parse
from mailauth.effects.configuration.reference import describe, first_file
from tests.cases import case
from tests.world import PROVIDER, completed


def keys_of(value: object, place: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from keys_of(inner, f"{place}.{key}" if place else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield place
        yield from keys_of(value[0], f"{place}[]")
    else:
        yield place


def test_first_file_means_the_defaults() -> None:
    from_file = parse(first_file(PROVIDER), "first")
    date = f'[cutover]\ndate = "{PROVIDER["cutover.date"]}"\n'
    assert from_file == parse(completed(date), "required alone")


def test_first_file_explains_every_key_above_it() -> None:
    lines = first_file(PROVIDER).splitlines()
    for number, line in enumerate(lines):
        if line and not line.startswith(("#", "[")) and "[[" not in "".join(lines[max(0, number - 7) : number]):
            assert lines[number - 1].startswith("#"), line


def test_first_file_is_readable_on_a_terminal() -> None:
    assert max(map(len, first_file(PROVIDER).splitlines())) <= 120


def test_every_key_of_the_schema_is_described() -> None:
    described = {key.place for key in describe()}
    in_schema = set(keys_of(parse(first_file(PROVIDER), "first").model_dump()))
    assert in_schema <= described


def test_described_key_has_words_and_a_type() -> None:
    for key in describe():
        with case(key):
            assert key.description.strip()
            assert key.description == key.description.strip()
            assert key.type
            assert key.description.endswith((".", ")"))


def test_only_what_has_no_default_is_required() -> None:
    required = {key.place for key in describe() if key.default is None and "[]" not in key.place}
    assert required == set(PROVIDER)


def test_no_default_names_a_provider() -> None:
    """TXT4: a stranger's customers would be shown somebody else's name and link."""
    for key in describe():
        with case(key):
            assert "mailitwize" not in f"{key.default} {key.description}".lower()
            assert "mail-it-wize" not in f"{key.default} {key.description}".lower()
    for line in first_file(dict.fromkeys(PROVIDER, "mine")).splitlines():
        assert "mailitwize" not in line.lower()


def test_defaults_are_shown_as_they_would_be_written() -> None:
    by_place = {key.place: key for key in describe()}
    assert by_place["server.deadline_s"].default == "10.0"
    assert by_place["provider.name"].default is None
    assert by_place["refusal.imap_code"].type == '"ALERT" | "AUTHENTICATIONFAILED" | "UNAVAILABLE" | ""'
    assert by_place["password.argon2.memory_kib"].type == "whole number"
    assert by_place["server.deadline_s"].type == "number"
    for key in by_place.values():
        if key.default is not None and not key.type.startswith("list of tables"):
            tomllib.loads(f"x = {key.default}")
