"""A configuration with mistakes reports every one of them, each with its place; POL1: no date, no start."""

import pytest
from tomlkit.exceptions import TOMLKitError

from mailauth.effects import password_schemes
from mailauth.effects.configuration.loading import parse
from mailauth.effects.configuration.schema import MAX_ARGON2_WORK_KIB, Configuration
from mailauth.vocabulary.errors import InvalidConfiguration, Mistake
from mailauth.vocabulary.languages import LANGUAGES
from tests.cases import case
from tests.world import completed

DATE = '[cutover]\ndate = "2025-05-05T00:00 Europe/Brussels"\n'


def _completed(text: str) -> str:
    try:
        return completed(text)
    except (TOMLKitError, TypeError):
        return text


def mistakes(text: str) -> dict[str, str]:
    with pytest.raises(InvalidConfiguration) as refused:
        parse(_completed(text), "test.toml")
    assert refused.value.source == "test.toml"
    found = {mistake.place: mistake.problem for mistake in refused.value.mistakes}
    assert len(found) == len(refused.value.mistakes)
    return found


def test_five_mistakes_report_five_each_with_its_place() -> None:
    found = mistakes(
        """
        [provider]
        nmae = "Mail-IT-Wize"
        url = "mailitwize"
        [cutover]
        date = "5 May"
        [server]
        deadline_s = 0.5
        [[server.socket]]
        path = "relative.sock"
        """
    )
    assert found == {
        "provider.url": "not a web address; write it as https://www.example.org/2fa",
        "provider.nmae": "no such key (`mailauth config describe` lists all)",
        "cutover.date": "not a time: '5 May'; write it as \"2025-05-05T00:00 Europe/Brussels\"",
        "server.deadline_s": "input should be greater than or equal to 1",
        "server.socket[1].path": "an absolute path is needed",
    }


def test_all_mistakes_stand_in_the_error_itself() -> None:
    error = InvalidConfiguration("f.toml", (Mistake("a.b", "is missing"), Mistake("c", "is odd")))
    assert str(error) == "f.toml: a.b: is missing; c: is odd"


@pytest.mark.parametrize("text", ["", "[provider]\nname = 'x'\n"])
def test_missing_cutover_refuses_to_start(text: str) -> None:
    """POL1."""
    assert "is missing, and has no default" in mistakes(text).pop("cutover.date")


def test_missing_date_refuses_to_start() -> None:
    """POL1."""
    assert list(mistakes("[cutover]\n")) == ["cutover.date"]


def test_file_that_relied_on_defaults_of_another_provider_is_told_what_to_set() -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        parse(DATE, "old.toml")
    found = {mistake.place: mistake.problem for mistake in refused.value.mistakes}
    assert set(found) == {"provider.name", "provider.support", "provider.url", "mail.sender"}
    assert found["provider.url"] == (
        "is missing, and has no default; give your own, all that are missing at once, by: "
        "mailauth config set 'provider.url=https://www.example.org/2fa'"
    )


def test_the_rest_follows_from_the_domain_of_the_provider() -> None:
    def read(*extra: str) -> Configuration:
        return parse(completed(DATE + "".join(extra)), "x")

    ours = read('[provider]\nsupport = "help@hoster.example"\n')
    assert ours.accounts.default_domain == "hoster.example"
    assert (ours.portal.url, ours.portal.imap) == ("https://2fa.hoster.example", "imap.hoster.example:993")
    ours = read('[accounts]\ndefault_domain = "customers.example"\n[portal]\nsmtp = "out.example:465"\n')
    assert ours.accounts.default_domain == "customers.example"
    assert (ours.portal.imap, ours.portal.smtp) == ("imap.customers.example:993", "out.example:465")


def test_unparsable_cutover_refuses_to_start() -> None:
    """POL1."""
    for date in (
        '""',
        '"soon"',
        '"2025-05-05"',
        '"2025-05-05T00:00"',
        '"2025-03-30T02:30 Europe/Brussels"',
        "20250505",
        "true",
        "2025-05-05",
        "2025-05-05T00:00:00",
        "[]",
    ):
        with case(date):
            assert list(mistakes(f"[cutover]\ndate = {date}\n")) == ["cutover.date"]


@pytest.mark.parametrize("date", ["2025-05-05T00:00:00+02:00", "2025-05-04T22:00:00Z", "2025-05-04 22:00:00Z"])
def test_date_may_be_a_toml_time_with_an_offset(date: str) -> None:
    """`mailauth init --set cutover.date=2025-05-05T00:00:00+02:00` is TOML, and so is the file without quotes."""
    moment = parse(completed(f"[cutover]\ndate = {date}\n"), "x").cutover.policy().dates[0]
    assert moment.timestamp() == 1746396000


def test_unknown_keys_are_refused() -> None:
    """A misspelt key would silently not be in force."""
    for text, place in (
        ("surprise = 1\n" + DATE, "surprise"),
        (DATE + "[surprise]\nx = 1\n", "surprise"),
        (DATE + "Date = 1\n", "cutover.Date"),
        (DATE + "[password.argon2]\nmemory = 1\n", "password.argon2.memory"),
        (DATE + '[server]\nsocket = [{path = "/a"}, {path = "/b", owner = "x"}]\n', "server.socket[2].owner"),
    ):
        with case(text, place):
            assert mistakes(text) == {place: "no such key (`mailauth config describe` lists all)"}


def test_language_that_is_not_spoken_is_refused_with_those_that_are() -> None:
    found = mistakes(DATE + '[provider]\nlanguage = "eo"\n')
    assert found == {"provider.language": f"no language that mailauth speaks; one of {', '.join(LANGUAGES)}"}


