"""`mailauth check` and `explain`: the verdict as the server would give it, and the same in words."""

import base64
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mailauth.vocabulary.model import AccountName
from tests.cases import case
from tests.integration.cli.conftest import CommandLine
from tests.world import Person

BEFORE = "cutover.date=2025-09-01T00:00 Europe/Brussels"


def test_check_spends_the_code_that_it_accepts(mailauth: CommandLine) -> None:
    """OTP4, CON4: it is a real login."""
    alice = mailauth.enrol("alice")
    secret = alice.password + alice.code(mailauth.clock())
    assert mailauth.check("alice", secret, "--service", "imap", "--ip", "192.0.2.7") == {
        "verdict": "granted",
        "reason": "second-factor-given",
        "credential": "password+code",
    }
    again = mailauth.check("alice", secret, "--ip", "198.51.100.1", code=1)
    assert again == {"verdict": "denied", "reason": "code-replayed", "credential": None}


def test_check_says_it_in_words_too(mailauth: CommandLine) -> None:
    alice = mailauth.enrol("alice")
    secret = alice.password + alice.code(mailauth.clock())
    assert mailauth.run("check", "alice", stdin=secret).stdout == "granted: second-factor-given (password+code)\n"
    assert mailauth.run("check", "alice", stdin="x", code=1).stdout == "denied: password-wrong\n"
    apart = f"{alice.password} {alice.code(mailauth.clock(), 1)}"
    assert mailauth.run("check", "alice", stdin=apart, code=1).stdout == "denied: password-wrong (code-set-apart)\n"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_secret_is_taken_exactly(mailauth: CommandLine, ending: str) -> None:
    alice = mailauth.enrol("alice", " pass word ")
    mailauth.check("alice", " pass word " + alice.code(mailauth.clock()) + ending)


def test_denial_has_its_reason_and_exit_code_1(mailauth: CommandLine) -> None:
    mailauth.enrol("alice")
    mailauth.run("account", "add", "plain", stdin="correct horse")
    for name, secret, reason in (
        ("nobody", b"x", "account-unknown"),
        ("al ice", b"x", "name-malformed"),
        ("alice", b"", "secret-malformed"),
        ("alice", b"a\x00b", "secret-malformed"),
        ("alice", b"x" * 513, "secret-malformed"),
        ("alice", b"correct horse", "code-missing"),
        ("alice", b"correct horse000000", "code-wrong"),
        ("alice", b"wrong000000", "password-and-code-wrong"),
        ("alice", b"wrong", "password-wrong"),
        ("alice", b"correct horsek7qm-2xvp-9hfd-c3wn", "recovery-code-wrong"),
        ("alice", "correct horse１２３４５６".encode(), "password-wrong"),  # noqa: RUF001
        ("alice", b"aaasea2eawdaqcajbifs25eq", "app-password-unknown"),
        ("plain", b"correct horse", "not-enrolled"),
        ("plain", b"wrong", "password-wrong"),
    ):
        with case(name, secret, reason):
            verdict = mailauth.check(name, secret, code=1)
            assert verdict == {"verdict": "denied", "reason": reason, "credential": None}


def test_before_the_cutover_the_password_alone_is_enough(make_mailauth: Callable[..., CommandLine]) -> None:
    mailauth = make_mailauth(BEFORE)
    mailauth.run("account", "add", "alice", stdin="pw")
    assert mailauth.check("alice", "pw") == {
        "verdict": "granted",
        "reason": "before-cutover",
        "credential": "password",
    }
    mailauth.clock.advance(days=100)
    assert mailauth.check("alice", "pw", code=1)["reason"] == "not-enrolled"


def damage(mailauth: CommandLine, statement: str) -> None:
    with sqlite3.connect(mailauth.config.parent / "mailauth.db") as connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DROP TABLE recovery_code", "store-unavailable"),
        ("UPDATE account SET password_hash = '{ARGON2ID}x'", "hash-unreadable"),
        ("UPDATE totp SET sealed_seed = x'00'", "key-unavailable"),
        ("UPDATE totp SET key_id = 'gone'", "key-unavailable"),
    ],
)
def test_what_cannot_be_decided_is_exit_code_75(mailauth: CommandLine, statement: str, reason: str) -> None:
    """Fail closed: doubt is Unavailable, never Granted, nor a wrong password."""
    alice = mailauth.enrol("alice")
    (code,) = mailauth.json("recovery", "issue", "alice")["codes"][:1]
    damage(mailauth, statement)
    verdict = mailauth.run("check", "alice", "--json", stdin=alice.password + code, code=75)
    assert f'"reason": "{reason}"' in verdict.stdout
    assert '"verdict": "unavailable"' in verdict.stdout


