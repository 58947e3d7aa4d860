"""`mailauth init`, `config` and `db`."""

import os
import shlex
import socket
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from mailauth.edges.cli.main import cli
from mailauth.effects.configuration import loading
from mailauth.effects.store import schema
from tests.integration.cli.conftest import CommandLine
from tests.world import PROVIDER, FakeClock

PAST = "cutover.date=2025-05-05T00:00 Europe/Brussels"
FUTURE = "cutover.date=2099-05-05T00:00 Europe/Brussels"


@pytest.fixture
def empty(tmp_path: Path, clock: FakeClock) -> CommandLine:
    """Give a command line in a directory in which there is nothing yet."""
    return CommandLine(tmp_path / "etc" / "mailauth.toml", clock)


def settings(empty: CommandLine, *more: str) -> list[str]:
    base = empty.config.parent.parent
    ours = (
        f"database.url=sqlite:///{base}/var/mailauth.db",
        f"keys.file={base}/etc/mailauth.key",
        f'server.socket=[{{path="{base}/run/auth.sock"}}]',
        "password.argon2.time_cost=1",
        "password.argon2.memory_kib=64",
        *(f"{place}={value}" for place, value in PROVIDER.items() if place != "cutover.date"),
        *(more if any(setting.startswith("cutover") for setting in more) else (PAST, *more)),
    )
    return [word for setting in ours for word in ("--set", setting)]


def snapshot(directory: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_init_makes_all_that_is_needed(empty: CommandLine) -> None:
    said = empty.run("init", *settings(empty, "cutover.date=2025-09-01T00:00 Europe/Brussels")).stdout
    base = empty.config.parent.parent
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in base.rglob("*") if path.is_file()}
    assert modes["mailauth.toml"] == 0o640
    assert modes["mailauth.key"] == 0o400
    assert modes["mailauth.db"] == 0o600
    for words in ("written", "back it up", "migrated", "2025-09-01T00:00 Europe/Brussels", f"--config {empty.config}"):
        assert words in said
    empty.run("config", "check")
    empty.run("db", "check")
    empty.run("account", "add", "alice", stdin="correct horse")
    assert empty.check("alice", "correct horse")["reason"] == "before-cutover"


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077])
def test_directories_of_configuration_and_key_can_be_entered_whatever_the_umask(
    tmp_path: Path, clock: FakeClock, umask: int
) -> None:
    """The user mailauth has to read what is in them, as README has it check at once."""
    empty = CommandLine(tmp_path / "new" / "etc" / "mailauth.toml", clock)
    before = os.umask(umask)
    try:
        empty.run("init", *settings(empty))
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / each).stat().st_mode) for each in ("new", "new/etc", "new/var")]
    assert modes == [0o755, 0o755, 0o700]


def test_init_without_a_date_makes_nothing_and_says_how_to_give_one(empty: CommandLine) -> None:
    """A date that nobody chose would lock everybody out."""
    refused = empty.run("init", *settings(empty, "cutover.date=x")[:-2], code=1)
    assert "cutover.date: is missing" in refused.stderr
    assert "--set 'cutover.date=2030-05-06T00:00 Europe/Brussels'" in refused.stderr
    assert list(empty.config.parent.parent.iterdir()) == []


def test_init_without_a_provider_makes_nothing_and_says_all_that_is_missing(empty: CommandLine) -> None:
    """Somebody else's name and link would be shown to customers."""
    refused = empty.run("init", "--set", FUTURE, code=1).stderr
    places = ["provider.name", "provider.support", "provider.url", "mail.sender"]
    assert [line.split(":")[0].strip() for line in refused.splitlines()[1:]] == places
    assert "--set 'provider.url=https://www.example.org/2fa'" in refused
    assert list(empty.config.parent.parent.iterdir()) == []


