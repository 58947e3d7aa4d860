"""KEY4: a key file that is not the one that the database is sealed with is named, and nothing starts with it."""

import sqlite3
from pathlib import Path

import pytest

from mailauth.effects import keyring
from mailauth.effects.store import schema
from tests.integration.cli.conftest import CommandLine

RESTORE = "restore the key file from its backup"


def key_of(mailauth: CommandLine) -> Path:
    return mailauth.config.parent / "mailauth.key"


def replace_key(mailauth: CommandLine, key_id: str = "1") -> None:
    key_of(mailauth).unlink()
    keyring.create(key_of(mailauth), key_id)


def test_init_makes_no_new_key_beside_a_database_that_is_sealed(mailauth: CommandLine) -> None:
    """A new key of the same id would make every authenticator useless, and nothing would say so."""
    alice = mailauth.enrol("alice@mailitwize.be")
    key = key_of(mailauth)
    aside = key.rename(key.with_suffix(".aside"))
    refused = mailauth.run("init", code=1)
    assert "is missing, but the database is sealed with key 1" in refused.stderr
    assert RESTORE in refused.stderr.lower()
    assert not key.exists()
    aside.rename(key)
    mailauth.run("init")
    assert mailauth.check("alice@mailitwize.be", alice.password + alice.code(mailauth.clock()))["verdict"] == "granted"


def test_each_kind_of_sealed_thing_keeps_init_from_making_a_key(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "bob@mailitwize.be", stdin="correct horse")
    mailauth.run("app-password", "add", "bob@mailitwize.be", "--name", "phone", "--service", "imap")
    key_of(mailauth).unlink()
    assert "sealed with key 1" in mailauth.run("init", code=1).stderr


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_init_makes_no_new_key_beside_a_sealed_database_of_an_older_revision(
    mailauth: CommandLine, revision: str
) -> None:
    from alembic import command

    from mailauth.effects.store.database import Database

    mailauth.enrol("alice@mailitwize.be")
    database = Database(f"sqlite:///{mailauth.config.parent}/mailauth.db")
    with database.engine.begin() as connection:
        command.downgrade(schema._config(connection), revision)
    database.close()
    key_of(mailauth).unlink()
    assert "sealed with key 1" in mailauth.run("init", code=1).stderr


def test_another_key_under_the_same_id_is_named_by_every_command(mailauth: CommandLine) -> None:
    mailauth.enrol("alice@mailitwize.be")
    replace_key(mailauth)
    words = "its key 1 is another one than the database is sealed with"
    for command in (("account", "list"), ("explain", "alice@mailitwize.be"), ("serve",), ("init",)):
        said = mailauth.run(*command, code=1).stderr
        assert words in said, command
        assert RESTORE in said
    assert words in mailauth.run("config", "check", code=1).stderr
    assert words in mailauth.run("db", "check", code=1).stderr
    assert mailauth.json("db", "check", code=1)["ok"] is False
    [mistake] = mailauth.json("config", "check", code=1)["mistakes"]
    assert mistake["place"] == "keys.file"


def test_key_that_is_needed_and_missing_is_named(mailauth: CommandLine) -> None:
    mailauth.enrol("alice@mailitwize.be")
    replace_key(mailauth, "2")
    assert "it lacks key 1, which the database is sealed with" in mailauth.run("account", "list", code=1).stderr


def test_second_key_is_noted_and_a_first_one_that_nothing_needs_may_go(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "bob@mailitwize.be", stdin="correct horse")
    replace_key(mailauth, "2")
    mailauth.run("account", "list")
    replace_key(mailauth, "2")
    assert "its key 2 is another one" in mailauth.run("account", "list", code=1).stderr


def test_wrong_key_is_found_though_the_database_is_older_than_fingerprints(mailauth: CommandLine) -> None:
    mailauth.enrol("alice@mailitwize.be")
    replace_key(mailauth)
    with sqlite3.connect(mailauth.config.parent / "mailauth.db") as connection:
        connection.execute("DELETE FROM key_fingerprint")
    connection.close()
    assert "key 1 opens nothing that the database has sealed" in mailauth.run("account", "list", code=1).stderr
    assert "key 1 opens nothing that the database has sealed" in mailauth.run("db", "check", code=1).stderr


def test_right_key_is_noted_by_the_first_command_and_shows_nothing_of_itself(mailauth: CommandLine) -> None:
    mailauth.run("account", "list")
    with sqlite3.connect(mailauth.config.parent / "mailauth.db") as connection:
        [(key_id, fingerprint)] = connection.execute("SELECT key_id, fingerprint FROM key_fingerprint")
    connection.close()
    assert (key_id, fingerprint) == ("1", keyring.read(key_of(mailauth)).fingerprint("1"))
    assert len(fingerprint) == 32
    mailauth.run("db", "check")
    mailauth.run("config", "check")


def test_init_replaces_a_key_that_nothing_is_sealed_with(mailauth: CommandLine) -> None:
    mailauth.run("init")
    key_of(mailauth).unlink()
    mailauth.run("init")
    mailauth.run("account", "add", "alice", stdin="pw")


def test_config_check_says_nothing_of_a_database_that_is_not_there_yet(mailauth: CommandLine) -> None:
    (mailauth.config.parent / "mailauth.db").unlink()
    assert "no mistake" in mailauth.run("config", "check").stdout
