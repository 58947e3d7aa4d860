"""The migrations make the tables of tables.py, from nothing and from every revision, and take them away again."""

import os
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, inspect

from mailauth.effects.store import account_listing, accounts, schema, tables, upkeep
from mailauth.effects.store.database import Database
from mailauth.effects.store.dialects.sqlite import dialect
from mailauth.vocabulary.errors import SchemaMismatch, StoreUnavailable
from mailauth.vocabulary.model import AccountName
from tests.transactions import reading, writing

NOW = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/mailauth.db"
    upkeep.create(url)
    database = Database(url)
    yield database
    database.close()


def scripts() -> ScriptDirectory:
    return ScriptDirectory(str(schema._MIGRATIONS))


REVISIONS = [script.revision for script in reversed(list(scripts().walk_revisions()))]


def migrate(database: Database, revision: str, *, down: bool = False) -> None:
    with database.engine.begin() as connection:
        (command.downgrade if down else command.upgrade)(schema._config(connection), revision)


def table_names(database: Database) -> set[str]:
    with reading(database) as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


def statements(database: Database) -> dict[str, list[str]]:
    """Return what the database remembers of each table and index: its parts, in no order.

    A column that was added later stands behind the constraints, and where a table was made anew, SQLite tells the
    same in other words: quotes, and a primary key without its name.
    """
    with reading(database) as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    ours = [(name, sql) for name, sql in rows if name != "alembic_version" and not name.startswith("sqlite_")]
    return {name: _parts(sql) for name, sql in ours}


def _parts(sql: str) -> list[str]:
    text = re.sub(r"CONSTRAINT pk_\w+ ", "", " ".join(sql.replace('"', "").split()))
    head, _, rest = text.replace("DEFAULT ('')", "DEFAULT ''").partition("(")
    body = rest[: rest.rfind(")")].strip() if not text.startswith("CREATE INDEX") else rest
    tail = rest[rest.rfind(")") + 1 :].strip()
    return [head.strip(), tail, *sorted(part.strip() for part in body.split(", "))]


def test_migrations_are_one_line_that_ends_at_head() -> None:
    assert scripts().get_heads() == [schema.HEAD]
    assert scripts().get_bases() == [REVISIONS[0]]
    assert sorted(REVISIONS) == REVISIONS


@pytest.mark.parametrize("revision", REVISIONS)
def test_revision_is_four_digits_that_its_file_begins_with(revision: str) -> None:
    """`require_current` compares them as text."""
    assert re.fullmatch(r"[0-9]{4}", revision)
    assert Path(scripts().get_revision(revision).path).name.startswith(f"{revision}_")


def test_migrations_make_the_tables_that_the_code_works_with(database: Database) -> None:
    schema.upgrade(database)
    assert table_names(database) == set(tables.metadata.tables)
    assert schema.differences(database) == []


def test_migrations_and_tables_agree_down_to_keys_and_constraints(database: Database, tmp_path: Path) -> None:
    """Alembic's comparison does not look at primary keys, ON DELETE, defaults and the like; SQLite's memory does."""
    schema.upgrade(database)
    url = f"sqlite:///{tmp_path}/direct.db"
    upkeep.create(url)
    direct = Database(url)
    with direct.engine.begin() as connection:
        tables.metadata.create_all(connection)
    for name in tables.metadata.tables:
        with reading(database) as ours, reading(direct) as theirs:
            migrated, made = inspect(ours), inspect(theirs)
            assert migrated.get_pk_constraint(name) == made.get_pk_constraint(name)
            assert migrated.get_foreign_keys(name) == made.get_foreign_keys(name)
            assert migrated.get_unique_constraints(name) == made.get_unique_constraints(name)
            assert migrated.get_indexes(name) == made.get_indexes(name)
            assert [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in migrated.get_columns(name)] == [
                (c["name"], str(c["type"]), c["nullable"], c["default"]) for c in made.get_columns(name)
            ]
    direct.close()


def test_comparison_finds_what_is_amiss(database: Database) -> None:
    schema.upgrade(database)
    with writing(database) as connection:
        connection.exec_driver_sql("DROP TABLE exemption")
    assert any("exemption" in difference for difference in schema.differences(database))


def test_no_table_relies_on_what_the_comparison_cannot_see() -> None:
    for table in tables.metadata.tables.values():
        assert not [c for c in table.constraints if isinstance(c, CheckConstraint)]


