"""`mailauth account`: adding, listing, showing, removing; passwords and aliases."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner

from tests.cases import case
from tests.integration.cli.conftest import CommandLine


def test_account_is_added_by_its_canonical_name(mailauth: CommandLine) -> None:
    assert mailauth.json("account", "add", " Alice@MailITWize.be", stdin="pw") == {"account": "alice@mailitwize.be"}
    assert "added bob@mailitwize.be" in mailauth.run("account", "add", "bob", stdin="pw").stdout


def test_account_that_exists_is_refused(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    mailauth.run("account", "alias", "alice", "info")
    for name in ("ALICE", "info@mailitwize.be"):
        refused = mailauth.run("account", "add", name, stdin="pw", code=1)
        assert "there is an account or alias" in refused.stderr
    assert len(mailauth.json("account", "list")) == 1


@pytest.mark.parametrize("name", ["", "@", "a b", "../x", "alice@ex_ample.org"])
def test_malformed_name_is_refused(mailauth: CommandLine, name: str) -> None:
    refused = mailauth.run("account", "add", name, stdin="pw", code=1)
    assert refused.stderr.startswith("mailauth: ")


@pytest.mark.parametrize(
    ("stdin", "password"),
    [
        (b"correct horse", b"correct horse"),
        (b"correct horse\n", b"correct horse"),
        (b"correct horse\r\n", b"correct horse"),
        (b"  two  spaces  \n", b"  two  spaces  "),
        (b" \n", b" "),
        ("pässwörd ✓\n".encode(), "pässwörd ✓".encode()),
        (b"\xff\xfe raw bytes\n", b"\xff\xfe raw bytes"),
        (b"x" * 224 + b"\n", b"x" * 224),
    ],
)
def test_password_on_stdin_is_taken_exactly(mailauth: CommandLine, stdin: bytes, password: bytes) -> None:
    """One line break ends it and is not part of it; spaces are (PW1)."""
    mailauth.run("policy", "show")
    mailauth.run("account", "add", "alice", stdin=stdin)
    mailauth.run("policy", "exempt", "alice", "--until", "1d", "--reason", "test")
    assert mailauth.check("alice", password)["verdict"] == "granted"
    for wrong in (password + b" ", password.strip() + b"!", password.upper() + b"x"):
        assert mailauth.check("alice", wrong, code=1)["reason"] == "password-wrong"


@pytest.mark.parametrize("stdin", [b"", b"\n", b"\r\n", b"a\nb\n", b"pw\n\n", b"a\x00b", b"tab\t", b"x" * 225])
def test_password_that_may_not_be_set_is_refused_without_repeating_it(mailauth: CommandLine, stdin: bytes) -> None:
    """PW2."""
    refused = mailauth.run("account", "add", "alice", stdin=stdin, code=1)
    assert "a password has at" in refused.stderr
    assert mailauth.json("account", "list") == []


def test_endless_stdin_is_refused(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin=b"x" * 70_000, code=2)


def test_list_says_what_each_account_holds(mailauth: CommandLine) -> None:
    mailauth.enrol("bob")
    mailauth.run("account", "add", "alice", stdin="pw")
    mailauth.run("account", "alias", "bob", "robert", "info")
    mailauth.run("recovery", "issue", "bob")
    mailauth.run("app-password", "add", "bob", "--name", "telephone")
    mailauth.run("account", "disable", "alice")
    alice, bob = mailauth.json("account", "list")
    assert alice == {
        "name": "alice@mailitwize.be",
        "enrolled": False,
        "recovery_codes_left": 0,
        "app_passwords": 0,
        "aliases": [],
        "disabled": True,
        "created_at": "2025-06-04T22:00:00+00:00",
        "source": "",
        "last_login_at": None,
        "last_credential": None,
    }
    assert bob | {"created_at": None} == {
        "name": "bob@mailitwize.be",
        "enrolled": True,
        "recovery_codes_left": 10,
        "app_passwords": 1,
        "aliases": ["info@mailitwize.be", "robert@mailitwize.be"],
        "disabled": False,
        "created_at": None,
        "source": "",
        "last_login_at": None,
        "last_credential": None,
    }
    table = mailauth.run("account", "list").stdout
    assert "disabled" in table
    assert "info@mailitwize.be robert@mailitwize.be" in table


def test_empty_list_says_what_to_do(mailauth: CommandLine) -> None:
    assert "mailauth account add" in mailauth.run("account", "list").stdout


def test_show_finds_an_account_by_any_of_its_names(mailauth: CommandLine) -> None:
    mailauth.enrol("alice")
    mailauth.run("account", "alias", "alice", "info")
    shown = mailauth.json("account", "show", "INFO")
    assert shown == {
        "account": "alice@mailitwize.be",
        "aliases": ["info@mailitwize.be"],
        "disabled": False,
        "enrolled": True,
        "recovery_codes_left": 0,
        "app_passwords": 0,
        "exempt_until": None,
    }
    assert "alice@mailitwize.be" in mailauth.run("account", "show", "alice").stdout


def test_unknown_account_is_named(mailauth: CommandLine) -> None:
    for words in (
        ("account", "show", "nobody"),
        ("account", "remove", "nobody", "--yes"),
        ("account", "password", "nobody"),
        ("account", "disable", "nobody"),
        ("account", "alias", "nobody", "x"),
        ("totp", "enrol", "nobody"),
        ("totp", "confirm", "nobody"),
        ("totp", "reset", "nobody", "--yes"),
        ("recovery", "issue", "nobody"),
        ("recovery", "left", "nobody"),
        ("app-password", "add", "nobody", "--name", "x"),
        ("app-password", "list", "nobody"),
        ("app-password", "revoke", "nobody", "--all"),
        ("policy", "exempt", "nobody", "--until", "1d", "--reason", "x"),
        ("explain", "nobody"),
    ):
        with case(words):
            stdin = "123456" if words[:2] == ("totp", "confirm") else "a long secret"
            refused = mailauth.run(*words, stdin=stdin, code=1)
            assert "there is no account nobody@mailitwize.be; see: mailauth account list" in refused.stderr


def test_removed_account_is_gone_with_all_it_held(mailauth: CommandLine) -> None:
    alice = mailauth.enrol("alice")
    mailauth.run("account", "alias", "alice", "info")
    device = mailauth.json("app-password", "add", "alice", "--name", "x")["password"]
    assert "removed alice" in mailauth.run("account", "remove", "info", "--yes").stdout
    assert mailauth.json("account", "list") == []
    assert (
        mailauth.check("alice", alice.password + alice.code(mailauth.clock()), code=1)["reason"] == "account-unknown"
    )
    assert mailauth.check("alice", device, code=1)["reason"] == "app-password-unknown"
    mailauth.run("account", "add", "info", stdin="pw")


def test_removal_asks_first(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "alice", stdin="pw")
    asked = mailauth.run("account", "remove", "alice", stdin="n\n", code=1)
    assert "Remove alice@mailitwize.be and all that it holds?" in asked.stderr
    assert len(mailauth.json("account", "list")) == 1
    mailauth.run("account", "remove", "alice", stdin="y\n")
    assert mailauth.json("account", "list") == []


def test_new_password_replaces_the_old_one(mailauth: CommandLine) -> None:
    alice = mailauth.enrol("alice")
    device = mailauth.json("app-password", "add", "alice", "--name", "x")["password"]
    said = mailauth.run("account", "password", "alice", stdin=b"battery staple\r\n").stdout
    assert said.startswith("changed the password of alice@mailitwize.be\n")
    code = alice.code(mailauth.clock())
    assert mailauth.check("alice", alice.password + code, code=1)["reason"] == "password-wrong"
    assert mailauth.check("alice", "battery staple" + code)["credential"] == "password+code"
    assert mailauth.check("alice", device)["verdict"] == "granted"


def test_new_password_revokes_app_passwords_when_told(mailauth: CommandLine) -> None:
    """APP2."""
    mailauth.enrol("alice")
    device = mailauth.json("app-password", "add", "alice", "--name", "x")["password"]
    said = mailauth.run("account", "password", "alice", "--revoke-app-passwords", stdin="new").stdout
    assert "revoked 1 app password" in said
    assert mailauth.check("alice", device, code=1)["reason"] == "app-password-revoked"


def test_disabled_account_opens_nothing_until_it_is_enabled(mailauth: CommandLine) -> None:
    alice = mailauth.enrol("alice")
    device = mailauth.json("app-password", "add", "alice", "--name", "x")["password"]
    mailauth.run("account", "disable", "alice")
    login = alice.password + alice.code(mailauth.clock())
    assert mailauth.check("alice", login, code=1)["reason"] == "account-disabled"
    assert mailauth.check("alice", device, code=1)["reason"] == "account-disabled"
    mailauth.run("account", "enable", "alice")
    assert mailauth.check("alice", login)["verdict"] == "granted"
    assert mailauth.check("alice", device)["verdict"] == "granted"


def test_alias_logs_in_until_it_is_taken_away(mailauth: CommandLine) -> None:
    """LIM3: CVE-2025-6013, aliases that skipped the second factor."""
    alice = mailauth.enrol("alice")
    assert mailauth.json("account", "alias", "alice", "Info") == {
        "account": "alice@mailitwize.be",
        "aliases": ["info@mailitwize.be"],
    }
    assert mailauth.check("info", alice.password, code=1)["reason"] == "code-missing"
    assert mailauth.check("info", alice.password + alice.code(mailauth.clock()))["verdict"] == "granted"
    mailauth.run("account", "alias", "alice", "info", "--remove")
    assert mailauth.check("info", alice.password, code=1)["reason"] == "account-unknown"
    assert mailauth.run("account", "alias", "alice").stdout == "alice@mailitwize.be: no aliases\n"


def test_alias_in_use_or_of_somebody_else_is_refused(mailauth: CommandLine) -> None:
    for name in ("alice", "bob"):
        mailauth.run("account", "add", name, stdin="pw")
    mailauth.run("account", "alias", "alice", "info")
    for taken in ("bob", "info", "alice"):
        assert "already" in mailauth.run("account", "alias", "bob", taken, code=1).stderr
    assert "has no alias" in mailauth.run("account", "alias", "bob", "info", "--remove", code=1).stderr
    assert mailauth.json("account", "alias", "alice")["aliases"] == ["info@mailitwize.be"]


def test_secret_is_never_an_argument() -> None:
    """KEY3: argv can be read by everybody on the machine."""
    from mailauth.edges.cli.main import cli

    def options(command: object, path: str) -> list[str]:
        found = [f"{path} {name}" for param in command.params for name in (*param.opts, param.name)]  # type: ignore[attr-defined]
        for name in getattr(command, "commands", {}) or (
            command.list_commands(None) if hasattr(command, "list_commands") else ()
        ):
            found += options(command.get_command(None, name), f"{path} {name}")  # type: ignore[attr-defined]
        return found

    every = options(cli, "mailauth")
    assert len(every) > 40
    suspicious = [
        option
        for option in every
        if any(word in option.split()[-1].lower() for word in ("password", "secret", "code", "pin", "key"))
    ]
    # Flags and ids; none of them takes a secret.
    assert {option.split()[-1] for option in suspicious} <= {
        "--revoke-app-passwords",
        "revoke_app_passwords",
        "app_password_id",
    }


def test_help_of_every_command_is_there(mailauth: CommandLine) -> None:
    top = CliRunner()
    from mailauth.edges.cli.main import _COMMANDS, cli

    for name in _COMMANDS:
        shown = top.invoke(cli, [name, "--help"])
        assert shown.exit_code == 0
        assert "Usage" in shown.stdout


def test_help_shows_a_first_session_line_by_line(mailauth: CommandLine) -> None:
    lines = [line.strip() for line in mailauth.run("--help").stdout.splitlines()]
    assert "\\b" not in "".join(lines)
    start = lines.index("A first session:")
    assert [line.split()[1] for line in lines[start + 1 :]] == ["init", "account", "totp", "totp", "serve"]


@pytest.mark.parametrize(("typed", "meant"), [("acount", "account"), ("polcy", "policy"), ("zzz", None)])
def test_misspelt_command_is_told_the_one_that_is_near(mailauth: CommandLine, typed: str, meant: str | None) -> None:
    said = mailauth.run(typed, code=2).stderr
    assert f"No such command '{typed}'" in said
    assert ("Did you mean" in said) is (meant is not None)
    assert meant is None or f"'{meant}'" in said


def test_account_that_would_be_the_pam_user_of_another_is_refused(make_mailauth: Callable[..., CommandLine]) -> None:
    """NAME2: one password would open both. An alias is no user of PAM's: its account is asked about."""
    mailauth = make_mailauth(
        'password={source="pam", pam_service="other", pam_local_part_domains=["hoster.example", "other.example"]}'
    )
    for name, user in (
        ("anna@hoster.example", "anna"),
        ("anna@tenant2.example", "anna@tenant2.example"),
        ("bob@other.example", "bob"),
    ):
        assert f"Its password is that of PAM's user {user}.\n" in mailauth.run("account", "add", name).stdout
    mailauth.run("account", "alias", "anna@hoster.example", "bob@hoster.example")
    refused = mailauth.run("account", "add", "Anna@Other.example", code=1)
    assert "same PAM user as anna@hoster.example, anna:" in refused.stderr
    refused = mailauth.run("account", "rename", "anna@tenant2.example", "anna@other.example", code=1)
    assert "same PAM user as anna@hoster.example, anna:" in refused.stderr
    renamed = mailauth.run("account", "rename", "bob@other.example", "carol@other.example").stdout
    assert "Its password is that of PAM's user carol.\n" in renamed, "another person's, unless that was renamed too"
    assert "PAM user" not in mailauth.run("config", "check").stderr


