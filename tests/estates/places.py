"""Where people are kept, each kind behind the same few words, so that one test runs on all of them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import create_engine

from tests.estates.panels import Estate, Postfixadmin


class Place(NamedTuple):
    """`section`: of the configuration. `put(name, password, active)` adds or changes a person, `drop` removes one."""

    section: str
    put: Callable[..., None]
    drop: Callable[[str], None]


def passwd_file(directory: Path) -> Place:
    """Return a file of Dovecot's format."""
    path = directory / "users"
    people: dict[str, str] = {}

    def write() -> None:
        draft = path.with_suffix(".new")
        draft.write_text("# people\n" + "".join(people.values()))
        draft.rename(path)

    def put(name: str, password: str, *, active: bool = True) -> None:
        people[name] = f"{name}:{{PLAIN}}{password}::::::{'' if active else 'nologin'}\n"
        write()

    def drop(name: str) -> None:
        people.pop(name, None)
        write()

    write()
    return Place(f'kind="passwd-file",file="{path}"', put, drop)


def sqlite(directory: Path) -> Place:
    """Return the tables of a panel in a file of SQLite's."""
    path = directory / "panel.sqlite"
    return of_estate(Estate(create_engine(f"sqlite:///{path}"), Postfixadmin()), f"sqlite:///{path}")


def of_estate(estate: Estate, url: str) -> Place:
    """Return a panel's tables in any database."""

    def put(name: str, password: str, *, active: bool = True) -> None:
        if not estate.set(name, f"{{PLAIN}}{password}", active=active):
            estate.add(name, f"{{PLAIN}}{password}", active=active)

    def drop(name: str) -> None:
        estate.run("DELETE FROM mailbox WHERE username = :name", name=name)

    return Place(f'kind="sql",preset="{estate.panel.preset}",url="{url}"', put, drop)
