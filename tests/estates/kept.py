"""People whose passwords are kept on a server: a directory, or a panel's tables on each database. Holds no tests."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.estates.panels import Estate, Postfixadmin
from tests.estates.places import Place, fill, of_estate, slapd
from tests.estates.servers import MariaDb, PostgreSql, Served, Slapd, engine_of


class Kept(NamedTuple):
    """People on a server."""

    server: Served
    place: Place


def on_slapd(directory: Path) -> Kept:
    server = Slapd(directory)
    server.start()
    fill(server)
    return Kept(server, slapd(server))


def on_mariadb(directory: Path) -> Kept:
    server = MariaDb(directory)
    server.start()
    return Kept(server, of_estate(Estate(engine_of(server), Postfixadmin()), server.url))


def on_postgresql(directory: Path) -> Kept:
    server = PostgreSql(directory)
    server.start()
    return Kept(server, of_estate(Estate(engine_of(server), Postfixadmin()), server.url))


KINDS: dict[str, Callable[[Path], Kept]] = {"ldap": on_slapd, "mariadb": on_mariadb, "postgresql": on_postgresql}
