"""The database's version: bringing it up to date, and telling whether it is.

Uses Alembic with the migrations in `migrations/`; imports it late, because serving needs only `require_current`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, MetaData, Table, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from mailauth.effects.store.database import Database
from mailauth.effects.store.tables import metadata
from mailauth.vocabulary.errors import SchemaMismatch, StoreUnavailable

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0007"
"""The revision that this code works with; a test holds that the migrations end there."""

_MIGRATIONS = Path(__file__).with_name("migrations")


def current(database: Database) -> str | None:
    """Return the revision of a database; None where it has no tables of ours."""
    return database.read(_current)


def require_current(database: Database) -> None:
    """Raise SchemaMismatch unless the database is of the revision that this code works with."""
    found = current(database)
    if found is None:
        raise SchemaMismatch("the database has no tables yet; make them with: mailauth db upgrade")
    _refuse_newer(found)
    if found != HEAD:
        raise SchemaMismatch(
            f"the database is of revision {found}, this mailauth works with {HEAD}; run: mailauth db upgrade"
        )


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the database up to date; return the revisions before and after. Does nothing where it is.

    Raises SchemaMismatch for a database that a newer mailauth has upgraded.
    """
    from alembic import command

    before = current(database)
    _refuse_newer(before)
    if before not in (None, HEAD):
        _require_sound(database)
    try:
        with database.engine.begin() as connection:
            command.upgrade(_config(connection), "head")
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"the database could not be upgraded: {type(error).__name__}") from error
    return before, current(database) or ""


def differences(database: Database) -> list[str]:
    """Return in words how the tables of a database differ from those in `tables.py`; empty where they don't."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def compare(connection: Connection) -> list[str]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [str(difference) for difference in compare_metadata(context, metadata)]

    return database.read(compare)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    version = Table("alembic_version", MetaData(), autoload_with=connection)
    return connection.execute(select(version.c.version_num)).scalar()


def _require_sound(database: Database) -> None:
    damage = database.findings()
    if damage:
        raise StoreUnavailable(f"the database {database.damage_words(damage)}")


def _refuse_newer(found: str | None) -> None:
    if found is not None and found > HEAD:  # revisions are numbered in four digits
        raise SchemaMismatch(f"the database is of revision {found}, newer than this mailauth, which works with {HEAD}")


def _config(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
