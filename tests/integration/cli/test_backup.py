"""BAK1: `mailauth db backup`, `db restore` and what `db check` and every other command say of a damaged database."""

import errno
import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from alembic import command

from mailauth.edges.cli.context import Context
from mailauth.effects import keyring
from mailauth.effects.configuration import loading
from mailauth.effects.configuration.places import key_file
from mailauth.effects.store import schema
from mailauth.effects.store.database import Database
from tests.integration.cli.conftest import CommandLine
from tests.integration.serving import Site, secret_of
from tests.integration.talking import Closed, granted
from tests.transactions import reading, writing
from tests.world import FakeClock


@pytest.fixture(autouse=True)
def _under_the_clock(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "now", lambda _: clock())


def file_of(mailauth: CommandLine) -> Path:
    return mailauth.config.parent / "mailauth.db"


def damage(file: Path) -> None:
    """Overwrite most pages, as a disk does."""
    with file.open("r+b") as raw:
        raw.seek(4096 * 2)
        raw.write(os.urandom(file.stat().st_size - 4096 * 2))


def test_backup_and_restore_bring_back_what_was_there(mailauth: CommandLine, tmp_path: Path) -> None:
    alice = mailauth.enrol("alice@mailitwize.be")
    copy = tmp_path / "backup.db"
    said = mailauth.run("db", "backup", str(copy)).stdout
    assert "written" in said
    assert "needs the key file, which is not part of it" in said
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    mailauth.run("account", "add", "bob@mailitwize.be", stdin="correct horse")
    assert "--force" in mailauth.run("db", "backup", str(copy), code=1).stderr
    said = mailauth.run("db", "restore", str(copy)).stdout
    assert "1 accounts" in said
    for words in ("app passwords that were revoked", "recovery codes that were used", "disabled or removed"):
        assert words in said
    assert [each["name"] for each in mailauth.json("account", "list")] == ["alice@mailitwize.be"]
    mailauth.run("db", "check")
    [kept] = file_of(mailauth).parent.glob("mailauth.db.replaced-*")
    assert str(kept) in said
    mailauth.run("db", "restore", str(kept))
    assert len(mailauth.json("account", "list")) == 2
    mailauth.clock.advance(seconds=90)
    assert mailauth.check(alice.name, alice.password + alice.code(mailauth.clock()))["verdict"] == "granted"


def test_backup_replaces_neither_the_key_nor_the_configuration(mailauth: CommandLine, tmp_path: Path) -> None:
    key = key_file(loading.load(mailauth.config))
    (tmp_path / "link").symlink_to(key)
    for path in (key, mailauth.config, tmp_path / "link"):
        before = path.read_bytes()
        assert "which no backup can bring back" in mailauth.run("db", "backup", "--force", str(path), code=1).stderr
        assert path.read_bytes() == before


def test_restore_closes_what_may_have_been_used_or_ended_since(mailauth: CommandLine, tmp_path: Path) -> None:
    """A code that was spent after the backup opens nothing after the restore, and neither does what it opened."""
    alice = mailauth.enrol("alice@mailitwize.be")
    copy = tmp_path / "backup.db"
    mailauth.run("db", "backup", str(copy))
    secrets = [alice.password + alice.code(mailauth.clock(), steps) for steps in (0, 1)]
    assert mailauth.check(alice.name, secrets[1], "--ip", "192.0.2.7")["verdict"] == "granted"
    now_s = int(mailauth.clock.now.timestamp())
    database = Database(f"sqlite:///{copy}")
    with writing(database) as connection:
        connection.exec_driver_sql(
            "INSERT INTO mail_link (account_id, digest, purpose, subject, created_at, expires_at) "
            f"VALUES (1, x'00', 'p', 's', {now_s}, {now_s + 9000})"
        )
        connection.exec_driver_sql(
            "INSERT INTO portal_session (account_id, digest, epoch, credential, network, agent, created_at, "
            f"proved_at, last_seen_at) VALUES (1, x'00', 0, 'c', 'n', 'a', {now_s}, {now_s}, {now_s})"
        )
        connection.exec_driver_sql(
            "INSERT INTO login_memory (account_id, digest, string_digest, created_at, expires_at, last_used_at, uses) "
            f"VALUES (1, x'00', x'00', {now_s}, {now_s + 9000}, {now_s}, 1)"
        )
    database.close()
    said = mailauth.run("db", "restore", str(copy)).stdout
    assert "1 sessions of the portal, 1 remembered logins, 2 links in mails" in said  # one undoes the enrolment
    for secret in secrets:
        assert mailauth.check(alice.name, secret, code=1)["reason"] == "code-replayed"
    mailauth.clock.advance(seconds=60)
    assert mailauth.check(alice.name, alice.password + alice.code(mailauth.clock(), 1))["verdict"] == "granted"