def test_upgrade_says_from_where_to_where_and_is_idempotent(database: Database) -> None:
    assert schema.current(database) is None
    assert schema.upgrade(database) == (None, schema.HEAD)
    before = statements(database)
    assert schema.upgrade(database) == (schema.HEAD, schema.HEAD)
    assert statements(database) == before


def test_upgrade_keeps_what_is_stored(database: Database) -> None:
    migrate(database, REVISIONS[0])
    with writing(database) as connection:
        accounts.add(connection, AccountName("alice@mailitwize.be"), "{ARGON2ID}x", NOW)
    schema.upgrade(database)
    with reading(database) as connection:
        (summary,) = account_listing.summaries(connection)
    assert summary.name == "alice@mailitwize.be"
    assert summary.created_at == NOW


@pytest.mark.parametrize("revision", ["base", *REVISIONS[:-1]])
def test_downgrade_and_upgrade_again_give_the_same_tables(database: Database, revision: str) -> None:
    schema.upgrade(database)
    before = statements(database)
    migrate(database, revision, down=True)
    if revision == "base":
        assert table_names(database) == set()
        assert schema.current(database) is None
    else:
        assert schema.current(database) == revision
    schema.upgrade(database)
    assert statements(database) == before
    assert schema.differences(database) == []


def test_each_step_of_the_way_down_leaves_what_the_way_up_had_made(database: Database) -> None:
    made = []
    for revision in REVISIONS:
        migrate(database, revision)
        made.append(statements(database))
    for number in range(len(REVISIONS) - 2, -1, -1):
        migrate(database, REVISIONS[number], down=True)
        assert statements(database) == made[number]


def test_database_without_tables_says_how_to_make_them(database: Database) -> None:
    with pytest.raises(SchemaMismatch, match="no tables yet; make them with: mailauth db upgrade"):
        schema.require_current(database)


@pytest.mark.skipif(len(REVISIONS) < 2, reason="needs an older revision")
def test_older_database_says_how_to_bring_it_up_to_date(database: Database) -> None:
    migrate(database, REVISIONS[-2])
    with pytest.raises(
        SchemaMismatch, match=f"revision {REVISIONS[-2]}.*works with {schema.HEAD}.*mailauth db upgrade"
    ):
        schema.require_current(database)


def test_newer_database_is_refused_and_upgrading_it_does_nothing(database: Database) -> None:
    """`db upgrade` cannot help there: it is mailauth that is too old."""
    schema.upgrade(database)
    with writing(database) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for use in (schema.require_current, schema.upgrade):
        with pytest.raises(SchemaMismatch, match=r"revision 9999.*newer") as refused:
            use(database)
        assert "db upgrade" not in str(refused.value)
    assert schema.current(database) == "9999"


def test_current_database_is_taken(database: Database) -> None:
    schema.upgrade(database)
    schema.require_current(database)


def test_upgrade_waits_for_the_lock_and_then_says_that_it_could_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CON2."""
    monkeypatch.setattr(dialect, "BUSY_TIMEOUT_S", 0.05)
    url = f"sqlite:///{tmp_path}/mailauth.db"
    upkeep.create(url)
    database = Database(url)
    schema.current(database)
    holder = sqlite3.connect(tmp_path / "mailauth.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="could not be upgraded"):
        schema.upgrade(database)
    holder.execute("ROLLBACK")
    holder.close()
    assert schema.upgrade(database) == (None, schema.HEAD)
    database.close()


def test_damaged_database_is_not_upgraded(database: Database, tmp_path: Path) -> None:
    """BAK1: the migration would be written into what is left."""
    migrate(database, REVISIONS[-2])
    with writing(database) as connection:
        page = connection.exec_driver_sql("SELECT rootpage FROM sqlite_master WHERE name = 'outbox'").scalar_one()
    database.close()
    file = tmp_path / "mailauth.db"
    with file.open("r+b") as raw:
        raw.seek(4096 * (page - 1))
        raw.write(os.urandom(4096))
    before = file.read_bytes()
    again = Database(f"sqlite:///{file}")
    with pytest.raises(StoreUnavailable, match="is damaged"):
        schema.upgrade(again)
    again.close()
    assert file.read_bytes() == before