def test_config_check_names_accounts_that_are_one_pam_user(make_mailauth: Callable[..., CommandLine]) -> None:
    """NAME2: the domains may be named after the accounts were added."""
    mailauth = make_mailauth('password.source="pam"', "password.pam_service=other")
    for name in ("anna@hoster.example", "anna@other.example", "bob@hoster.example"):
        mailauth.run("account", "add", name)
    mailauth.run("config", "set", 'password.pam_local_part_domains=["Hoster.example", "other.example"]')
    said = mailauth.run("config", "check", code=1).stderr
    assert "  password.pam_local_part_domains: anna@hoster.example and anna@other.example are the one PAM user" in said
    assert "bob" not in said


def test_new_password_has_a_floor_and_the_commonest_are_warned_of(make_mailauth: Callable[..., CommandLine]) -> None:
    """PW5."""
    mailauth = make_mailauth("password.min_characters=8")
    for words in (("account", "add", "alice"), ("account", "password", "alice")):
        refused = mailauth.run(*words, stdin="1", code=1)
        assert "at least 8 characters" in refused.stderr
        warned = mailauth.run(*words, stdin="Password1")
        assert warned.stderr.startswith("warning: this password is among the first that are guessed")
        assert "assword1" not in warned.stderr
        assert mailauth.run("account", "password", "alice", stdin="Xk3-quellwolke").stderr == ""