def test_value_out_of_place_is_refused_at_its_place() -> None:
    """Strict: a number in quotes is no number, true is no 1."""
    for section, key, value in (
        ("provider", "name", "1"),
        ("provider", "name", '""'),
        ("provider", "name", '"Mail:IT"'),
        ("provider", "name", '"two\\nlines"'),
        ("provider", "name", f'"{"x" * 65}"'),
        ("provider", "support", "[]"),
        ("provider", "support", '"help"'),
        ("provider", "support", '"https://www.example.org/help"'),
        ("provider", "url", '"ftp://x.example"'),
        ("provider", "url", '"https://"'),
        ("provider", "url", '"https://x.example/a b"'),
        ("provider", "url", f'"https://x.example/{"a" * 160}"'),
        ("accounts", "default_domain", '"not a domain"'),
        ("accounts", "default_domain", '"a@b.example"'),
        ("database", "url", '"postgresql://x/y"'),
        ("database", "url", '"sqlite://"'),
        ("database", "url", '"sqlite:///"'),
        ("database", "url", '"sqlite:///:memory:"'),
        ("database", "url", '"sqlite:////var/lib/x.db?mode=memory"'),
        ("database", "url", '"sqlite:///file::memory:?cache=shared&uri=true"'),
        ("keys", "file", '""'),
        ("keys", "file", '"a\\u0000b"'),
        ("password.argon2", "time_cost", '"2"'),
        ("password.argon2", "time_cost", "0"),
        ("password.argon2", "time_cost", "21"),
        ("password.argon2", "time_cost", "2.0"),
        ("password.argon2", "time_cost", "true"),
        ("password.argon2", "memory_kib", "63"),
        ("password.argon2", "parallelism", "0"),
        ("password", "source", '"plain"'),
        ("refusal", "imap_code", '"alert"'),
        ("refusal", "imap_code", '"ALERT] x"'),
        ("refusal", "after", '""'),
        ("refusal", "after", '"{user} was wrong"'),
        ("refusal", "after", '"{0}"'),
        ("refusal", "after", '"{"'),
        ("refusal", "after", '"{url.x}"'),
        ("refusal", "after", '"[ALERT] {url}"'),
        ("refusal", "after", '"two\\r\\nlines"'),
        ("refusal", "before", f'"{"x" * 401}"'),
        ("server", "deadline_s", '"10"'),
        ("server", "deadline_s", "61"),
        ("server", "deadline_s", "nan"),
        ("server", "handshake_s", "0.0"),
        ("server", "idle_s", "inf_"),
        ("server", "max_connections", "0"),
        ("server", "socket", "[]"),
        ("server", "socket", '"/run/x"'),
        ("log", "level", '"INFO"'),
    ):
        with case(section, key, value):
            text = f"{DATE}[{section}]\n{key} = {value}\n"
            expected = "syntax" if value == "inf_" else f"{section}.{key}"
            assert list(mistakes(text)) == [expected]


def test_socket_with_a_mistake_is_refused_at_its_place() -> None:
    for key, value in (
        ("path", '"run/auth.sock"'),
        ("path", f'"/{"x" * 107}"'),
        ("mode", '"660"'),
        ("mode", '"0888"'),
        ("mode", '"0661"'),
        ("mode", '"00660"'),
        ("mode", "432"),
        ("group", "5"),
        ("allow_users", '"dovecot"'),
        ("allow_users", "[1]"),
    ):
        with case(key, value):
            path = "" if key == "path" else 'path = "/run/auth.sock"\n'
            found = mistakes(f"{DATE}[[server.socket]]\n{path}{key} = {value}\n")
            (place,) = found
            assert place.removesuffix("[1]").startswith("server.socket[1]")
            assert f".{key}" in place


def test_value_of_another_type_is_told_the_right_form() -> None:
    for section, key, value, words in (
        ("portal", "listen", "8425", 'text in quotes is needed, such as "unix:/run/mailauth/portal.sock"'),
        ("portal", "logo", "1", 'text in quotes is needed, such as "text"'),
        ("portal", "colour", '"red"', 'does not have the right form; write it as "#1d5b8f"'),
        ("limits", "trusted_networks", '"10.0.0.0/8"', 'a list is needed, such as ["127.0.0.0/8", "::1/128"]'),
        ("limits", "source_burst", '"60"', "a whole number without quotes is needed, such as 60"),
        ("server", "deadline_s", '"10"', "a number without quotes is needed, such as 10.0"),
        ("server", "socket", '"/run/x"', "a list is needed, such as [[server.socket]]"),
        ("server", "socket", '["/run/x"]', "a table is needed, whose keys `mailauth config describe` explains"),
    ):
        with case(section, key, value, words):
            assert list(mistakes(f"{DATE}[{section}]\n{key} = {value}\n").values()) == [words]


@pytest.mark.parametrize("text", ["[cutover", 'a = "', "date = 2025-05-05T00:00 Europe/Brussels", "a = 1\na = 2\n"])
def test_what_is_no_toml_is_one_mistake(text: str) -> None:
    found = mistakes(text)
    assert list(found) == ["syntax"]
    assert found["syntax"].startswith("not TOML: ")


def test_whole_numbers_stand_for_seconds_as_well() -> None:
    assert parse(completed(DATE + "[server]\ndeadline_s = 5\n"), "x").server.deadline_s == 5.0


def test_hashes_that_a_login_would_wait_for_too_long_are_refused() -> None:
    """What is made has to be checked, by the same bound."""
    assert MAX_ARGON2_WORK_KIB == password_schemes.MAX_ARGON2_WORK_KIB
    section = f"{DATE}[password.argon2]\nmemory_kib = 262144\ntime_cost = "
    assert parse(_completed(f"{section}4\n"), "test.toml").password.argon2.time_cost == 4
    assert "1048576 at most" in mistakes(f"{section}5\n")["password.argon2"]