def test_init_asks_at_a_terminal_for_what_has_no_default(empty: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("mailauth.edges.cli.first_answers.sys", terminal)
    words = [
        word
        for setting in settings(empty)
        if setting != "--set" and setting.partition("=")[0] not in PROVIDER
        for word in ("--set", setting)
    ]
    typed = (
        "Hoster\n" + "no address\n help@hoster.test \n" + "\n" + "tomorrow\n 2099-05-05T00:00 Europe/Brussels\n" + "\n"
    )
    asked = empty.run("init", *words, stdin=typed)
    assert "From when is a second factor required?" in asked.stderr
    assert "not a time: 'tomorrow'" in asked.stderr
    assert "not an e-mail address" in asked.stderr
    made = loading.load(empty.config)
    assert made.cutover.date == "2099-05-05T00:00 Europe/Brussels"
    assert (made.provider.name, made.provider.support) == ("Hoster", "help@hoster.test")
    assert (made.provider.url, made.mail.sender) == ("https://2fa.hoster.test/help", "help@hoster.test")
    assert made.accounts.default_domain == "hoster.test"
    said = " ".join(asked.stdout.split())
    assert "Names without a domain are of hoster.test; mails link to https://2fa.hoster.test" in said
    assert "mailitwize" not in empty.config.read_text()


@pytest.mark.parametrize("date", [PAST, FUTURE])
def test_init_and_check_say_when_the_date_has_passed(empty: CommandLine, date: str) -> None:
    made = empty.run("init", *settings(empty, date)).stdout
    checked = empty.run("config", "check").stdout
    has_passed = date == PAST
    for said in (made, checked):
        assert ("has passed: a password alone is refused now" in said) is has_passed
    assert empty.json("config", "check")["cutover_has_passed"] is has_passed


def test_init_again_keeps_everything(empty: CommandLine) -> None:
    empty.run("init", *settings(empty))
    empty.run("account", "add", "alice", stdin="correct horse")
    before = snapshot(empty.config.parent.parent)
    said = empty.run("init").stdout
    assert said.count("kept") == 3
    assert "written" not in said
    assert snapshot(empty.config.parent.parent) == before


@pytest.mark.parametrize("named", [False, True])
def test_init_in_a_directory_makes_everything_there(
    empty: CommandLine, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing in /etc, whatever the configuration file is called."""
    monkeypatch.delenv("MAILAUTH_CONFIG", raising=False)
    directory = empty.config.parent / "try it"
    config = empty.config if named else directory / "mailauth.toml"
    before = ["--config", str(config)] if named else []
    provider = [f"{place}={value}" for place, value in PROVIDER.items() if place != "cutover.date"]
    words = [*before, "init", "--dir", str(directory)]
    words += [word for setting in (FUTURE, *provider) for word in ("--set", setting)]
    for _ in range(2):  # again, it goes on where it stopped
        made = CliRunner().invoke(cli, words)
        assert made.exit_code == 0, made.output
        assert f"mailauth --config {shlex.quote(str(config))} serve" in made.stdout
    names = {path.name for path in directory.iterdir()} - {"mailauth.db-wal", "mailauth.db-shm"}
    assert names == {"mailauth.key", "mailauth.db"} | (set() if named else {"mailauth.toml"})
    configuration = loading.load(config)
    assert configuration.keys.file == f"{directory}/mailauth.key"
    assert [socket.path for socket in configuration.server.socket] == [f"{directory}/auth.sock"]
    assert "another" not in CliRunner().invoke(cli, ["--config", str(config), "config", "check"]).stderr


def test_init_in_a_directory_leaves_a_file_alone_that_says_otherwise(empty: CommandLine) -> None:
    empty.run("init", *settings(empty))
    refused = empty.run("init", "--dir", str(empty.config.parent / "other"), code=1)
    assert "exists; change it with `mailauth config set`" in refused.stderr
    assert not (empty.config.parent / "other").exists()


def test_help_of_init_says_where_key_and_database_are(empty: CommandLine) -> None:
    shown = " ".join(empty.run("init", "--help").stdout.split())
    for words in ("--dir", "whichever file that is", "/etc/mailauth/mailauth.key", "/var/lib/mailauth/mailauth.db"):
        assert words in shown


def test_init_goes_on_where_it_stopped(empty: CommandLine) -> None:
    empty.run("init", *settings(empty))
    (empty.config.parent / "mailauth.key").unlink()
    said = empty.run("init").stdout
    assert said.count("kept") == 2
    empty.run("account", "add", "alice", stdin="correct horse")


def test_init_with_settings_refuses_to_change_an_existing_file(empty: CommandLine) -> None:
    empty.run("init", *settings(empty))
    before = empty.config.read_bytes()
    refused = empty.run("init", "--set", "provider.name=Other", code=1)
    assert "exists; change it with `mailauth config set`" in refused.stderr
    assert empty.config.read_bytes() == before


def test_init_by_force_replaces_the_file_and_keeps_key_and_database(empty: CommandLine) -> None:
    empty.run("init", *settings(empty))
    empty.run("account", "add", "alice", stdin="correct horse")
    key = (empty.config.parent / "mailauth.key").read_bytes()
    empty.run("init", "--force", *settings(empty, "provider.name=Other"))
    assert loading.load(empty.config).provider.name == "Other"
    assert (empty.config.parent / "mailauth.key").read_bytes() == key
    assert len(empty.json("account", "list")) == 1


@pytest.mark.parametrize(
    "setting",
    ["cutover.date=soon", "provider.nmae=x", "server.deadline_s=ten", "nonsense", "provider.name.x=1"],
)
def test_init_with_a_mistake_makes_nothing(empty: CommandLine, setting: str) -> None:
    empty.run("init", *settings(empty, setting), code=1)
    assert not empty.config.parent.parent.joinpath("var").exists()
    assert not empty.config.exists()


def test_init_refuses_a_key_file_that_others_can_read(empty: CommandLine) -> None:
    """KEY3."""
    empty.run("init", *settings(empty))
    (empty.config.parent / "mailauth.key").chmod(0o644)
    assert "chmod 0400" in empty.run("init", code=1).stderr


@pytest.mark.parametrize("what", ["config", "keys.file", "database.url"])
def test_place_that_cannot_be_made_is_named(empty: CommandLine, what: str) -> None:
    base = empty.config.parent.parent
    (base / "file").write_text("not a directory")
    if what == "config":
        empty.config = base / "file" / "mailauth.toml"
        words = settings(empty)
    else:
        url = "sqlite:///" if what == "database.url" else ""
        words = [*settings(empty), "--set", f"{what}={url}{base}/file/x"]
    refused = empty.run("init", *words, code=1)
    assert refused.stderr.startswith("mailauth: ")
    assert str(base / "file") in refused.stderr


def test_config_check_of_a_right_file_says_the_moment(mailauth: CommandLine) -> None:
    assert "no mistake. The cut-over is 2025-05-05 00:00:00 CEST." in mailauth.run("config", "check").stdout
    assert mailauth.json("config", "check") == {
        "file": str(mailauth.config),
        "ok": True,
        "mistakes": [],
        "warnings": [],
        "cutover_has_passed": True,
    }


def damaged_key(base: Path) -> str:
    base.joinpath("mailauth.key").chmod(0o644)
    return "log.level=info"


@pytest.mark.parametrize(
    ("setting", "place", "words"),
    [
        (lambda base: f"keys.file={base}/missing.key", "keys.file", "missing.key"),
        (damaged_key, "keys.file", "chmod 0400"),
        (lambda base: f"portal.logo={base}/missing.png", "portal.logo", "No such file"),
        (lambda base: f"portal.logo={base}/mailauth.toml", "portal.logo", ".png or .svg"),
        (
            lambda base: f'mail={{sender="a@b.be", user="x", password_file="{base}/missing"}}',
            "mail.password_file",
            "No such file",
        ),
    ],
    ids=["key-missing", "key-open", "logo-missing", "logo-no-picture", "password-missing"],
)
def test_config_check_looks_at_the_files_that_it_names(
    mailauth: CommandLine, setting: Callable[[Path], str], place: str, words: str
) -> None:
    mailauth.run("config", "set", setting(mailauth.config.parent))
    said = mailauth.run("config", "check", code=1)
    assert "1 mistake\n" in said.stderr
    assert said.stdout == ""
    [line] = [line for line in said.stderr.splitlines() if f"  {place}: " in line]
    assert words in line
    [mistake] = mailauth.json("config", "check", code=1)["mistakes"]
    assert mistake["place"] == place


@pytest.mark.parametrize("what", ["directory", "text", "below a file"])
def test_config_check_names_a_database_that_cannot_be_opened(mailauth: CommandLine, what: str) -> None:
    place = mailauth.config.parent / "other"
    if what == "directory":
        place.mkdir()
    else:
        place.write_text("this is no database, and no server would start with it\n" * 100)
    place = place / "x" if what == "below a file" else place
    mailauth.run("config", "set", f"database.url=sqlite:///{place}")
    [mistake] = mailauth.json("config", "check", code=1)["mistakes"]
    assert mistake["place"] == "database.url"
    assert str(place) in mistake["problem"]


def test_config_check_names_the_sockets_that_are_missing_beside_others(mailauth: CommandLine) -> None:
    """What systemd holds is there before mailauth is; with none there, nothing has been started yet."""
    base = mailauth.config.parent
    mailauth.run("config", "set", f'server.socket=[{{path="{base}/a"}}, {{path="{base}/b"}}]')
    assert mailauth.run("config", "check").stderr == ""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(base / "a"))
        said = mailauth.run("config", "check").stderr
        assert f"warning: server.socket[2].path: {base}/b does not exist, while other sockets do" in said
        [warning] = mailauth.json("config", "check")["warnings"]
        assert warning["place"] == "server.socket[2].path"


def test_config_check_names_a_socket_of_dovecots_that_does_not_tell_who_exists(mailauth: CommandLine) -> None:
    """DOOR1: with a userdb that knows nobody, mail would wait for ever."""
    for lookups, expected in (("false", ["server.socket[1].lookups"]), ("true", [])):
        ours = f'{{path="/x", group="dovecot", lookups={lookups}}}'
        mailauth.run("config", "set", f'server.socket=[{ours}, {{path="/y"}}]')
        found = mailauth.json("config", "check")["warnings"]
        assert [warning["place"] for warning in found] == expected


def test_config_check_names_users_and_groups_that_the_server_would_not_start_with(mailauth: CommandLine) -> None:
    mailauth.run("config", "set", 'server.socket=[{path="/x", group="no-group", allow_users=["root", "no-user"]}]')
    said = mailauth.run("config", "check", code=1).stderr
    assert "server.socket[1].group: there is no group 'no-group' on this machine" in said
    assert "server.socket[1].allow_users: there is no user 'no-user' on this machine" in said


def test_config_check_names_a_group_of_the_portals_that_is_not_there(mailauth: CommandLine) -> None:
    mailauth.run("config", "set", "portal.listen=unix:/run/x/portal.sock", "portal.socket_group=no-group")
    said = mailauth.run("config", "check").stderr
    assert "warning: portal.socket_group: there is no group 'no-group' here" in said


@pytest.mark.parametrize("second", ["/x/a", "/x/../x/./a"])
def test_config_check_names_sockets_with_one_path(mailauth: CommandLine, second: str) -> None:
    mailauth.run("config", "set", f'server.socket=[{{path="/x/a"}}, {{path="{second}"}}]', "portal.listen=unix:/x/a")
    said = mailauth.run("config", "check", code=1).stderr
    assert f"server.socket[2].path: {second} is the path of server.socket[1].path, too" in said
    assert "portal.listen: /x/a is the path of server.socket[1].path, too" in said


def test_config_check_leaves_a_credential_of_systemd_to_systemd(mailauth: CommandLine) -> None:
    mailauth.run("config", "set", "keys.file=mailauth.key")
    mailauth.run("config", "check")


OURS_ALONE = {
    "provider.name": "Other",
    "provider.support": "help@hoster.nl",
    "provider.url": "https://www.hoster.nl/2fa",
    "mail.sender": "help@hoster.nl",
}


def test_what_is_still_another_providers_is_a_warning(mailauth: CommandLine) -> None:
    """Files were written with it, while it was the default."""
    assert mailauth.run("config", "check").stderr == ""
    mailauth.run("config", "set", "accounts.default_domain=hoster.nl")
    left = set(OURS_ALONE)
    for place, value in OURS_ALONE.items():
        said = mailauth.run("config", "check")
        assert "no mistake" in said.stdout
        assert {line.split(": ")[1] for line in said.stderr.splitlines()} == left
        assert {warning["place"] for warning in mailauth.json("config", "check")["warnings"]} == left
        mailauth.run("config", "set", f"{place}={value}")
        left.remove(place)
    assert mailauth.run("config", "check").stderr == ""


def test_examples_that_were_copied_are_warnings(mailauth: CommandLine) -> None:
    mailauth.run("config", "set", "provider.url=https://www.example.org/2fa", "mail.sender=x@shop.example")
    warned = mailauth.json("config", "check")["warnings"]
    assert [warning["place"] for warning in warned] == ["provider.url", "mail.sender"]
    assert "is an example's, 'https://www.example.org/2fa'" in warned[0]["problem"]
    mailauth.run("config", "set", "provider.url=https://my-example.org/2fa", "mail.sender=x@example-shop.com")
    assert mailauth.run("config", "check").stderr == ""


def test_init_of_the_readme_works_as_it_stands_and_its_examples_are_warnings(empty: CommandLine) -> None:
    """As is `config check` behind it: a literal copy is never a silent one."""
    section = (Path(__file__).parents[3] / "README.md").read_text().partition("## Install")[2].replace("\\\n", "")
    [line] = [line for line in section.splitlines() if line.startswith("# mailauth init ")]
    words = shlex.split(line.removeprefix("# mailauth "))
    said = empty.run(*words, "--dir", str(empty.config.parent.parent / "all"))
    assert empty.run("config", "check").stderr == said.stderr
    warned = {warning["place"] for warning in empty.json("config", "check")["warnings"]}
    assert {"provider.support", "provider.url", "mail.sender", "portal.url", "accounts.default_domain"} <= warned


def test_init_warns_of_another_providers(empty: CommandLine) -> None:
    said = empty.run("init", *settings(empty, "accounts.default_domain=hoster.nl")).stderr
    assert "warning: mail.sender: is still 'support@mailitwize.be', while accounts.default_domain is hoster.nl" in said


def test_domain_below_the_default_one_is_no_other_provider(mailauth: CommandLine) -> None:
    mailauth.run("config", "set", "accounts.default_domain=mail.mailitwize.be")
    assert mailauth.run("config", "check").stderr == ""


EIGHT_MISTAKES = """
[provider]
nmae = "x"
url = "x"
[server]
deadline_s = "10"
max_connections = 0
"""


def test_eight_mistakes_are_listed_on_stderr_with_their_places(mailauth: CommandLine) -> None:
    mailauth.config.write_text(EIGHT_MISTAKES)
    said = mailauth.run("config", "check", code=1)
    assert said.stdout == ""
    first, *lines = said.stderr.splitlines()
    assert first == f"{mailauth.config}: 8 mistakes"
    places = {line.strip().partition(":")[0] for line in lines}
    assert places == {
        "provider.nmae",
        "provider.url",
        "server.deadline_s",
        "server.max_connections",
        "cutover.date",
        "provider.name",
        "provider.support",
        "mail.sender",
    }
    shown = mailauth.json("config", "check", code=1)
    assert shown["ok"] is False
    assert {mistake["place"] for mistake in shown["mistakes"]} == places


@pytest.mark.parametrize("words", [("account", "list"), ("serve",), ("check", "alice"), ("explain", "alice")])
@pytest.mark.parametrize("text", ["", '[cutover]\ndate = "soon"\n'])
def test_no_command_starts_without_a_date(mailauth: CommandLine, words: tuple[str, ...], text: str) -> None:
    """POL1."""
    mailauth.config.write_text(text)
    code = 75 if words[0] == "check" else 1
    assert "cutover" in mailauth.run(*words, stdin="x", code=code).stderr


def test_missing_file_says_how_to_make_one(empty: CommandLine) -> None:
    assert "make one with `mailauth init`" in empty.run("config", "check", code=1).stderr


def test_config_describe_explains_every_key(mailauth: CommandLine) -> None:
    keys = mailauth.json("config", "describe")
    assert {"place", "type", "default", "description"} == set(keys[0])
    assert "cutover.date  (string; required)" in mailauth.run("config", "describe").stdout
    assert "server.socket[].path" in {key["place"] for key in keys}


def test_config_set_changes_the_file_and_keeps_its_comments_and_mode(mailauth: CommandLine) -> None:
    mailauth.config.chmod(0o600)
    before = [line for line in mailauth.config.read_text().splitlines() if line.startswith("#")]
    said = mailauth.run("config", "set", "provider.name=Other Name", "server.deadline_s=5").stdout
    assert "restart mailauth" in said
    after = loading.load(mailauth.config)
    assert (after.provider.name, after.server.deadline_s) == ("Other Name", 5.0)
    assert [line for line in mailauth.config.read_text().splitlines() if line.startswith("#")] == before
    assert stat.S_IMODE(mailauth.config.stat().st_mode) == 0o600


@pytest.mark.parametrize("setting", ["cutover.date=soon", "provider.nmae=x", "nonsense", "provider.name=1"])
def test_config_set_of_a_mistake_writes_nothing(mailauth: CommandLine, setting: str) -> None:
    before = mailauth.config.read_bytes()
    mailauth.run("config", "set", "provider.support=x@example.org", setting, code=1)
    assert mailauth.config.read_bytes() == before


def test_config_set_repairs_a_file_with_mistakes(mailauth: CommandLine) -> None:
    text = mailauth.config.read_text()
    mailauth.config.write_text(text.replace('support = "support@mailitwize.be"', "support = 1"))
    mailauth.run("config", "set", "provider.support=help@example.org")
    mailauth.run("config", "check")


def test_file_that_relied_on_another_providers_defaults_is_mended_by_what_it_is_told(mailauth: CommandLine) -> None:
    """TXT4."""
    own = {place: value for place, value in PROVIDER.items() if place != "cutover.date"}
    key = mailauth.config.parent / "mailauth.key"
    mailauth.config.write_text(f'[cutover]\ndate = "2025-05-05T00:00Z"\n[keys]\nfile = "{key}"\n')
    said = mailauth.run("account", "list", code=1).stderr
    assert all(f"mailauth config set '{place}=" in said for place in own)
    mailauth.run("config", "set", *(f"{place}={value}" for place, value in own.items()))
    assert loading.load(mailauth.config).mail.sender == "support@mailitwize.be"


def test_config_set_needs_something_to_set(mailauth: CommandLine) -> None:
    mailauth.run("config", "set", code=2)


def test_db_check_and_upgrade_tell_the_revision(mailauth: CommandLine) -> None:
    assert mailauth.json("db", "check") == {
        "ok": True,
        "revision": schema.HEAD,
        "needed": schema.HEAD,
        "differences": [],
        "mistakes": [],
        "damage": [],
        "warnings": [],
    }
    assert f"revision {schema.HEAD} already" in mailauth.run("db", "upgrade").stdout


def test_missing_database_is_made_private_by_upgrade(mailauth: CommandLine) -> None:
    database = mailauth.config.parent / "mailauth.db"
    for path in mailauth.config.parent.glob("mailauth.db*"):
        path.unlink()
    before = os.umask(0o022)
    try:
        mailauth.run("db", "check", code=75)
        assert not database.exists()
        assert f"from nothing to revision {schema.HEAD}" in mailauth.run("db", "upgrade").stdout
    finally:
        os.umask(before)
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


def test_db_check_finds_missing_tables(mailauth: CommandLine) -> None:
    with sqlite3.connect(mailauth.config.parent / "mailauth.db") as connection:
        connection.execute("DROP TABLE exemption")
    connection.close()
    assert "exemption" in mailauth.run("db", "check", code=1).stderr
    shown = mailauth.json("db", "check", code=1)
    assert shown["ok"] is False
    assert shown["differences"]


def test_db_of_a_newer_mailauth_is_refused_by_every_command(mailauth: CommandLine) -> None:
    with sqlite3.connect(mailauth.config.parent / "mailauth.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for words in (("account", "list"), ("db", "upgrade"), ("db", "check")):
        said = mailauth.run(*words, code=1).stderr
        assert "9999" in said
        assert "run: mailauth db upgrade" not in said


def test_database_that_cannot_be_made_is_named(mailauth: CommandLine) -> None:
    mailauth.run("config", "set", f"database.url=sqlite:///{mailauth.config}/x.db")
    assert "cannot make the database" in mailauth.run("db", "upgrade", code=1).stderr


def test_config_check_looks_at_the_service_of_pam(mailauth: CommandLine) -> None:
    """PAM2."""
    mailauth.run("config", "set", "password.source=pam", "password.pam_service=absent")
    assert "  password.pam_service: there is no /etc/pam.d/absent" in mailauth.run("config", "check", code=1).stderr
    mailauth.run("config", "set", "password.pam_service=other")  # Debian's, with common-auth
    assert "warning: password.pam_local_part_domains: is empty" in mailauth.run("config", "check").stderr