def test_hash_is_taken_neither_as_a_password_nor_as_a_name(mailauth: CommandLine) -> None:
    """PW6."""
    stored = "{SHA512-CRYPT}$6$usesomesillystri$D4IrlXatmP7rx3P3InaxBeoomnAihCKRVQAr/36"
    assert "with --hash it is taken over" in mailauth.run("account", "add", "alice", stdin=stored, code=1).stderr
    mailauth.run("account", "add", "alice", stdin="pw")
    mailauth.run("account", "password", "alice", stdin=stored.removeprefix("{SHA512-CRYPT}"), code=1)
    for words in (
        ("account", "add", "{SHA512-CRYPT}"),
        ("account", "alias", "alice", "{sha512-crypt}@mailitwize.be"),
        ("account", "rename", "alice", "{sha512-crypt}@mailitwize.be"),
    ):
        assert "scheme of password hashes" in mailauth.run(*words, stdin="pw", code=1).stderr


def test_hash_of_another_system_is_taken_over_when_told(mailauth: CommandLine) -> None:
    """PW7."""
    stored = "{BLF-CRYPT}$2y$05$PuQRNosNUn71FgxhjK2kYuu99pJzyRGWovusL6eZwVB.FrAm8Wz7u"
    mailauth.run("account", "add", "anna", "--hash", stdin=stored + "\n")
    mailauth.run("account", "add", "bob", stdin="another one\n")
    mailauth.run("account", "password", "bob", "--hash", stdin=stored)
    assert "1 accounts" not in mailauth.run("config", "check").stderr
    assert "2 accounts have another system's password hash" in mailauth.run("config", "check").stderr
    mailauth.run("config", "set", "server.refusal_floor_ms=300")
    assert "another system's" not in mailauth.run("config", "check").stderr
    # A kind that takes longer than the floor is named, with what would do.
    mailauth.run("config", "set", "server.refusal_floor_ms=1")
    said = mailauth.run("config", "check").stderr
    assert "server.refusal_floor_ms: is 1, and 2 accounts" in said
    assert "BLF-CRYPT $2y$05" in said or "ARGON2ID" in said
    for name in ("anna", "bob"):
        mailauth.run("policy", "exempt", name, "--until", "2099-01-01", "--reason", "a test")
        assert mailauth.json("check", name, stdin="correct horse\n")["verdict"] == "granted"
        mailauth.run("check", name, stdin="correct hors\n", code=1)