def test_database_without_tables_is_said_before_any_verdict(mailauth: CommandLine) -> None:
    damage(mailauth, "DROP TABLE alembic_version")
    assert "mailauth db upgrade" in mailauth.run("check", "alice", stdin="x", code=75).stderr


def test_missing_database_is_a_temporary_failure(mailauth: CommandLine) -> None:
    (mailauth.config.parent / "mailauth.db").unlink()
    said = mailauth.run("check", "alice", stdin="x", code=75).stderr
    assert "No such file or directory; restore it from the backup if there was one, else `mailauth init`" in said


def test_missing_key_file_says_what_to_do(mailauth: CommandLine) -> None:
    (mailauth.config.parent / "mailauth.key").unlink()
    said = mailauth.run("check", "alice", stdin="x", code=75).stderr
    assert "No such file or directory; restore it from the backup if there was one, else `mailauth init`" in said


def test_service_that_mailauth_does_not_know_is_wrong_usage(mailauth: CommandLine) -> None:
    said = mailauth.run("check", "alice", "--service", "imp", stdin="x", code=2).stderr
    for known in ("imap", "submission", "portal"):
        assert f"'{known}'" in said
    mailauth.run("account", "add", "alice", stdin="pw")
    assert mailauth.check("alice", "x", "--service", "IMAP", code=1)["reason"] == "password-wrong"


def test_bad_address_is_wrong_usage(mailauth: CommandLine) -> None:
    for address in ("", "here", "192.0.2", "192.0.2.7/32", "imap.example.org"):
        with case(address):
            assert "not an IP address" in mailauth.run("check", "alice", "--ip", address, stdin="x", code=2).stderr


def test_explain_prints_the_promised_json(mailauth: CommandLine) -> None:
    mailauth.enrol("alice")
    mailauth.run("recovery", "issue", "alice")
    explained = mailauth.json("explain", "ALICE")
    sentences = explained.pop("sentences")
    assert explained == {
        "account": "alice@mailitwize.be",
        "requirement": "second-factor",
        "rule": "enrolled",
        "password_sources": ["own"],
        "enrolled": True,
        "recovery_codes_left": 10,
        "app_passwords": 0,
        "throttled_until": None,
        "cutover": "2025-05-04T22:00:00+00:00",
        "cutover_has_passed": True,
    }
    assert len(sentences) == 5
    assert "Its password is checked by mailauth's own table." in sentences


def test_explain_tells_every_state_in_words(mailauth: CommandLine) -> None:
    def said() -> str:
        return mailauth.run("explain", "alice").stdout

    mailauth.run("account", "add", "alice", stdin="pw")
    assert "The cut-over was on 2025-05-05 00:00:00 CEST (2025-05-04 22:00:00 UTC)" in said()
    assert "not enrolled: its password is refused" in said()
    assert "It has no app password." in said()
    mailauth.run("policy", "exempt", "alice", "--until", "2025-07-01", "--reason", "a printer")
    assert "exempt until 2025-07-02 00:00 CEST (2025-07-01 22:00 UTC): its password is enough" in said()
    mailauth.run("app-password", "add", "alice", "--name", "x", "--expires", "1d")
    assert "It has 1 app password, each" in said()
    mailauth.run("app-password", "add", "alice", "--name", "y")
    assert "It has 2 app passwords" in said()
    mailauth.clock.advance(days=2)
    assert "It has 1 app password, each" in said()
    mailauth.run("account", "disable", "alice")
    assert "disabled: every login is refused" in said()
    assert mailauth.json("explain", "alice")["requirement"] == "nothing-will-do"


def test_explain_agrees_with_check(make_mailauth: Callable[..., CommandLine]) -> None:
    mailauth = make_mailauth(BEFORE)
    mailauth.run("account", "add", "alice", stdin="pw")
    for requirement, verdict in (("password", "granted"), ("enrolment", "denied")):
        assert mailauth.json("explain", "alice")["requirement"] == requirement
        assert mailauth.check("alice", "pw", code=0 if verdict == "granted" else 1)["verdict"] == verdict
        mailauth.clock.advance(days=100)


def test_policy_shows_the_cutover_and_who_is_exempt(mailauth: CommandLine) -> None:
    assert "has passed: a second factor is required" in mailauth.run("policy", "show").stdout
    assert "No account is exempt." in mailauth.run("policy", "show").stdout
    mailauth.run("account", "add", "alice", stdin="pw")
    mailauth.run("policy", "exempt", "alice", "--until", "30d", "--reason", " the printer ")
    assert mailauth.json("policy", "show") == {
        "cutover": "2025-05-04T22:00:00+00:00",
        "has_passed": True,
        "exemptions": [
            {
                "account": "alice@mailitwize.be",
                "until": "2025-07-04T22:00:00+00:00",
                "reason": "the printer",
                "in_force": True,
            }
        ],
    }
    assert "the printer" in mailauth.run("policy", "show").stdout
    mailauth.run("policy", "exempt", "alice", "--until", "1d", "--reason", "shorter")
    (only,) = mailauth.json("policy", "show")["exemptions"]
    assert only["reason"] == "shorter"
    mailauth.run("policy", "exempt", "alice", "--end")
    assert mailauth.json("policy", "show")["exemptions"] == []
    assert "has no exemption" in mailauth.run("policy", "exempt", "alice", "--end", code=1).stderr