def test_restore_refuses_what_the_key_file_does_not_open_and_what_is_no_backup(
    mailauth: CommandLine, tmp_path: Path
) -> None:
    mailauth.enrol("alice@mailitwize.be")
    copy = tmp_path / "backup.db"
    mailauth.run("db", "backup", str(copy))
    key = mailauth.config.parent / "mailauth.key"
    right = key.rename(key.with_suffix(".right"))
    keyring.create(key, "1")
    before = file_of(mailauth).read_bytes()
    assert "its key 1 is another one" in mailauth.run("db", "restore", str(copy), code=1).stderr
    key.unlink()
    right.rename(key)
    shutil.copyfile(copy, tmp_path / "damaged.db")
    damage(tmp_path / "damaged.db")
    assert "is damaged" in mailauth.run("db", "restore", str(tmp_path / "damaged.db"), code=1).stderr
    Database(f"sqlite:///{Path(tmp_path / 'other.db')}")
    (tmp_path / "other.db").touch()
    assert "is no backup of mailauth" in mailauth.run("db", "restore", str(tmp_path / "other.db"), code=1).stderr
    assert "No such file" in mailauth.run("db", "restore", str(tmp_path / "missing.db"), code=1).stderr
    assert "is the database itself" in mailauth.run("db", "restore", str(file_of(mailauth)), code=1).stderr
    assert file_of(mailauth).read_bytes() == before


def test_damaged_database_is_named_and_written_to_by_no_command(mailauth: CommandLine) -> None:
    for number in range(20):
        mailauth.run("account", "add", f"a{number}@mailitwize.be", stdin="correct horse")
    damage(file_of(mailauth))
    before = file_of(mailauth).read_bytes()
    assert "is damaged" in mailauth.run("db", "check", code=1).stderr
    assert mailauth.json("db", "check", code=1)["damage"]
    for words in (("account", "add", "bob@mailitwize.be"), ("account", "list"), ("init",)):
        assert "mailauth" in mailauth.run(*words, stdin="correct horse", code=75).stderr
    assert file_of(mailauth).read_bytes() == before


def test_damage_that_no_statement_comes_across_is_found_before_anything_is_written(mailauth: CommandLine) -> None:
    """In the table of a part that a command does not use; it would write on."""
    for number in range(3):
        mailauth.run("account", "add", f"a{number}@mailitwize.be", stdin="correct horse")
    database = Database(f"sqlite:///{file_of(mailauth)}")
    with reading(database) as connection:
        page = connection.exec_driver_sql("SELECT rootpage FROM sqlite_master WHERE name = 'outbox'").scalar_one()
    database.close()
    with file_of(mailauth).open("r+b") as raw:
        raw.seek(4096 * (page - 1))
        raw.write(os.urandom(4096))
    before = file_of(mailauth).read_bytes()
    refused = mailauth.run("account", "add", "bob@mailitwize.be", stdin="correct horse", code=75).stderr
    assert "is damaged" in refused
    assert "mailauth db restore FILE" in refused
    assert file_of(mailauth).read_bytes() == before


def test_server_does_not_start_on_a_damaged_database_and_is_backed_up_and_kept_from_restores_while_it_runs(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    try:
        site.person()
        mailauth = CommandLine(site.config, None)  # type: ignore[arg-type]
        server = site.serve()
        copy = tmp_path / "copies" / "backup.db"
        copy.parent.mkdir()
        mailauth.run("db", "backup", str(copy))
        site.installation.database.close()
        refused = mailauth.run("db", "restore", str(copy), code=75).stderr
        assert "is in use; nothing was changed" in refused
        assert server.stop() == 0
        mailauth.run("db", "restore", str(copy))
        damage(site.database)
        refusing = site.serve(wait=False)
        assert refusing.ended() == 75
        assert "Traceback" not in refusing.log
    finally:
        site.close()


def test_backup_of_an_older_revision_is_migrated_and_one_of_a_newer_is_refused(
    mailauth: CommandLine, tmp_path: Path
) -> None:
    alice = mailauth.enrol("alice@mailitwize.be")
    copy = tmp_path / "backup.db"
    mailauth.run("db", "backup", str(copy))
    database = Database(f"sqlite:///{copy}")
    with database.engine.begin() as connection:
        command.downgrade(schema._config(connection), "0003")
    database.close()
    assert f"migrated from revision 0003 to {schema.HEAD}" in mailauth.run("db", "restore", str(copy)).stdout
    mailauth.run("db", "check")
    mailauth.clock.advance(seconds=90)
    assert mailauth.check(alice.name, alice.password + alice.code(mailauth.clock()))["verdict"] == "granted"
    database = Database(f"sqlite:///{copy}")
    with writing(database) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    assert "newer than this mailauth" in mailauth.run("db", "restore", str(copy), code=1).stderr
    assert len(mailauth.json("account", "list")) == 1


def test_damage_to_a_database_that_is_served_makes_logins_unavailable(tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        people = [site.person() for _ in range(20)]
        server = site.serve()
        with site.talk() as talk:
            assert granted(talk.login(people[0].name, secret_of(people[0])))
        site.installation.database.close()
        with sqlite3.connect(site.database, isolation_level=None) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        damage(site.database)
        for person in people[1:]:
            # By hanging up; mail servers say "temporary failure" then.
            with site.talk() as talk, pytest.raises(Closed):
                talk.login(person.name, secret_of(person))
        server.wait_for("verdict=unavailable reason=store-unavailable", times=len(people) - 1)
        server.wait_for("the database is damaged, nothing is written to it any more")
        assert server.log.count("is damaged, nothing is written") == 1
    finally:
        site.close()


def test_place_that_is_closed_to_who_runs_a_command_is_named(
    mailauth: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user mailauth, and root's folder: up to Python 3.13 even looking whether there is a file fails so."""

    def closed(_: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", "/closed/x.db")

    monkeypatch.setattr(Path, "exists", closed)
    said = mailauth.run("db", "backup", "/closed/x.db", code=1).stderr
    assert said == "mailauth: /closed/x.db: Permission denied\n"