def test_hash_that_cannot_be_checked_is_refused_with_why_and_without_it(mailauth: CommandLine) -> None:
    for stored, why in (
        ("{OTP}sha1 1024 6a824e28726c681a c0d1f5ea3eace4eb", "of a scheme that cannot be checked here: {OTP}"),
        ("{BLF-CRYPT}$2y$05$PuQRNosNUn71", "is damaged"),
        ("{BLF-CRYPT}$2y$31$PuQRNosNUn71FgxhjK2kYuu99pJzyRGWovusL6eZwVB.FrAm8Wz7u", "cost too much"),
        ("", "is damaged"),
        ("{PLAIN}\u00e9", "no password hash"),
    ):
        said = mailauth.run("account", "add", "anna", "--hash", stdin=stored, code=1).stderr
        assert why in said
        assert not stored or stored.partition("}")[2] not in said
    assert mailauth.json("account", "list") == []


def test_rename_keeps_what_the_owner_has_and_says_what_is_void(mailauth: CommandLine) -> None:
    anna = mailauth.enrol("anna.jansen")
    mailauth.run("account", "add", "bob", stdin="pw")
    said = " ".join(mailauth.run("account", "rename", "anna.jansen", "anna.peeters").stdout.split())
    assert "renamed anna.jansen@mailitwize.be to anna.peeters@mailitwize.be; the old name is an alias" in said
    assert "Sessions in the portal have ended" in said
    assert mailauth.check("anna.jansen", anna.password + anna.code(mailauth.clock()))["verdict"] == "granted"
    shown = mailauth.json("account", "rename", "anna.peeters", "anna", "--no-alias")
    assert shown == {
        "account": "anna@mailitwize.be",
        "before": "anna.peeters@mailitwize.be",
        "aliases": ["anna.jansen@mailitwize.be"],
    }
    assert "already" in mailauth.run("account", "rename", "anna", "bob", code=1).stderr
    assert "there is no account" in mailauth.run("account", "rename", "anna.peeters", "x", code=1).stderr


def test_what_ends_logins_says_that_open_sessions_go_on_and_how_to_end_them(mailauth: CommandLine) -> None:
    mailauth.enrol("alice")
    mailauth.run("account", "alias", "alice", "al")
    mailauth.run("app-password", "add", "al", "--name", "phone")
    for words in (
        ("app-password", "revoke", "al", "--all"),
        ("account", "password", "al"),
        ("totp", "reset", "al", "--yes"),
        ("account", "disable", "al"),
        ("account", "remove", "al", "--yes"),
    ):
        said = mailauth.run(*words, stdin="another correct horse").stdout
        assert "Sessions in mail servers that are open go on" in said, words
        assert "\n  doveadm kick alice@mailitwize.be\n" in said, words
