"""`mailauth totp`, `recovery` and `app-password`."""

import base64
import json
import os
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace

import pyotp
import pytest
from click.testing import CliRunner

from mailauth.core import alphabet
from mailauth.edges.cli import qr_codes
from mailauth.edges.cli.main import cli
from mailauth.vocabulary.model import AccountName
from tests.cases import case
from tests.integration.cli.conftest import CommandLine
from tests.world import Person


def begin(mailauth: CommandLine, name: str = "alice") -> Person:
    mailauth.run("account", "add", name, stdin="correct horse")
    begun = mailauth.json("totp", "enrol", name)
    return Person(AccountName(begun["account"]), "correct horse", base64.b32decode(begun["secret"]))


def test_enrolment_prints_the_promised_json(mailauth: CommandLine) -> None:
    """OTP2, OTP6."""
    mailauth.run("account", "add", "alice", stdin="pw")
    begun = mailauth.json("totp", "enrol", "ALICE")
    assert set(begun) == {"account", "secret", "uri"}
    assert begun["account"] == "alice@mailitwize.be"
    assert len(base64.b32decode(begun["secret"])) == 20
    read = pyotp.parse_uri(begun["uri"])
    assert (read.name, read.issuer, read.secret) == ("alice@mailitwize.be", "Mail-IT-Wize", begun["secret"])


def test_enrolment_shows_the_key_on_a_terminal_that_has_no_blocks(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    for encoding in ("ascii", "latin-1"):
        words = ["--config", str(mailauth.config), "totp", "enrol", "alice"]
        shown = CliRunner(charset=encoding).invoke(cli, words)
        assert shown.exit_code == 0, shown.exception
        assert "Type this key: " in shown.stdout
        assert "cannot show the QR code" in shown.stdout


def test_what_an_encoding_lacks_is_escaped_by_every_command(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "łukasz", stdin="pw")
    environment = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "latin-1", "LANG": "C"}

    def run(*words: str) -> bytes:
        command = [sys.executable, "-m", "mailauth", "--config", str(mailauth.config), *words]
        return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=True).stdout

    assert b"\\u0142ukasz@mailitwize.be" in run("account", "list")
    assert [one["name"] for one in json.loads(run("account", "list", "--json"))] == ["łukasz@mailitwize.be"]
    enrolled = run("totp", "enrol", "łukasz")
    assert b"Type this key: " in enrolled


def test_terminal_without_blocks_that_is_wide_enough_gets_the_picture_by_blanks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for columns, encoding, shown in ((200, "ascii", "\x1b"), (80, "ascii", ""), (80, "utf-8", "█"), (40, "utf-8", "")):
        terminal = SimpleNamespace(isatty=lambda: True, encoding=encoding)
        monkeypatch.setattr("mailauth.edges.cli.qr_codes.sys", SimpleNamespace(stdout=terminal))
        monkeypatch.setenv("COLUMNS", str(columns))
        picture = qr_codes.on_terminal(f"otpauth://totp/{'x' * 60}")
        assert (picture or "")[:1] == shown, (columns, encoding)


