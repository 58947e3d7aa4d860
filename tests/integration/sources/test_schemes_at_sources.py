"""Hashes as an estate has them: every scheme lets in, and is replaced at the source where it may be."""

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, text

from mailauth.effects.passwords import SCHEME
from mailauth.usecases.directory_comparison import Report
from mailauth.vocabulary.model import AccountName, Granted
from mailauth.vocabulary.reasons import WhyDenied, WhyUnavailable
from tests.estates.panels import Estate, Postfixadmin
from tests.world import CUTOVER, World, WorldMaker, enrol_account

PASSWORD = "correct horse battery"
BEFORE = CUTOVER - timedelta(days=30)
NOT_BY_US = {"OTP", "PLAIN-MD4", "CRAM-MD5", "HMAC-MD5"}
UPGRADE = "UPDATE mailbox SET password = :hash WHERE username = :user AND password = :seen"


def doveadm(*words: str) -> str:
    program = shutil.which("doveadm", path="/usr/bin:/bin:/usr/sbin")
    assert program is not None, "deploy/bootstrap installs Dovecot"
    return subprocess.run([program, "pw", *words], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(create_engine(f"sqlite:///{tmp_path}/panel.sqlite", poolclass=NullPool), Postfixadmin())


def world_of(make_world: WorldMaker, tmp_path: Path, *more: str) -> World:
    section = ",".join(('kind="sql"', 'preset="postfixadmin"', f'url="sqlite:///{tmp_path}/panel.sqlite"', *more))
    return make_world(f"sources=[{{{section}}}]", now=BEFORE)


def stored(estate: Estate, name: str) -> str:
    with estate.engine.connect() as connection:
        statement = text("SELECT password FROM mailbox WHERE username = :name")
        return str(connection.execute(statement, {"name": name}).scalar_one())


async def test_every_scheme_that_dovecot_makes_lets_in(make_world: WorldMaker, estate: Estate, tmp_path: Path) -> None:
    schemes = doveadm("-l").split()
    assert len(schemes) > 25
    for scheme in schemes:
        name = f"{scheme.lower()}@hoster.example"
        estate.add(name, doveadm("-s", scheme, "-p", PASSWORD, "-u", name))
    world = world_of(make_world, tmp_path)
    for scheme in schemes:
        name = f"{scheme.lower()}@hoster.example"
        verdict = await world.login(name, PASSWORD)
        if scheme in NOT_BY_US:
            assert verdict.reason is WhyUnavailable.HASH_UNREADABLE, scheme
            continue
        assert isinstance(verdict, Granted), (scheme, verdict)
        assert (await world.login(name, "wrong")).reason is WhyDenied.PASSWORD_WRONG, scheme
    report: Report = world.installation.directory.sync("sql")
    assert (report.listed, report.refused) == (len(schemes), 0)


@pytest.mark.parametrize(
    ("scheme", "prefix"),
    [
        ("PLAIN-MD5", ""),
        ("SHA512-CRYPT", ""),
        ("BLF-CRYPT", ""),
        ("MD5-CRYPT", ""),
        ("PLAIN", ""),
        ("PLAIN-MD5", "{md5raw}"),
    ],
)
async def test_hash_without_its_scheme_is_of_the_sources_default(
    make_world: WorldMaker, estate: Estate, tmp_path: Path, scheme: str, prefix: str
) -> None:
    made = doveadm("-s", scheme, "-p", PASSWORD).partition("}")[2]
    estate.add("anna@hoster.example", prefix + made)
    world = world_of(make_world, tmp_path, f'default_scheme="{scheme}"')
    assert isinstance(await world.login("anna@hoster.example", PASSWORD), Granted)
    assert (await world.login("anna@hoster.example", "wrong")).reason is WhyDenied.PASSWORD_WRONG


async def test_hash_is_replaced_where_the_site_gives_the_statement_and_nothing_ends_by_it(
    make_world: WorldMaker, estate: Estate, tmp_path: Path
) -> None:
    anna, old = "anna@hoster.example", doveadm("-s", "PLAIN-MD5", "-p", PASSWORD)
    estate.add(anna, old)
    world = world_of(make_world, tmp_path, f'upgrade="{UPGRADE}"')
    renewals = world.installation.verifier._renewals
    await world.login(anna, "wrong")
    await renewals.done()
    assert stored(estate, anna) == old, "a wrong password replaces nothing"
    assert isinstance(await world.login(anna, PASSWORD), Granted)
    await renewals.done()
    assert stored(estate, anna).startswith(SCHEME)
    epoch = world.installation.accounts.get(anna).epoch
    person = enrol_account(world.installation, AccountName(anna), PASSWORD)
    enrolled_epoch = world.installation.accounts.get(anna).epoch
    assert isinstance(await world.login(anna, PASSWORD + person.code(world.clock()), client="198.51.100.9"), Granted)
    world.installation.directory.sync("sql")
    assert world.installation.accounts.get(anna).epoch == enrolled_epoch > epoch, "it is the same password"
    other = world_of(make_world, tmp_path)
    assert isinstance(await other.login(anna, PASSWORD), Granted), "whoever else reads the table can check it"
