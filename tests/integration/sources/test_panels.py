"""The queries for known panels, and those that docs/estates.md gives for others, on tables of their shape."""

import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, NullPool, create_engine, text

from mailauth.vocabulary.model import Granted
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted
from tests.estates.servers import MariaDb
from tests.world import CUTOVER, World, WorldMaker

REPOSITORY = Path(__file__).parents[3]
ANNA, BERT, PASSWORD = "anna@hoster.example", "bert@hoster.example", "correct horse battery"
HASH = "{PLAIN}" + PASSWORD
BEFORE = CUTOVER - timedelta(days=30)

IREDMAIL = (
    "CREATE TABLE domain (domain VARCHAR(255) PRIMARY KEY, backupmx TINYINT(1) NOT NULL DEFAULT 0,"
    " active TINYINT(1) NOT NULL DEFAULT 1)",
    "CREATE TABLE alias_domain (alias_domain VARCHAR(255) PRIMARY KEY, target_domain VARCHAR(255) NOT NULL,"
    " active TINYINT(1) NOT NULL DEFAULT 1)",
    "CREATE TABLE forwardings (address VARCHAR(255), forwarding VARCHAR(255), is_alias TINYINT(1) DEFAULT 0)",
    "CREATE TABLE mailbox (username VARCHAR(255) PRIMARY KEY, password VARCHAR(255) NOT NULL,"
    " language VARCHAR(5) NOT NULL DEFAULT 'en_US', local_part VARCHAR(255) NOT NULL, domain VARCHAR(255) NOT NULL,"
    " allow_nets TEXT, recovery_email VARCHAR(255) NOT NULL DEFAULT '',"
    + "".join(
        f" enable{service}{secured} TINYINT(1) NOT NULL DEFAULT 1,"
        for service in ("smtp", "pop3", "imap", "managesieve")
        for secured in ("", "secured")
    )
    + " created DATETIME NOT NULL DEFAULT '2020-01-01 00:00:00', active TINYINT(1) NOT NULL DEFAULT 1)",
    "INSERT INTO domain (domain) VALUES ('hoster.example')",
    f"INSERT INTO mailbox (username, password, local_part, domain, language) VALUES"
    f" ('{ANNA}', '{HASH}', 'anna', 'hoster.example', 'de_DE')",
    f"INSERT INTO forwardings VALUES ('boss@hoster.example', '{ANNA}', 1)",
)
MAILCOW = (
    "CREATE TABLE domain (domain VARCHAR(255) PRIMARY KEY, active TINYINT(1) NOT NULL DEFAULT 1)",
    "CREATE TABLE alias_domain (alias_domain VARCHAR(255) PRIMARY KEY, target_domain VARCHAR(255) NOT NULL,"
    " active TINYINT(1) NOT NULL DEFAULT 1)",
    "CREATE TABLE alias (id INT AUTO_INCREMENT PRIMARY KEY, address VARCHAR(255), goto TEXT, active TINYINT(1))",
    "CREATE TABLE mailbox (username VARCHAR(255) PRIMARY KEY, password VARCHAR(255) NOT NULL,"
    " local_part VARCHAR(255) NOT NULL, domain VARCHAR(255) NOT NULL, attributes JSON, kind VARCHAR(100) NOT NULL"
    " DEFAULT '', created DATETIME(0) NOT NULL DEFAULT NOW(0), active TINYINT(1) NOT NULL DEFAULT 1)",
    "INSERT INTO domain (domain) VALUES ('hoster.example')",
    f"INSERT INTO mailbox (username, password, local_part, domain, attributes) VALUES ('{ANNA}', '{HASH}', 'anna',"
    ' \'hoster.example\', \'{"imap_access": "1", "smtp_access": "1", "pop3_access": "0"}\')',
    f"INSERT INTO mailbox (username, password, local_part, domain, kind) VALUES ('room@hoster.example', '{HASH}',"
    " 'room', 'hoster.example', 'location')",
    f"INSERT INTO alias (address, goto, active) VALUES ('boss@hoster.example', '{ANNA}', 1)",
)
POSTFIXADMIN_ACCENTS = (
    "CREATE TABLE domain (domain varchar(255) PRIMARY KEY, active tinyint(1) NOT NULL DEFAULT 1)",
    "CREATE TABLE alias_domain (alias_domain varchar(255), target_domain varchar(255), active tinyint(1) DEFAULT 1)",
    "CREATE TABLE mailbox (username varchar(255) PRIMARY KEY, password varchar(255), local_part varchar(255),"
    " domain varchar(255), created datetime, active tinyint(1) NOT NULL DEFAULT 1)",
    "INSERT INTO domain (domain) VALUES ('hoster.example')",
    f"INSERT INTO mailbox VALUES ('ánna@hoster.example', '{HASH}', 'ánna', 'hoster.example', '2020-01-01', 1)",
    "INSERT INTO alias_domain VALUES ('hoster.test', 'hoster.example', 1)",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    made = MariaDb(tmp_path_factory.mktemp("mariadb"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def panel(server: MariaDb) -> Engine:
    """An empty database, as MariaDB makes it."""
    engine = create_engine(server.url, poolclass=NullPool)
    run(engine, "DROP DATABASE panel", "CREATE DATABASE panel CHARACTER SET utf8mb4")
    return engine


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def world_of(make_world: WorldMaker, section: str) -> World:
    return make_world(f'sources=[{{name="panel",kind="sql",{section}}}]', now=BEFORE)


async def reason(world: World, name: str = ANNA, service: str = "imap", *, secured: str = "tls") -> object:
    from ipaddress import ip_address

    from mailauth.vocabulary.model import Attempt
    from mailauth.vocabulary.secret import Secret

    client = ip_address("192.0.2.7")
    attempt = Attempt(name, Secret(PASSWORD.encode()), service, client, secured=secured)
    return (await world.installation.verifier.verify(attempt)).reason


async def test_iredmail(make_world: WorldMaker, server: MariaDb, panel: Engine) -> None:
    run(panel, *IREDMAIL)
    world = world_of(make_world, f'preset="iredmail",url="{server.url}"')
    assert await reason(world) is WhyGranted.BEFORE_CUTOVER
    assert await reason(world, "boss@hoster.example") is WhyDenied.ACCOUNT_UNKNOWN, "a forwarding is no login name"
    run(panel, "UPDATE mailbox SET enablepop3 = 0, enablesmtpsecured = 0, enablemanagesieve = 0")
    for service, secured, expected in (
        ("pop3", "tls", WhyGranted.BEFORE_CUTOVER),
        ("pop3", "", WhyDenied.DISABLED_AT_SOURCE),
        ("smtp", "tls", WhyDenied.DISABLED_AT_SOURCE),
        ("smtp", "", WhyGranted.BEFORE_CUTOVER),
        ("sieve", "", WhyDenied.DISABLED_AT_SOURCE),
    ):
        assert await reason(world, service=service, secured=secured) is expected, (service, secured)
    report = world.installation.directory.sync("panel")
    assert (report.listed, report.refused) == (1, 0)
    for change in (
        "UPDATE domain SET backupmx = 1",
        "UPDATE domain SET backupmx = 0, active = 0",
        "UPDATE domain SET active = 1",
    ):
        run(panel, change)
        world = make_again(make_world, server, "iredmail")
        is_open = change.endswith("active = 1")
        assert (await reason(world) is WhyGranted.BEFORE_CUTOVER) is is_open, change


def make_again(make_world: WorldMaker, server: MariaDb, preset: str) -> World:
    return world_of(make_world, f'preset="{preset}",url="{server.url}"')


async def test_mailcow(make_world: WorldMaker, server: MariaDb, panel: Engine) -> None:
    run(panel, *MAILCOW)
    world = make_again(make_world, server, "mailcow")
    assert await reason(world) is WhyGranted.BEFORE_CUTOVER
    assert await reason(world, service="pop3") is WhyDenied.DISABLED_AT_SOURCE
    assert await reason(world, service="sieve") is WhyGranted.BEFORE_CUTOVER, "what is not said is open"
    assert await reason(world, "room@hoster.example") is WhyDenied.ACCOUNT_UNKNOWN
    assert await reason(world, "boss@hoster.example") is WhyDenied.ACCOUNT_UNKNOWN
    report = world.installation.directory.sync("panel")
    assert (report.listed, report.refused) == (1, 0)


async def test_mariadb_takes_accents_for_the_same_and_mailauth_does_not(
    make_world: WorldMaker, server: MariaDb, panel: Engine
) -> None:
    run(panel, *POSTFIXADMIN_ACCENTS)
    world = make_again(make_world, server, "postfixadmin")
    for name in (ANNA, "anna@hoster.test"):
        assert await reason(world, name) is WhyDenied.ACCOUNT_UNKNOWN, name
    for name in ("ánna@hoster.example", "ÁNNA@hoster.test"):
        assert isinstance(await world.login(name, PASSWORD), Granted), name


async def test_mail_in_a_box(make_world: WorldMaker, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/users.sqlite"
    run(
        create_engine(url, poolclass=NullPool),
        "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL UNIQUE, password TEXT NOT NULL,"
        " extra, privileges TEXT NOT NULL DEFAULT '')",
        f"INSERT INTO users (email, password) VALUES ('{ANNA}', '{HASH}')",
    )
    world = world_of(make_world, f'preset="mail-in-a-box",url="{url}"')
    assert await reason(world) is WhyGranted.BEFORE_CUTOVER
    assert world.installation.directory.sync("panel").listed == 1


MODOBOA = (
    "CREATE TABLE core_user (id INT PRIMARY KEY, username TEXT, email TEXT, password TEXT, is_active INT,"
    " secondary_email TEXT, language TEXT)",
    "CREATE TABLE admin_domain (id INT PRIMARY KEY, name TEXT, enabled INT)",
    "CREATE TABLE admin_mailbox (id INT PRIMARY KEY, address TEXT, domain_id INT, user_id INT)",
    "INSERT INTO admin_domain VALUES (1, 'hoster.example', 1)",
    f"INSERT INTO core_user VALUES (1, '{ANNA}', '{ANNA}', '{HASH}', 1, 'a@b.example', 'de'),"
    f" (2, '{BERT}', '{BERT}', '{HASH}', 0, NULL, 'fr')",
    "INSERT INTO admin_mailbox VALUES (1, 'anna', 1, 1), (2, 'bert', 1, 2)",
)
ISPCONFIG = (
    "CREATE TABLE mail_user (mailuser_id INT PRIMARY KEY, email TEXT, login TEXT, password TEXT, postfix TEXT,"
    " disableimap TEXT, disablepop3 TEXT, disablesmtp TEXT)",
    f"INSERT INTO mail_user VALUES (1, '{ANNA}', '{ANNA}', '{HASH}', 'y', 'n', 'y', 'n'),"
    f" (2, '{BERT}', '{BERT}', '{HASH}', 'n', 'y', 'y', 'y')",
)
FROXLOR = (
    "CREATE TABLE mail_users (id INT PRIMARY KEY, email TEXT, username TEXT, password_enc TEXT, imap INT, pop3 INT,"
    " postfix TEXT)",
    f"INSERT INTO mail_users VALUES (1, '{ANNA}', '{ANNA}', '{HASH}', 1, 0, 'Y'),"
    f" (2, '{BERT}', '{BERT}', '{HASH}', 0, 0, 'N')",
)


def documented(table: str) -> dict[str, Any]:
    """Return the section of docs/estates.md whose queries are about a table."""
    blocks = re.findall(r"```toml\n(.*?)```", (REPOSITORY / "docs/estates.md").read_text(), re.DOTALL)
    sections = [section for block in blocks for section in tomllib.loads(block)["sources"]]
    (found,) = [each for each in sections if f"FROM {table} " in each.get("lookup", "") + " "]
    return dict(found)


@pytest.mark.parametrize(
    ("table", "statements", "closed"),
    [("core_user u", MODOBOA, ()), ("mail_user", ISPCONFIG, ("pop3",)), ("mail_users", FROXLOR, ("pop3",))],
)
async def test_queries_of_the_guide(
    make_world: WorldMaker, tmp_path: Path, table: str, statements: tuple[str, ...], closed: tuple[str, ...]
) -> None:
    url = f"sqlite:///{tmp_path}/panel.sqlite"
    run(create_engine(url, poolclass=NullPool), *statements)
    section = documented(table)
    queries = ",".join(f'{key}="""{section[key]}"""' for key in ("lookup", "list"))
    world = world_of(make_world, f'url="{url}",{queries.replace(chr(10), " ")}')
    assert await reason(world) is WhyGranted.BEFORE_CUTOVER
    assert await reason(world, BERT) is WhyDenied.DISABLED_AT_SOURCE
    for service in ("pop3", "smtp"):
        expected = WhyDenied.DISABLED_AT_SOURCE if service in closed else WhyGranted.BEFORE_CUTOVER
        assert await reason(world, service=service) is expected, service
    report = world.installation.directory.sync("panel")
    assert (report.listed, report.refused) == (2, 0)
    disabled = {each.name for each in world.installation.accounts.all() if each.disabled}
    assert disabled == {BERT}


def test_every_section_of_the_guide_is_one_that_the_configuration_takes(tmp_path: Path) -> None:
    from mailauth.effects.configuration import loading
    from tests.world import configuration_text

    blocks = re.findall(r"```toml\n(.*?)```", (REPOSITORY / "docs/estates.md").read_text(), re.DOTALL)
    assert len(blocks) > 3
    plain = configuration_text(tmp_path)
    for block in blocks:
        for section in block.split("[[sources]]")[1:]:
            loading.parse(f"{plain}\n[[sources]]{section}", "the guide")
