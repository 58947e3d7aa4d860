"""Where people are kept, each kind behind the same few words, so that one test runs on all of them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import create_engine

from tests.estates.panels import Estate, Postfixadmin
from tests.estates.servers import Slapd


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


def slapd(server: Slapd, *, by_search: bool = True) -> Place:
    """Return people in a directory, over TLS; found by a search, or (`by_search` false) by their DN alone."""
    import ldap
    import ldap.modlist

    people = f"ou=people,{server.base}"

    def dn_of(name: str) -> str:
        return f"uid={name.partition('@')[0]},{people}"

    def put(name: str, password: str, *, active: bool = True) -> None:
        facts = {
            "objectClass": [b"inetOrgPerson"],
            "cn": [b"Somebody"],
            "sn": [b"Body"],
            "mail": [name.encode()],
            "employeeType": [b"TRUE" if active else b"FALSE"],
            "userPassword": [password.encode()],
        }
        connection = server.connection()
        try:
            connection.add_s(dn_of(name), ldap.modlist.addModlist(facts))
        except ldap.ALREADY_EXISTS:
            changes = [(ldap.MOD_REPLACE, key, facts[key]) for key in ("employeeType", "userPassword", "mail")]
            connection.modify_s(dn_of(name), changes)

    def drop(name: str) -> None:
        server.connection().delete_s(dn_of(name))

    if by_search:
        asked = (
            f'base="{people}",bind_dn="{server.admin}",bind_password_file="{server.directory}/service-password",'
            'list_filter="(objectClass=inetOrgPerson)",attributes={active="employeeType"}'
        )
    else:
        asked = f'dn="uid={{local}},{people}"'
    return Place(f'kind="ldap",url="{server.tls_url}",ca_file="{server.ca}",{asked}', put, drop)


def fill(server: Slapd) -> None:
    """Make the place where people are."""
    connection = server.connection()
    parts: tuple[tuple[str, dict[str, list[bytes]]], ...] = (
        (server.base, {"objectClass": [b"dcObject", b"organization"], "o": [b"Hoster"], "dc": [b"hoster"]}),
        (f"ou=people,{server.base}", {"objectClass": [b"organizationalUnit"], "ou": [b"people"]}),
    )
    for dn, facts in parts:
        connection.add_s(dn, list(facts.items()))
