"""What a source says for one service, or of networks, holds for app passwords and remembered logins as well."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from mailauth.vocabulary.model import AccountName, Granted
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable
from tests.world import CUTOVER, World, WorldMaker, enrol_account

ANNA, PASSWORD = "anna@hoster.example", "correct horse battery"
BEFORE = CUTOVER - timedelta(days=30)
HOME, AWAY = "192.0.2.7", "198.51.100.4"
LOOKUP = (
    "SELECT name, '{PLAIN}' || password AS hash, nets AS allow_nets, "
    "CASE :service WHEN 'smtp' THEN smtp WHEN 'imap' THEN imap ELSE 1 END AS active FROM people WHERE name = :user"
)
PLAIN_LOOKUP = "SELECT name, '{PLAIN}' || password AS hash, nets AS allow_nets FROM people WHERE name = :user"


class Panel:
    """A table of people, with a column for each service."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "panel.sqlite"
        self.run("CREATE TABLE people (name TEXT, password TEXT, imap INT DEFAULT 1, smtp INT DEFAULT 1, nets TEXT)")
        self.run(f"INSERT INTO people (name, password) VALUES ('{ANNA}', '{PASSWORD}')")

    def run(self, statement: str) -> None:
        with sqlite3.connect(self.path) as connection:
            connection.execute(statement)
        connection.close()

    def world(self, make_world: WorldMaker, lookup: str = LOOKUP) -> World:
        listed = "SELECT name, '{PLAIN}' || password AS hash, nets AS allow_nets FROM people"
        section = f'kind="sql",url="sqlite:///{self.path}",lookup="""{lookup}""",list="""{listed}"""'
        return make_world(f"sources=[{{{section}}}]", "login_memory.life_s=86400", now=BEFORE)


@pytest.fixture
def panel(tmp_path: Path) -> Panel:
    return Panel(tmp_path)


async def reason(world: World, secret: str, service: str = "imap", client: str | None = HOME) -> object:
    return (await world.login(ANNA, secret, service=service, client=client)).reason


async def test_service_that_is_closed_at_the_source_is_closed_to_every_credential(
    make_world: WorldMaker, panel: Panel
) -> None:
    panel.run("UPDATE people SET smtp = 0")
    world = panel.world(make_world)
    assert await reason(world, PASSWORD, "smtp") is WhyDenied.DISABLED_AT_SOURCE
    assert await reason(world, PASSWORD) is WhyGranted.BEFORE_CUTOVER
    anna = enrol_account(world.installation, AccountName(ANNA), PASSWORD)
    token = world.installation.app_passwords.make(ANNA, "phone").password
    assert await reason(world, token) is WhyGranted.APP_PASSWORD_GIVEN
    assert await reason(world, token, "smtp") is WhyDenied.SERVICE_CLOSED_AT_SOURCE
    later, secret = (PASSWORD + anna.code(world.clock(), steps) for steps in (1, 0))
    assert await reason(world, later, "smtp") is WhyDenied.DISABLED_AT_SOURCE
    assert await reason(world, secret) is WhyGranted.SECOND_FACTOR_GIVEN
    assert await reason(world, secret) is WhyGranted.REMEMBERED
    panel.run("UPDATE people SET imap = 0")
    await world.login(ANNA, "an old password", client=AWAY)
    assert isinstance(await world.login(ANNA, secret), Granted) is False
    world.clock.advance(minutes=11)
    assert await reason(world, token) is WhyDenied.SERVICE_CLOSED_AT_SOURCE


async def test_app_password_for_a_service_that_nothing_is_known_of_asks_the_source_once(
    make_world: WorldMaker, panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = panel.world(make_world)
    await world.login(ANNA, PASSWORD)
    token = world.installation.app_passwords.make(ANNA, "phone").password
    panel.run("ALTER TABLE people RENAME TO elsewhere")
    assert await reason(world, token, "smtp") is WhyUnavailable.SOURCE_UNAVAILABLE
    assert await reason(world, token) is WhyGranted.APP_PASSWORD_GIVEN, "what was said a moment ago holds"
    panel.run("ALTER TABLE elsewhere RENAME TO people")
    assert await reason(world, token, "smtp") is WhyGranted.APP_PASSWORD_GIVEN
    panel.run("ALTER TABLE people RENAME TO elsewhere")
    assert await reason(world, token, "smtp") is WhyGranted.APP_PASSWORD_GIVEN
    world.clock.advance(minutes=20)
    assert await reason(world, token, "smtp") is WhyGranted.APP_PASSWORD_GIVEN, "what was said last holds"


@pytest.mark.parametrize("lookup", [LOOKUP, PLAIN_LOOKUP])
async def test_networks_of_the_source_hold_for_every_credential(
    make_world: WorldMaker, panel: Panel, lookup: str
) -> None:
    panel.run("UPDATE people SET nets = '192.0.2.0/24, 2001:db8::/32'")
    world = panel.world(make_world, lookup)
    assert await reason(world, PASSWORD, client=AWAY) is WhyDenied.NETWORK_CLOSED_AT_SOURCE
    assert await reason(world, PASSWORD, client=None) is WhyDenied.NETWORK_CLOSED_AT_SOURCE
    assert await reason(world, PASSWORD) is WhyGranted.BEFORE_CUTOVER
    assert await reason(world, PASSWORD, client="2001:db8::1") is WhyGranted.BEFORE_CUTOVER
    anna = enrol_account(world.installation, AccountName(ANNA), PASSWORD)
    token = world.installation.app_passwords.make(ANNA, "phone").password
    assert await reason(world, token) is WhyGranted.APP_PASSWORD_GIVEN
    assert await reason(world, token, client=AWAY) is WhyDenied.NETWORK_CLOSED_AT_SOURCE
    secret = PASSWORD + anna.code(world.clock())
    assert await reason(world, secret) is WhyGranted.SECOND_FACTOR_GIVEN
    assert await reason(world, secret) is WhyGranted.REMEMBERED
    panel.run("UPDATE people SET nets = '203.0.113.0/24'")
    await world.login(ANNA, "an old password", client=AWAY)
    assert isinstance(await world.login(ANNA, secret), Granted) is False


async def test_directory_follows_the_networks(make_world: WorldMaker, panel: Panel) -> None:
    panel.run("UPDATE people SET nets = '192.0.2.0/24'")
    world = panel.world(make_world, PLAIN_LOOKUP)
    world.installation.directory.sync("sql")
    token = world.installation.app_passwords.make(ANNA, "phone").password
    assert await reason(world, token, client=AWAY) is WhyDenied.NETWORK_CLOSED_AT_SOURCE
    panel.run("UPDATE people SET nets = NULL")
    world.installation.directory.sync("sql")
    token = world.installation.app_passwords.make(ANNA, "tablet").password
    assert await reason(world, token, client=AWAY) is WhyGranted.APP_PASSWORD_GIVEN


async def test_networks_that_cannot_be_read_let_nobody_in(make_world: WorldMaker, panel: Panel) -> None:
    panel.run("UPDATE people SET nets = 'local'")
    world = panel.world(make_world)
    assert await reason(world, PASSWORD) is WhyUnavailable.SOURCE_UNAVAILABLE
