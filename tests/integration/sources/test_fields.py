"""What a source says of a user for Dovecot: handed on with every credential, to whoever may read it alone."""

from datetime import timedelta
from pathlib import Path

import pytest

from mailauth.core import protocol
from mailauth.effects.configuration import loading
from mailauth.usecases.lookups import Exists
from mailauth.vocabulary.errors import InvalidConfiguration
from mailauth.vocabulary.model import AccountName, Granted
from tests.world import CUTOVER, WorldMaker, configuration_text, enrol_account

ANNA, PASSWORD = "anna@hoster.example", "correct horse battery"
BEFORE = CUTOVER - timedelta(days=30)
FIELDS = (("userdb_quota_rule", "*:storage=5M"), ("proxy", "y"), ("host", "192.0.2.1"), ("pass", "secret"))
TOLD_OF_LOOKUPS = tuple(each for each in FIELDS if each[0] != "pass")


def section(directory: Path, *others: str) -> str:
    (directory / "users").write_text(
        f"{ANNA}:{{PLAIN}}{PASSWORD}::::::{' '.join(f'{name}={value}' for name, value in FIELDS)} nodelay\n"
    )
    names = ",".join(f'"{name}"' for name, _ in FIELDS)
    return f'sources=[{{kind="passwd-file",file="{directory}/users",fields=[{names}]}}]'


async def test_fields_come_with_every_credential(make_world: WorldMaker, tmp_path: Path) -> None:
    world = make_world(section(tmp_path), "login_memory.life_s=600", now=BEFORE)
    assert await world.installation.lookups.find(ANNA) == Exists(ANNA, TOLD_OF_LOOKUPS)

    async def fields(secret: str) -> object:
        verdict = await world.login(ANNA, secret)
        assert isinstance(verdict, Granted), verdict
        return verdict.fields

    assert await fields(PASSWORD) == FIELDS
    assert await fields(PASSWORD) == FIELDS, "remembered for a while"
    assert await world.installation.lookups.find(ANNA) == Exists(ANNA, TOLD_OF_LOOKUPS)
    anna = enrol_account(world.installation, AccountName(ANNA), PASSWORD)
    secret = PASSWORD + anna.code(world.clock())
    assert await fields(secret) == FIELDS
    assert await fields(secret) == FIELDS, "by the login memory"
    token = world.installation.app_passwords.make(ANNA, "phone").password
    assert await fields(token) == FIELDS
    assert await fields(token) == FIELDS, "from the cache"


@pytest.mark.parametrize(
    "name",
    [
        "nologin",
        "nopassword",
        "noauthenticate",
        "reason",
        "user",
        "password",
        "allow_nets",
        "userdb_",
        "a b",
        "userdb_a\tb",
    ],
)
def test_field_that_would_change_who_is_let_in_is_refused(name: str, tmp_path: Path) -> None:
    assert not protocol.is_field(name)
    if name.isprintable():
        with pytest.raises(InvalidConfiguration, match="no field that can be handed to Dovecot"):
            loading.parse(
                configuration_text(tmp_path, f'sources=[{{kind="passwd-file",file="/x",fields=["{name}"]}}]'), "test"
            )


def test_proxy_without_a_password_for_it_is_refused(tmp_path: Path) -> None:
    """The back end would be sent what the client typed, and the code in it is spent."""
    with pytest.raises(InvalidConfiguration, match="proxy without pass or master"):
        loading.parse(
            configuration_text(tmp_path, 'sources=[{kind="passwd-file",file="/x",fields=["proxy","host"]}]'), "test"
        )


def test_values_cannot_end_a_field_or_a_line() -> None:
    line = protocol.ok(1, "anna", fields=[("userdb_x", "a\tnologin=y\nOK\t2\tuser=b\x01")])
    assert line.count(b"\n") == 1
    assert line.count(b"\t") == 3
