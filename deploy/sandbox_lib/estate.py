"""The sandbox's estate: people who had their mailboxes before mailauth came, in another system's tables or directory.

A few of them, with passwords hashed as old systems do: their own accounts of mailauth are made at the first login, or
by `mailauth directory sync`. Whoever wants more writes into the same file, tables or directory. Writes files; of the
kinds with a server it says how that is started.
"""

from __future__ import annotations

import base64
import hashlib
import sqlite3
import subprocess
from typing import Any

from . import ports, probe
from .ground import Ground, SandboxError, System

KINDS = ("postfixadmin", "ldap", "passwd-file")
PORT = "ldap"
DOMAIN = "hoster.example"
PEOPLE = {f"{name}@{DOMAIN}": f"{name}'s old password" for name in ("anna", "bert", "carl")}
FOLDER = "/srv/estate"
FILE = f"{FOLDER}/users"
TABLES = f"{FOLDER}/postfixadmin.sqlite"
BASE = "dc=hoster,dc=example"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{BASE}", "of the directory"
SCHEMAS = "/etc/ldap/schema"

# Postfixadmin's tables, as far as a login reads them.
SCHEMA = """
CREATE TABLE domain (domain varchar(255) PRIMARY KEY, description varchar(255) NOT NULL DEFAULT '',
  active tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE mailbox (username varchar(255) PRIMARY KEY, password varchar(255) NOT NULL,
  name varchar(255) NOT NULL DEFAULT '', local_part varchar(255) NOT NULL, domain varchar(255) NOT NULL,
  created datetime NOT NULL DEFAULT '2020-01-01 00:00:00', active tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE alias (address varchar(255) PRIMARY KEY, goto text NOT NULL, active tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE alias_domain (alias_domain varchar(255) PRIMARY KEY, target_domain varchar(255) NOT NULL,
  active tinyint(1) NOT NULL DEFAULT 1);
"""


def write(ground: Ground, kind: str | None) -> None:
    """Make an estate, where one is wanted and is not there yet."""
    if kind is None or ground.at(FOLDER).exists():
        return
    ground.at(FOLDER).mkdir(parents=True)
    match kind:
        case "passwd-file":
            ground.at(FILE).write_text("".join(f"{name}:{stored(word)}\n" for name, word in PEOPLE.items()))
        case "postfixadmin":
            write_tables(ground)
        case _:
            write_directory(ground)


def settings(ground: Ground, kind: str | None, chosen: dict[str, int]) -> list[str]:
    """The KEY=VALUE for `mailauth init`, behind accounts that are typed in by hand."""
    asked = {
        None: "",
        "passwd-file": f'kind = "passwd-file", file = "{ground.at(FILE)}"',
        "postfixadmin": f'kind = "sql", preset = "postfixadmin", url = "sqlite:///{ground.at(TABLES)}"',
        "ldap": (
            f'kind = "ldap", url = "ldap://{ports.HOST}:{chosen.get(PORT)}", base = "{BASE}", bind_dn = "{ADMIN}", '
            f'bind_password_file = "{ground.at(FOLDER)}/password", list_filter = "(objectClass=inetOrgPerson)"'
        ),
    }[kind]
    if not asked:
        return []
    own = '{kind = "own", on_unknown = "next"}'
    return [f'sources=[{own}, {{name = "estate", domains = ["{DOMAIN}"], {asked}}}]']


def port_names(kind: str | None) -> tuple[str, ...]:
    """The ports that it needs."""
    return (PORT,) if kind == "ldap" else ()


def command(ground: Ground, chosen: dict[str, int]) -> list[str]:
    """A slapd of this machine, in the foreground; it knows nothing of the machine's own."""
    url = f"ldap://{ports.HOST}:{chosen[PORT]}/"
    return [program("slapd"), "-d", "0", "-f", str(ground.at(FOLDER) / "slapd.conf"), "-h", url]


def targets(chosen: dict[str, int]) -> probe.Targets:
    """What has to be there before it is up."""
    return {PORT: probe.Target((ports.HOST, chosen[PORT]), b"")} if PORT in chosen else {}


def described(ground: Ground, kind: str | None) -> dict[str, Any] | None:
    """Where it is, and who is in it, for the JSON object that `up` prints."""
    if kind is None:
        return None
    place = {"passwd-file": ground.at(FILE), "postfixadmin": ground.at(TABLES)}.get(kind)
    where = {"place": str(place)} if place else {"admin": ADMIN, "admin_password": ADMIN_PASSWORD, "base": BASE}
    return {"kind": kind, **where, "people": PEOPLE}


def write_tables(ground: Ground) -> None:
    with sqlite3.connect(ground.at(TABLES)) as tables:
        tables.executescript(SCHEMA)
        tables.execute("INSERT INTO domain (domain) VALUES (?)", (DOMAIN,))
        tables.executemany(
            "INSERT INTO mailbox (username, password, local_part, domain) VALUES (?, ?, ?, ?)",
            [(name, stored(word), name.partition("@")[0], DOMAIN) for name, word in PEOPLE.items()],
        )
    tables.close()


def write_directory(ground: Ground) -> None:
    folder = ground.at(FOLDER)
    (folder / "data").mkdir()
    (folder / "password").write_text(ADMIN_PASSWORD)
    (folder / "password").chmod(0o400)
    conf = folder / "slapd.conf"
    conf.write_text(
        "".join(f"include {SCHEMAS}/{name}.schema\n" for name in ("core", "cosine", "inetorgperson"))
        + f'moduleload back_mdb\npidfile {folder}/pid\ndatabase mdb\nsuffix "{BASE}"\nrootdn "{ADMIN}"\n'
        f'rootpw "{ADMIN_PASSWORD}"\ndirectory {folder}/data\nindex objectClass,mail eq\n'
        "access to attrs=userPassword by anonymous auth by * none\naccess to * by users read\n"
    )
    entries = [
        f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Hoster\ndc: hoster\n",
        f"dn: ou=people,{BASE}\nobjectClass: organizationalUnit\nou: people\n",
        *(person(name, word) for name, word in PEOPLE.items()),
    ]
    done = subprocess.run(
        [program("slapadd"), "-f", str(conf)],
        input="\n".join(entries),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SandboxError(f"slapadd failed: {done.stderr.strip()}")


def person(name: str, password: str) -> str:
    uid = name.partition("@")[0]
    # LDAP has no SHA-512 without a module: its own salted SHA-1, as old directories do.
    salt = hashlib.sha256(name.encode()).digest()[:8]
    digest = hashlib.sha1(password.encode() + salt, usedforsecurity=False).digest() + salt
    return (
        f"dn: uid={uid},ou=people,{BASE}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\nmail: {name}\n"
        f"userPassword: {{SSHA}}{base64.b64encode(digest).decode()}\n"
    )


def stored(password: str) -> str:
    """A salted SHA-512, as panels and Dovecot write it."""
    salt = hashlib.sha256(password.encode()).digest()[:8]
    return "{SSHA512}" + base64.b64encode(hashlib.sha512(password.encode() + salt).digest() + salt).decode()


def program(name: str) -> str:
    """A program of this machine's, whatever system the mail servers are from."""
    found = System().find(name)
    if found is None:
        raise SandboxError(f"{name} is not installed (package slapd): run `deploy/bootstrap test`")
    return found
