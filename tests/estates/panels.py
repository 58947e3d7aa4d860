"""The tables of panels, as far as a login reads them, made on any database; and people in them.

The columns and their types are those of the panels' own schemas, of which each class names the version.
"""

from collections.abc import Mapping
from typing import Protocol

from sqlalchemy import Engine, text

Added = tuple[str, Mapping[str, object]]
"""A statement and its values."""


class Panel(Protocol):
    """A panel's tables, and how one of its users is kept there."""

    preset: str

    def tables(self, kind: str) -> tuple[str, ...]:
        """Return the statements that make the tables on a kind of database."""

    def user(
        self, name: str, password_hash: str, *, uid: int, active: bool = True
    ) -> tuple[str, Mapping[str, object]]:
        """Return the statement that adds a user, with its values."""


class Postfixadmin:
    """Postfixadmin 3.3: `mailbox`, `domain`, `alias_domain`."""

    preset = "postfixadmin"

    def tables(self, kind: str) -> tuple[str, ...]:
        """Return the statements that make the tables on a kind of database."""
        yes = "boolean NOT NULL DEFAULT true" if kind == "postgresql" else "tinyint(1) NOT NULL DEFAULT 1"
        time = "timestamp" if kind == "postgresql" else "datetime"
        return (
            f"CREATE TABLE domain (domain varchar(255) PRIMARY KEY, description varchar(255) NOT NULL DEFAULT '', "
            f"active {yes})",
            f"CREATE TABLE mailbox (username varchar(255) PRIMARY KEY, password varchar(255) NOT NULL, "
            f"name varchar(255) NOT NULL DEFAULT '', local_part varchar(255) NOT NULL, domain varchar(255) NOT NULL, "
            f"created {time} NOT NULL, active {yes})",
            f"CREATE TABLE alias (address varchar(255) PRIMARY KEY, goto text NOT NULL, active {yes})",
            f"CREATE TABLE alias_domain (alias_domain varchar(255) PRIMARY KEY, target_domain varchar(255) NOT NULL, "
            f"active {yes})",
        )

    def user(
        self, name: str, password_hash: str, *, uid: int, active: bool = True
    ) -> tuple[str, Mapping[str, object]]:
        """Return the statement that adds a user, with its values."""
        local, _, domain = name.rpartition("@")
        created = f"2020-01-01 00:{uid // 60:02}:{uid % 60:02}"
        return (
            "INSERT INTO mailbox (username, password, local_part, domain, created, active) "
            "VALUES (:name, :hash, :local, :domain, :created, :active)",
            {
                "name": name,
                "hash": password_hash,
                "local": local,
                "domain": domain,
                "created": created,
                "active": active,
            },
        )


class Estate:
    """A panel's database."""

    def __init__(self, engine: Engine, panel: Panel) -> None:
        self.engine = engine
        self.panel = panel
        self._uid = 0
        for statement in panel.tables(engine.dialect.name):
            self.run(statement)

    def run(self, statement: str, **values: object) -> None:
        """Run a statement, as the panel would."""
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def set(self, name: str, password_hash: str, *, active: bool = True) -> bool:
        """Change a user's password and state; False where there is none."""
        statement = "UPDATE mailbox SET password = :hash, active = :active WHERE username = :name"
        with self.engine.begin() as connection:
            done = connection.execute(text(statement), {"hash": password_hash, "active": active, "name": name})
            return done.rowcount == 1

    def add(self, name: str, password_hash: str, *, active: bool = True) -> None:
        """Add a user, and the domain where it is not there yet."""
        self._uid += 1
        domain = name.rpartition("@")[2]
        with self.engine.begin() as connection:
            if connection.execute(text("SELECT 1 FROM domain WHERE domain = :d"), {"d": domain}).first() is None:
                connection.execute(text("INSERT INTO domain (domain) VALUES (:d)"), {"d": domain})
            statement, values = self.panel.user(name, password_hash, uid=self._uid, active=active)
            connection.execute(text(statement), values)