def test_exempting_an_enrolled_account_is_refused_since_it_would_change_nothing(mailauth: CommandLine) -> None:
    """POL4."""
    alice = mailauth.enrol("alice")
    refused = mailauth.run("policy", "exempt", "alice", "--until", "30d", "--reason", "a printer", code=1)
    assert "is enrolled, and an exemption does not change that" in refused.stderr
    assert mailauth.json("policy", "show")["exemptions"] == []
    assert mailauth.check("alice", alice.password, code=1)["reason"] == "code-missing"


def test_exemption_of_who_enrols_later_is_said_to_have_no_effect_until_a_reset(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="correct horse")
    said = mailauth.run("policy", "exempt", "alice", "--until", "2025-07-31", "--reason", "a printer").stdout
    ends = "2025-08-01 00:00 CEST (2025-07-31 22:00 UTC)"
    assert f"is exempt until {ends}" in said
    begun = mailauth.json("totp", "enrol", "alice")
    code = Person(AccountName("alice"), "", base64.b32decode(begun["secret"])).code(mailauth.clock(), -1)
    confirmed = mailauth.run("totp", "confirm", "alice", stdin=code).stdout
    assert f"exemption until {ends} has no effect while it is enrolled" in confirmed
    assert "no effect: enrolled" in mailauth.run("policy", "show").stdout
    assert mailauth.json("policy", "show")["exemptions"][0]["in_force"] is False
    assert f"exemption until {ends} has no effect" in " ".join(mailauth.run("explain", "alice").stdout.split())
    assert "no effect: enrolled" in mailauth.run("account", "show", "alice").stdout
    assert f"It is exempt until {ends}" in mailauth.run("totp", "reset", "alice", "--yes").stdout
    assert "in force" in mailauth.run("policy", "show").stdout


def test_a_day_is_its_end_in_the_provider_s_zone_and_every_command_says_the_moment(mailauth: CommandLine) -> None:
    """As in the portal, where a day is chosen."""
    mailauth.run("account", "add", "alice", stdin="pw")
    made = mailauth.json("app-password", "add", "alice", "--name", "x", "--expires", "2031-01-31")
    assert made["expires_at"] == "2031-01-31T23:00:00+00:00"
    said = mailauth.run("app-password", "add", "alice", "--name", "y", "--expires", "2031-01-31").stdout
    assert "It works until 2031-02-01 00:00 CET (2031-01-31 23:00 UTC)." in said


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 2),
        (("--until", "1d"), 2),
        (("--reason", "x"), 2),
        (("--end", "--until", "1d"), 2),
        (("--until", "never", "--reason", "x"), 1),
        (("--until", "0d", "--reason", "x"), 1),
        (("--until", "1d", "--reason", "  "), 1),
        (("--until", "1d", "--reason", "a\nb"), 1),
    ],
)
def test_exemption_needs_an_end_and_a_reason(mailauth: CommandLine, words: tuple[str, ...], code: int) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    mailauth.run("policy", "exempt", "alice", *words, code=code)
    assert mailauth.json("policy", "show")["exemptions"] == []


def test_nothing_secret_is_left_in_the_database(mailauth: CommandLine) -> None:
    """REC1, KEY1, F12."""
    alice = mailauth.enrol("alice", "canary-password")
    codes = mailauth.json("recovery", "issue", "alice")["codes"]
    device = mailauth.json("app-password", "add", "alice", "--name", "x")["password"]
    mailauth.check("alice", alice.password + codes[0])
    mailauth.check("alice", alice.password + alice.code(mailauth.clock()), "--ip", "192.0.2.7")
    mailauth.check("alice", device)
    mailauth.check("alice", "canary-guess123456", code=1)

    secrets = [b"canary", alice.seed, base64.b32encode(alice.seed), device.encode(), device[5:].encode()]
    secrets += [form.encode() for code in codes for form in (code, code.replace("-", ""))]
    for path in Path(mailauth.config.parent).iterdir():
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret in content], path


def test_check_that_cannot_be_made_is_no_denial(mailauth: CommandLine) -> None:
    """75, so that a script does not take a lost key file for a wrong password."""
    alice = mailauth.enrol("alice")
    mailauth.config.with_name("mailauth.key").chmod(0o644)
    failed = mailauth.run("check", "alice", stdin=alice.password, code=75)
    assert "chmod 0400" in failed.stderr
