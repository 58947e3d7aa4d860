"""`mailauth import`: authenticators of other software go on working here. EST12, EST13.

Files are made by the software itself where Debian has it: google-authenticator(1), oathtool(1). Tables are of the
shape that each panel's migrations make; Modoboa's are django-otp's.
"""

import base64
import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailauth.edges.cli.main import cli
from mailauth.effects.imports import APP_PASSWORD_FORMATS
from mailauth.vocabulary.model import USUAL, TotpParameters
from tests.cases import case
from tests.estates.factors import APP_PASSWORDS, PANELS, SEED, WRITTEN, export, field
from tests.integration.cli.conftest import CommandLine

OTHER = base64.b32encode(b"another secret of 20").decode()
PASSWORD = "correct horse"


def oathtool(mailauth: CommandLine, written: str, parameters: TotpParameters = USUAL) -> str:
    """Return the code that this moment has, by another implementation."""
    now = f"{mailauth.clock():%Y-%m-%d %H:%M:%S} UTC"
    words = [f"--totp={parameters.algorithm}", f"--digits={parameters.digits}", f"--now={now}"]
    done = subprocess.run(
        ["oathtool", *words, f"--time-step-size={parameters.period_s}", "--base32", written],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def logs_in(mailauth: CommandLine, name: str, code: str) -> bool:
    words = ["--config", str(mailauth.config), "check", name, "--json"]
    found = json.loads(CliRunner().invoke(cli, words, input=PASSWORD + code).stdout)
    assert found["verdict"] in ("granted", "denied")
    return bool(found["verdict"] == "granted")


@pytest.fixture
def people(mailauth: CommandLine) -> CommandLine:
    for name in ("anna", "bob", "carol", "dora"):
        mailauth.run("account", "add", name, stdin=PASSWORD)
    return mailauth


def made_by_google_authenticator(home: Path, *words: str) -> str:
    """Let the tool make somebody's file; return the secret in it."""
    home.mkdir(parents=True)
    path = home / ".google_authenticator"
    subprocess.run(
        ["google-authenticator", "-f", "-q", "-C", "-Q", "NONE", "-s", str(path), *words],
        check=True,
        capture_output=True,
        env={**os.environ, "HOME": str(home)},
    )
    return path.read_text().splitlines()[0]


def test_homes_of_google_authenticator_are_taken_without_what_makes_guessing_easy(
    people: CommandLine, tmp_path: Path
) -> None:
    homes = tmp_path / "home"
    anna = made_by_google_authenticator(homes / "anna", "-t", "-d", "-u", "-w", "17")
    made_by_google_authenticator(homes / "mailitwize.be" / "bob", "-t", "-d", "-u", "-W", "-S", "60")
    made_by_google_authenticator(homes / "carol", "-c", "-u", "-w", "3")
    made_by_google_authenticator(homes / "nobody", "-t", "-d", "-u", "-W")
    scratch = (homes / "anna" / ".google_authenticator").read_text().split()[-1]
    result = people.run("import", "google-authenticator", str(homes), "--dry-run", code=1)
    assert "authenticators: 2 would be taken, 0 there already, 2 refused" in result.stdout
    assert "not taken: its window of 17 codes, 5 codes to scratch" in result.stdout
    assert not people.json("account", "show", "anna")["enrolled"]
    result = people.run("import", "google-authenticator", str(homes), code=1)
    assert "authenticators: 2 taken, 0 there already, 2 refused" in result.stdout
    assert "taken: bob@mailitwize.be" in result.stdout
    assert "6 digits, 60 s, SHA1" in result.stdout
    assert "it counts (HOTP)" in result.stderr
    assert "nobody@mailitwize.be" in result.stderr
    assert "there is no such account" in result.stderr
    assert anna not in result.stdout + result.stderr
    assert people.json("outbox", "list") == [], "nobody is mailed about it"
    assert not logs_in(people, "anna", "")
    assert not logs_in(people, "anna", scratch)
    assert logs_in(people, "anna", oathtool(people, anna))
    assert not logs_in(people, "anna", oathtool(people, anna)), "once"
    again = people.run("import", "google-authenticator", str(homes), code=1)
    assert "authenticators: 0 taken, 2 there already, 2 refused" in again.stdout


def test_home_that_leads_elsewhere_is_not_read(people: CommandLine, tmp_path: Path) -> None:
    """A user's own folder: a link or a pipe there is no way to what only root may read, nor to stop the rest."""
    made_by_google_authenticator(tmp_path / "root", "-t", "-d", "-u", "-W")
    secret = tmp_path / "root" / ".google_authenticator"
    homes = tmp_path / "home"
    for name in ("anna", "bob", "carol", "dora"):
        (homes / name).mkdir(parents=True)
    (homes / "anna" / ".google_authenticator").symlink_to(secret)
    os.link(secret, homes / "bob" / ".google_authenticator")
    os.mkfifo(homes / "carol" / ".google_authenticator")
    (homes / "dora" / ".google_authenticator").write_bytes(b"\xff\xfe" * 40)
    result = people.run("import", "google-authenticator", str(homes), code=1)
    assert "authenticators: 0 taken, 0 there already, 4 refused" in result.stdout


def test_usersfile_of_pam_oath_is_taken(people: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "users.oath"
    file.write_text(
        "# made by hand, as its manual says\n\n"
        f"HOTP/T30/6\tanna\t-\t{SEED.hex()}\n"
        f"HOTP/T60/8 bob 1234 {SEED.hex().upper()} 0 123456 2024-01-01T00:00:00L\n"
        f"HOTP/E/6 carol - {SEED.hex()}\n"
        f"HOTP/T30/7 dora - {SEED.hex()}\n"
        "HOTP/T30 dora\n"
    )
    result = people.run("import", "pam-oath", str(file), code=1)
    assert "authenticators: 2 taken, 0 there already, 3 refused" in result.stdout
    assert "8 digits, 60 s, SHA1; not taken: its PIN" in result.stdout
    for words in ("line 5): it counts", "7 digits; 6 or 8", "line 7): this is no line"):
        assert words in result.stderr, result.stderr
    assert logs_in(people, "anna", oathtool(people, WRITTEN))
    parameters = TotpParameters(8, 60)
    code = oathtool(people, WRITTEN, parameters)
    assert not logs_in(people, "bob", code[-6:])
    assert logs_in(people, "bob", f"{code[:4]} {code[4:]}")
    people.clock.advance(seconds=61)
    assert logs_in(people, "bob", oathtool(people, WRITTEN, parameters))


def test_key_uris_are_taken_with_their_parameters(people: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "uris.csv"
    of = f"otpauth://totp/Hoster:them?secret={WRITTEN}"
    file.write_text(
        f'Account,URI\nanna,{of}&digits=8&algorithm=SHA256\nbob,{of}&algorithm=SHA512\n"carol","{of}&period=60"\n,\n'
    )
    parameters = {
        "anna": TotpParameters(8, 30, "SHA256"),
        "bob": TotpParameters(6, 30, "SHA512"),
        "carol": TotpParameters(6, 60, "SHA1"),
    }
    found = people.json("import", "otpauth", str(file))
    assert (found["authenticators"]["taken"], found["authenticators"]["refused"]) == (3, 0)
    assert [each["what"] for each in found["rows"]] == [str(each) for each in parameters.values()]
    for name, each in parameters.items():
        with case(name):
            assert not logs_in(people, name, oathtool(people, OTHER, each))
            assert logs_in(people, name, oathtool(people, WRITTEN, each))
    listed = tmp_path / "uris.txt"
    listed.write_text(f"\n{of.replace('them', 'dora')}\notpauth://hotp/them?secret={WRITTEN}&counter=1\n")
    assert (
        "authenticators: 1 taken, 0 there already, 1 refused"
        in people.run("import", "otpauth", str(listed), code=1).stdout
    )


def test_picture_of_an_export_is_read(people: CommandLine, tmp_path: Path) -> None:
    """By zbar, as a phone would show it; the QR code is made by segno, which draws those of the portal."""
    import segno

    picture = tmp_path / "export.png"
    message = field(1, SEED) + field(2, b"Hoster:anna@mailitwize.be") + field(4, 1) + field(5, 1) + field(6, 2)
    segno.make(export(message).strip(), error="l").save(str(picture), scale=4, border=4)
    assert people.json("import", "otpauth-migration", str(picture))["authenticators"]["taken"] == 1
    assert logs_in(people, "anna", oathtool(people, WRITTEN))


def test_tokens_of_privacyidea_are_taken(people: CommandLine, tmp_path: Path) -> None:
    """Lines of the form that `privacyidea-token-janitor find export --csv` of 3.14 prints, by its source."""
    file = tmp_path / "tokens.csv"
    file.write_text(
        f"anna@mailitwize.be, TOTP0001, {SEED.hex()}, totp, 6, 30\n"
        f"bob@mailitwize.be, TOTP0002, {WRITTEN}, totp, 8, 60\n"
        f"carol@mailitwize.be, OATH0001, {SEED.hex()}, hotp, 6\n"
        f"n/a, TOTP0003, {SEED.hex()}, totp, 6, 30\n"
        "dora@mailitwize.be, TOTP0004\n"
    )
    result = people.run("import", "privacyidea", str(file), code=1)
    assert "authenticators: 2 taken, 0 there already, 3 refused" in result.stdout
    assert logs_in(people, "anna", oathtool(people, WRITTEN))
    assert logs_in(people, "bob", oathtool(people, WRITTEN, TotpParameters(8, 60)))


@pytest.mark.parametrize("panel", PANELS)
def test_second_factors_of_a_panel_are_taken_from_its_tables(people: CommandLine, tmp_path: Path, panel: str) -> None:
    file = tmp_path / "panel.sqlite"
    connection = sqlite3.connect(file)
    for statement in PANELS[panel]:
        connection.execute(statement)
    connection.commit()
    connection.close()
    (tmp_path / "url").write_text(f"sqlite:///{file}\n")
    only = ("--only", "authenticators") if panel in APP_PASSWORD_FORMATS else ()
    result = people.run("import", panel, str(tmp_path / "url"), *only, code=1)
    assert "taken: anna@mailitwize.be" in result.stdout
    assert "\nauthenticators: 1 taken, 0 there already, " in result.stdout
    assert "refused: bob@mailitwize.be" in result.stderr
    assert WRITTEN not in result.stdout + result.stderr
    assert "9f8a7b" not in result.stdout + result.stderr
    assert logs_in(people, "anna", oathtool(people, WRITTEN))
    assert people.json("import", panel, f"sqlite:///{file}", *only, code=1)["authenticators"]["there_already"] == 1


def test_place_that_cannot_be_read_is_told(people: CommandLine, tmp_path: Path) -> None:
    empty = tmp_path / "empty.sqlite"
    sqlite3.connect(empty).close()
    for words, why in (
        (("mailcow", f"sqlite:///{empty}"), "no such table: tfa"),
        (("mailcow", "sqlite:////nowhere/db"), "cannot be asked"),
        (("mailcow", "/nowhere/url"), "No such file"),
        (("pam-oath", "/nowhere/users.oath"), "No such file"),
        (("pam-oath", str(tmp_path)), "no plain file"),
        (("google-authenticator", "/nowhere"), "neither a folder of homes nor a file"),
        (("otpauth", "/dev/zero"), "no plain file"),
        (("otpauth-migration", f"{tmp_path}/none.png"), "is no file"),
    ):
        with case(words):
            assert why in people.run("import", *words, code=1).stderr
    assert "Invalid value for" in people.run("import", "lastpass", "x", code=2).stderr


def test_names_from_elsewhere_do_nothing_to_the_terminal(people: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "uris"
    file.write_text(f"otpauth://totp/x%1b%5d0;title%07?secret={WRITTEN}\n")
    assert "\x1b" not in people.run("import", "otpauth", str(file), code=1).stderr
    folder = tmp_path / "homes" / "a\x1b[2Jb"
    folder.mkdir(parents=True)
    (folder / ".google_authenticator").write_text("x\n")
    result = people.run("import", "google-authenticator", str(tmp_path / "homes"), code=1)
    assert "\x1b" not in result.stderr
    assert "a\\x1b[2Jb" in result.stderr


def test_owner_is_told_when_that_is_wanted_and_may_undo_it(
    make_mailauth: Callable[..., CommandLine], tmp_path: Path
) -> None:
    mailauth = make_mailauth()
    mailauth.run("account", "add", "anna", stdin=PASSWORD)
    file = tmp_path / "uris"
    file.write_text(f"otpauth://totp/anna?secret={WRITTEN}\n")
    mailauth.run("import", "otpauth", str(file), "--notify", "--issue-recovery")
    kinds = sorted(each["kind"] for each in mailauth.json("outbox", "list"))
    assert kinds == ["authenticator-set", "recovery-codes"]
    assert mailauth.json("account", "show", "anna")["recovery_codes_left"] > 0


def test_who_has_another_authenticator_keeps_it(people: CommandLine, tmp_path: Path) -> None:
    emma = people.enrol("emma")
    file = tmp_path / "uris"
    file.write_text(f"otpauth://totp/emma?secret={WRITTEN}\notpauth://totp/anna?secret={OTHER}\n")
    result = people.run("import", "otpauth", str(file), code=1)
    assert "it has another authenticator by now" in result.stderr
    people.clock.now += timedelta(seconds=60)
    assert logs_in(people, "emma", emma.code(people.clock()))
    assert not logs_in(people, "emma", oathtool(people, WRITTEN))
    assert logs_in(people, "anna", oathtool(people, OTHER))


@pytest.mark.parametrize("panel", APP_PASSWORDS)
def test_app_passwords_of_a_panel_are_taken_from_its_tables(people: CommandLine, tmp_path: Path, panel: str) -> None:
    file = tmp_path / "panel.sqlite"
    connection = sqlite3.connect(file)
    for statement in APP_PASSWORDS[panel]:
        connection.execute(statement)
    connection.commit()
    connection.close()
    words = ("import", panel, f"sqlite:///{file}", "--only", "app-passwords")
    assert "app passwords: 1 would be taken" in people.run(*words, "--dry-run", code=1).stdout
    assert people.json("app-password", "list", "anna") == []
    result = people.run(*words, code=1)
    assert "app passwords: 1 taken, 0 there already, " in result.stdout
    assert "from-elsewhere" not in result.stdout + result.stderr
    assert "bob@mailitwize.be" in result.stderr
    (listed,) = people.json("app-password", "list", "anna")
    assert listed["name"] == "phone"
    at_home = ("--service", "imap", "--ip", "127.0.0.1")
    assert people.check("anna", "from-elsewhere", *at_home)["credential"] == "app-password"
    assert people.check("anna", "switched-off", *at_home, code=1)["verdict"] == "denied"
    assert people.json(*words, code=1)["app-passwords"]["there_already"] == 1
    people.run("app-password", "revoke", "anna", str(listed["id"]))
    people.run(*words, code=1)
    assert people.check("anna", "from-elsewhere", *at_home, code=1)["verdict"] == "denied"


def test_kind_that_a_format_does_not_have_is_told(people: CommandLine) -> None:
    result = people.run("import", "pam-oath", "/nowhere", "--only", "app-passwords", code=2)
    assert "pam-oath has no app passwords" in result.stderr
