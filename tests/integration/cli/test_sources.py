"""`config check` on password sources, `directory`, and `account move`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.estates.places import passwd_file, sqlite
from tests.integration.cli.conftest import CommandLine

ANNA = "anna@hoster.example"


def test_check_names_what_of_a_source_cannot_work(make_mailauth: Callable[..., CommandLine], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/panel.sqlite"
    mailauth = make_mailauth()
    for section, words in (
        (f'kind="sql",url="{url}",lookup="SELECT 1 WHERE :name"', "the query has :name"),
        (f'kind="sql",url="{url}",preset="cpanel"', "there is no preset 'cpanel'"),
        ('kind="sql",url="oracle+x://h/d",preset="postfixadmin"', "there is no kind of database"),
        ('kind="sql",url_file="/nowhere/url",preset="postfixadmin"', "/nowhere/url cannot be read"),
        ('kind="ldap",url="ldaps://h",base="dc=h",bind_password_file="/nowhere/pw"', "/nowhere/pw cannot be read"),
    ):
        mailauth.run("config", "set", f"sources=[{{{section}}}]", code=0)
        result = mailauth.run("config", "check", code=1)
        assert f"sources[1]: {words}" in result.stderr, section
        result = mailauth.run("account", "list", code=1)
        assert words in result.stderr, "and whatever else needs it says so as well"


def test_check_warns_of_a_source_that_is_away_and_proposes_a_floor(
    make_mailauth: Callable[..., CommandLine], tmp_path: Path
) -> None:
    place = passwd_file(tmp_path)
    mailauth = make_mailauth(f"sources=[{{{place.section}}}]")
    result = mailauth.run("config", "check")
    assert "server.refusal_floor_ms: is 0" in result.stderr
    assert "sources[1]" not in result.stderr
    (tmp_path / "users").unlink()
    result = mailauth.run("config", "check", "--json")
    warnings = {each["place"]: each["problem"] for each in json.loads(result.stdout)["warnings"]}
    assert "cannot be read" in warnings["sources[1]"]


def test_check_shows_the_new_form_of_the_older_one(make_mailauth: Callable[..., CommandLine]) -> None:
    mailauth = make_mailauth('password.source="pam"', "password.pam_service=other")
    result = mailauth.run("config", "check")
    assert '[[sources]] with kind = "pam", service = "other"' in result.stderr


def test_directory_is_followed_from_the_command_line(
    make_mailauth: Callable[..., CommandLine], tmp_path: Path
) -> None:
    place = sqlite(tmp_path)
    for number in range(30):
        place.put(f"user{number}@hoster.example", "password")
    mailauth = make_mailauth(f'sources=[{{name="panel",{place.section}}}]')
    assert "no source was listed yet" in mailauth.run("directory", "status").stdout
    assert "30 would be added" in mailauth.run("directory", "sync", "--dry-run").stdout
    assert mailauth.run("account", "list").stdout.startswith("no accounts")
    assert "30 added" in mailauth.run("directory", "sync").stdout
    assert "30 unchanged" in mailauth.run("directory", "sync").stdout
    for number in range(20):
        place.drop(f"user{number}@hoster.example")
    result = mailauth.run("directory", "sync", code=1)
    assert "HELD BACK: 20 of 30 accounts of hoster.example are not listed any more at panel" in result.stdout
    (command,) = {
        line.partition("If that is meant: ")[2] for line in result.stdout.splitlines() if "If that is" in line
    }
    assert "20 disabled, not listed any more" in mailauth.run(*command.split()[1:]).stdout
    result = mailauth.run("directory", "sync", "--json")
    assert json.loads(result.stdout)[0]["unchanged"] == 10
    assert "panel" in mailauth.run("directory", "status").stdout
    (tmp_path / "panel.sqlite").unlink()
    assert "cannot be asked" in mailauth.run("directory", "sync", code=75).stderr


def test_accounts_of_a_source_that_got_another_name_are_told_of_and_moved_together(
    make_mailauth: Callable[..., CommandLine], tmp_path: Path
) -> None:
    place = sqlite(tmp_path)
    for number in range(3):
        place.put(f"user{number}@hoster.example", "password")
    mailauth = make_mailauth(f'sources=[{{name="panel",{place.section}}}]')
    mailauth.run("directory", "sync")
    mailauth.run("config", "set", f'sources=[{{name="tables",{place.section}}}]')
    assert "3 accounts belong to the source panel, which is not there" in mailauth.run("config", "check").stderr
    for words in (
        ("user0@hoster.example", "tables", "--all-of", "panel"),
        ("--all-of", "tables", "tables"),
        ("tables",),
    ):
        assert "either ACCOUNT SOURCE, or --all-of" in mailauth.run("account", "move", *words, code=2).stderr
    assert "3 accounts belonged to panel" in mailauth.run("account", "move", "--all-of", "panel", "tables").stdout
    assert "belong to the source" not in mailauth.run("config", "check").stderr
    assert "3 updated" in mailauth.run("directory", "sync").stdout


def test_names_and_existence_of_a_sources_accounts_are_its_own(
    make_mailauth: Callable[..., CommandLine], tmp_path: Path
) -> None:
    place = sqlite(tmp_path)
    place.put(ANNA, "password")
    mailauth = make_mailauth(f'sources=[{{name="panel",{place.section}}}]')
    mailauth.run("directory", "sync")
    assert f"{ANNA} is called so by panel" in mailauth.run("account", "rename", ANNA, "bert", code=1).stderr
    assert "while panel has it, it comes back" in mailauth.run("account", "remove", ANNA, "--yes").stderr
    assert "1 added" in mailauth.run("directory", "sync").stdout


def test_account_that_its_source_has_disabled_is_not_said_to_be_enabled(
    make_mailauth: Callable[..., CommandLine], tmp_path: Path
) -> None:
    place = sqlite(tmp_path)
    place.put(ANNA, "password", active=False)
    mailauth = make_mailauth(f'sources=[{{name="panel",{place.section}}}]')
    mailauth.run("directory", "sync")
    assert "disabled by its password source, panel" in mailauth.run("explain", ANNA).stdout
    result = mailauth.run("account", "enable", ANNA)
    assert "panel has it disabled as well" in result.stderr
    place.put(ANNA, "password")
    mailauth.run("directory", "sync")
    assert "disabled" not in mailauth.run("explain", ANNA).stdout


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--source", "other"), "there is no source other that can be listed; there are: panel"),
        (("--accept-removals", "hoster.example"), "--accept-removals and --count belong together"),
        (("--accept-removals", "hoster.example", "--count", "3"), "0 accounts of hoster.example are not listed"),
    ],
)
def test_wrong_use_of_sync_is_told(
    make_mailauth: Callable[..., CommandLine], tmp_path: Path, words: tuple[str, ...], problem: str
) -> None:
    place = sqlite(tmp_path)
    place.put(ANNA, "password")
    mailauth = make_mailauth(f'sources=[{{name="panel",{place.section}}}]')
    code = 2 if "belong" in problem else 75
    result = mailauth.run("directory", "sync", *words, code=code)
    assert problem in result.stderr


def test_account_moves_to_another_source_and_keeps_what_it_has(
    make_mailauth: Callable[..., CommandLine], tmp_path: Path
) -> None:
    place = sqlite(tmp_path)
    place.put(ANNA, "password")
    mailauth = make_mailauth(f'sources=[{{kind="own",on_unknown="next"}},{{name="panel",{place.section}}}]')
    mailauth.run("directory", "sync")
    assert (
        "there is no source other; there are: own, panel"
        in mailauth.run("account", "move", ANNA, "other", code=1).stderr
    )
    result = mailauth.run("account", "password", ANNA, stdin="another password", code=1)
    assert f"the password of {ANNA} is kept by panel" in result.stderr
    assert "belonged to panel" in mailauth.run("account", "move", ANNA, "own").stdout
    mailauth.run("account", "password", ANNA, stdin="another password")