def test_enrolment_shows_a_qr_code_and_what_to_type(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    shown = mailauth.run("totp", "enrol", "alice").stdout
    assert "\N{LOWER HALF BLOCK}" in shown or "\N{UPPER HALF BLOCK}" in shown
    assert "mailauth totp confirm alice@mailitwize.be" in shown
    typed = shown.partition("Type this key: ")[2].splitlines()[0]
    assert len(typed.split()) == 8
    assert len(base64.b32decode(typed.replace(" ", ""))) == 20


def test_nothing_is_in_force_before_the_code_is_right(mailauth: CommandLine) -> None:
    mailauth.run("policy", "show")
    alice = begin(mailauth)
    assert not mailauth.json("account", "show", "alice")["enrolled"]
    wrong = mailauth.json("totp", "confirm", "alice", stdin="000000", code=1)
    assert wrong == {"account": "alice@mailitwize.be", "confirmed": False, "seconds_off": None}
    assert not mailauth.json("account", "show", "alice")["enrolled"]
    right = mailauth.json("totp", "confirm", "alice", stdin=alice.code(mailauth.clock()))
    assert right == {"account": "alice@mailitwize.be", "confirmed": True}
    assert mailauth.json("account", "show", "alice")["enrolled"]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_code_may_be_typed_as_the_app_shows_it(mailauth: CommandLine, ending: str) -> None:
    alice = begin(mailauth)
    code = alice.code(mailauth.clock())
    mailauth.run("totp", "confirm", "alice", stdin=f"{code[:3]} {code[3:]}{ending}")


@pytest.mark.parametrize("typed", ["", "\n", "  \n"])
def test_no_code_is_not_called_a_wrong_one(mailauth: CommandLine, typed: str) -> None:
    begin(mailauth)
    refused = mailauth.run("totp", "confirm", "alice", stdin=typed, code=1)
    assert "no code was given" in refused.stderr
    assert "wrong" not in refused.stderr


def test_confirmed_code_is_spent(mailauth: CommandLine) -> None:
    """OTP4."""
    alice = begin(mailauth)
    mailauth.run("totp", "confirm", "alice", stdin=alice.code(mailauth.clock()))
    spent = mailauth.check("alice", alice.password + alice.code(mailauth.clock()), code=1)
    assert spent["reason"] == "code-replayed"
    assert mailauth.check("alice", alice.password + alice.code(mailauth.clock(), 1))["verdict"] == "granted"


@pytest.mark.parametrize(("steps", "words"), [(5, "150 s ahead"), (-10, "300 s behind"), (2, "60 s ahead")])
def test_clock_that_is_off_is_told_by_how_much_and_not_accepted(mailauth: CommandLine, steps: int, words: str) -> None:
    """OTP7."""
    alice = begin(mailauth)
    refused = mailauth.run("totp", "confirm", "alice", stdin=alice.code(mailauth.clock(), steps), code=1)
    assert words in refused.stderr
    shown = mailauth.json("totp", "confirm", "alice", stdin=alice.code(mailauth.clock(), steps), code=1)
    assert shown["seconds_off"] == steps * 30
    assert not mailauth.json("account", "show", "alice")["enrolled"]


def test_clock_that_is_further_off_is_just_wrong(mailauth: CommandLine) -> None:
    alice = begin(mailauth)
    refused = mailauth.run("totp", "confirm", "alice", stdin=alice.code(mailauth.clock(), 11), code=1)
    assert "that code is wrong" in refused.stderr


def test_nothing_to_confirm_says_so(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    assert "begin one first" in mailauth.run("totp", "confirm", "alice", stdin="123456", code=1).stderr


@pytest.mark.parametrize(("seconds", "is_late"), [(0, False), (1, True)])
def test_enrolment_waits_an_hour_for_its_code(mailauth: CommandLine, seconds: int, is_late: bool) -> None:
    alice = begin(mailauth)
    mailauth.clock.now += timedelta(hours=1, seconds=seconds)
    mailauth.run("totp", "confirm", "alice", stdin=alice.code(mailauth.clock()), code=1 if is_late else 0)


def test_old_authenticator_works_until_the_new_one_is_proved(mailauth: CommandLine) -> None:
    """FAC3."""
    old = mailauth.enrol("alice")
    new = Person(old.name, old.password, base64.b32decode(mailauth.json("totp", "enrol", "alice")["secret"]))
    assert mailauth.check("alice", old.password + old.code(mailauth.clock()))["verdict"] == "granted"
    mailauth.run("totp", "confirm", "alice", stdin=new.code(mailauth.clock()))
    mailauth.clock.advance(seconds=60)
    assert mailauth.check("alice", old.password + old.code(mailauth.clock()), code=1)["reason"] == "code-wrong"
    assert mailauth.check("alice", new.password + new.code(mailauth.clock()))["verdict"] == "granted"


def test_reset_takes_authenticator_and_recovery_codes_away(mailauth: CommandLine) -> None:
    mailauth.enrol("alice")
    mailauth.run("recovery", "issue", "alice")
    mailauth.run("totp", "reset", "alice", stdin="n\n", code=1)
    assert mailauth.json("account", "show", "alice")["enrolled"]
    mailauth.run("totp", "reset", "alice", "--yes")
    shown = mailauth.json("account", "show", "alice")
    assert (shown["enrolled"], shown["recovery_codes_left"]) == (False, 0)
    assert "no authenticator" in mailauth.run("totp", "reset", "alice", "--yes", code=1).stderr


def test_recovery_codes_are_issued_spent_once_and_voided_by_a_new_set(mailauth: CommandLine) -> None:
    """REC1, REC2."""
    alice = mailauth.enrol("alice")
    issued = mailauth.json("recovery", "issue", "alice")
    assert issued["account"] == "alice@mailitwize.be"
    assert len(set(issued["codes"])) == 10
    assert all(len(code) == 19 and set(code) <= set(alphabet.ALPHABET + "-") for code in issued["codes"])
    first, second, *_ = issued["codes"]
    granted = mailauth.check("alice", alice.password + first)
    assert granted == {
        "verdict": "granted",
        "reason": "second-factor-given",
        "credential": "password+recovery-code",
    }
    assert mailauth.check("alice", alice.password + first, code=1)["reason"] == "recovery-code-wrong"
    assert mailauth.json("recovery", "left", "alice") == {"account": "alice@mailitwize.be", "left": 9}
    again = mailauth.json("recovery", "issue", "alice")["codes"]
    assert mailauth.check("alice", alice.password + second, code=1)["reason"] == "recovery-code-wrong"
    assert mailauth.check("alice", alice.password + again[0].upper().replace("-", " "))["verdict"] == "granted"
    assert "9 recovery codes left" in mailauth.run("recovery", "left", "alice").stdout


def test_recovery_codes_are_listed_for_printing(mailauth: CommandLine) -> None:
    mailauth.enrol("alice")
    shown = mailauth.run("recovery", "issue", "alice").stdout
    assert sum(line.startswith("  ") for line in shown.splitlines()) == 10


def test_recovery_codes_need_an_authenticator_to_stand_in_for(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    assert "enrol it first" in mailauth.run("recovery", "issue", "alice", code=1).stderr


def test_app_password_prints_the_promised_json(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    made = mailauth.json(
        "app-password", "add", "alice", "--name", " Telephone ", "--service", "IMAP", "--service", "smtp",
        "--network", "192.0.2.0/24", "--network", "2001:db8::/64", "--expires", "90d",
    )  # fmt: skip
    password = made.pop("password")
    assert len(password) == 24
    assert made == {
        "id": 1,
        "account": "alice@mailitwize.be",
        "name": "Telephone",
        "services": ["imap", "smtp"],
        "networks": ["192.0.2.0/24", "2001:db8::/64"],
        "expires_at": "2025-09-02T22:00:00+00:00",
    }
    granted = mailauth.check("alice", password, "--service", "submission", "--ip", "192.0.2.7")
    assert granted == {"verdict": "granted", "reason": "app-password-given", "credential": "app-password"}
    for words, reason in (
        (("--service", "pop3", "--ip", "192.0.2.7"), "app-password-other-service"),
        (("--service", "imap", "--ip", "198.51.100.1"), "app-password-other-network"),
        (("--service", "imap"), "app-password-other-network"),
    ):
        assert mailauth.check("alice", password, *words, code=1)["reason"] == reason
    mailauth.clock.advance(days=90)
    late = mailauth.check("alice", password, "--ip", "192.0.2.7", code=1)
    assert late["reason"] == "app-password-expired"


def test_app_password_is_shown_once_and_listed_without_its_secret(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    shown = mailauth.run("app-password", "add", "alice", "--name", "telephone").stdout
    (grouped,) = (line.strip() for line in shown.splitlines() if line.startswith("  "))
    assert mailauth.check("alice", grouped)["verdict"] == "granted"
    (listed,) = mailauth.json("app-password", "list", "alice")
    assert listed == {
        "id": 1,
        "name": "telephone",
        "services": [],
        "networks": [],
        "created_at": "2025-06-04T22:00:00+00:00",
        "expires_at": None,
        "revoked_at": None,
    }
    table = mailauth.run("app-password", "list", "alice").stdout
    assert "all mail" in table
    for secret in (grouped, grouped.replace("-", "")):
        assert secret not in table


def test_revoked_app_password_opens_nothing_and_stays_in_the_list(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    made = [mailauth.json("app-password", "add", "alice", "--name", name) for name in ("one", "two", "three")]
    assert mailauth.run("app-password", "revoke", "alice", "1").stdout.startswith("revoked 1 app password\n")
    assert mailauth.check("alice", made[0]["password"], code=1)["reason"] == "app-password-revoked"
    assert mailauth.check("alice", made[1]["password"])["verdict"] == "granted"
    assert "no live app password 1" in mailauth.run("app-password", "revoke", "alice", "1", code=1).stderr
    assert mailauth.run("app-password", "revoke", "alice", "--all").stdout.startswith("revoked 2 app passwords\n")
    assert "no live app password" in mailauth.run("app-password", "revoke", "alice", "--all", code=1).stderr
    listed = mailauth.json("app-password", "list", "alice")
    assert [item["revoked_at"] for item in listed] == ["2025-06-04T22:00:00+00:00"] * 3
    assert mailauth.run("app-password", "list", "alice").stdout.count("revoked 2025-06-04") == 3


def test_app_password_of_somebody_else_cannot_be_revoked(mailauth: CommandLine) -> None:
    for name in ("alice", "bob"):
        mailauth.run("account", "add", name, stdin="pw")
    device = mailauth.json("app-password", "add", "bob", "--name", "x")
    mailauth.run("app-password", "revoke", "alice", str(device["id"]), code=1)
    assert mailauth.check("bob", device["password"])["verdict"] == "granted"
    assert mailauth.check("alice", device["password"], code=1)["reason"] == "app-password-unknown"


@pytest.mark.parametrize("words", [(), ("1", "--all")])
def test_revoking_takes_one_id_or_all(mailauth: CommandLine, words: tuple[str, ...]) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    mailauth.run("app-password", "revoke", "alice", *words, code=2)


def test_app_password_that_means_nothing_is_refused(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    for words, problem in (
        (("--name", "x", "--service", "imaps"), "no such service: 'imaps'; known are imap"),
        (("--name", "x", "--service", "portal"), "never opens the portal"),
        (("--name", "x", "--network", "192.0.2.7/24"), "not a network"),
        (("--name", "x", "--network", "everywhere"), "not a network"),
        (("--name", "x", "--expires", "soon"), "not a time: 'soon'; write it as 30d, 12h or 2026-01-31"),
        (("--name", "x", "--expires", "0d"), "in the past"),
        (("--name", "x", "--expires", "2025-01-01"), "in the past"),
        (("--name", "x", "--expires", "99999999d"), "too far away"),
        (("--name", "x", "--expires", "9" * 9 + "h"), "too far away"),
        (("--name", "x", "--expires", "9" * 5000 + "d"), "not a time"),
        (("--name", "x", "--expires", "²d"), "not a time"),
        (("--name", "x", "--expires", "-3d"), "not a time"),
        (("--name", "x", "--expires", "d"), "not a time"),
        (("--name", "x", "--expires", ""), "not a time"),
        (("--name", "x", "--expires", "0001-01-01T00:00+14:00"), "too far away"),
        (("--name", ""), "1 to 100 printable"),
        (("--name", "  "), "1 to 100 printable"),
        (("--name", "a\nb"), "1 to 100 printable"),
        (("--name", "x" * 101), "1 to 100 printable"),
    ):
        with case(words, problem):
            assert problem in mailauth.run("app-password", "add", "alice", *words, code=1).stderr
            assert mailauth.json("app-password", "list", "alice") == []


@pytest.mark.parametrize(
    ("typed", "expiry"),
    [
        ("1d", "2025-06-05T22:00:00+00:00"),
        ("12h", "2025-06-05T10:00:00+00:00"),
        ("2026-01-31", "2026-01-31T23:00:00+00:00"),
        ("2026-01-31T12:00", "2026-01-31T11:00:00+00:00"),
        ("2026-01-31T12:00+01:00", "2026-01-31T11:00:00+00:00"),
    ],
)
def test_expiry_is_a_span_or_a_date(mailauth: CommandLine, typed: str, expiry: str) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    made = mailauth.json("app-password", "add", "alice", "--name", "x", "--expires", typed)
    assert made["expires_at"] == expiry
    assert f"until {expiry[:10]}" in mailauth.run("app-password", "list", "alice").stdout


def test_app_password_needs_a_name(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    mailauth.run("app-password", "add", "alice", code=2)


def test_account_has_25_app_passwords_at_most(mailauth: CommandLine) -> None:
    """APP1."""
    mailauth.run("account", "add", "alice", stdin="pw")
    for number in range(25):
        mailauth.run("app-password", "add", "alice", "--name", f"device {number}")
    assert "25 app passwords, which is the most" in (
        mailauth.run("app-password", "add", "alice", "--name", "one more", code=1).stderr
    )
    mailauth.run("app-password", "revoke", "alice", "3")
    mailauth.run("app-password", "add", "alice", "--name", "one more")


def test_app_password_of_a_mapped_network_works_from_there(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    network = ("--network", "::ffff:192.0.2.0/120")
    made = mailauth.json("app-password", "add", "alice", "--name", "x", *network)
    assert made["networks"] == ["192.0.2.0/24"]
    for client, code in (("192.0.2.7", 0), ("::ffff:192.0.2.7", 0), ("192.0.3.7", 1)):
        mailauth.check("alice", made["password"], "--ip", client, code=code)
