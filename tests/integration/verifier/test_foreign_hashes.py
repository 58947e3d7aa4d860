"""PW5: an account whose hash another system has made logs in with its password, and has one of ours from then on."""

import asyncio
import base64
import hashlib
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from mailauth.core.password_chain import Right
from mailauth.core.source_entry import Asked
from mailauth.effects import password_schemes
from mailauth.effects.passwords import SCHEME
from mailauth.effects.store import accounts
from mailauth.effects.store.database import Database
from mailauth.effects.store.tables import account
from mailauth.vocabulary.model import Denied, Granted, Unavailable
from mailauth.vocabulary.reasons import WhyDenied, WhyUnavailable
from tests.transactions import reading, writing
from tests.world import World, WorldMaker

NOT_BY_US = {"OTP", "PLAIN-MD4", "CRAM-MD5", "HMAC-MD5"}
SSHA_OF_NOTHING = base64.b64encode(hashlib.sha1(b"salt").digest() + b"salt").decode()
WHO, PASSWORD = "anna@mailitwize.be", "correct horse battery"


def doveadm(*words: str) -> str:
    program = shutil.which("doveadm", path="/usr/bin:/bin:/usr/sbin")
    assert program is not None, "deploy/bootstrap installs Dovecot"
    return subprocess.run([program, "pw", *words], capture_output=True, text=True, check=True).stdout


def hash_of(world: World) -> str:
    with reading(world.installation.database) as connection:
        return str(connection.execute(select(account.c.password_hash)).scalar_one())


def store(world: World, value: str) -> None:
    with writing(world.installation.database) as connection:
        connection.execute(update(account).values(password_hash=value))


@pytest.fixture
def renewed(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Give what is set once a hash has been replaced, or has not had to be, and that is in force."""
    done, is_renewing = threading.Event(), threading.Event()
    renew, later = accounts.renew_hash, Database.later

    def renewing(*arguments: Any) -> None:
        renew(*arguments)
        is_renewing.set()

    def telling(self: Database, job: Callable[[], object]) -> None:
        def told() -> None:
            job()
            if is_renewing.is_set():
                is_renewing.clear()
                done.set()

        later(self, told)

    monkeypatch.setattr(accounts, "renew_hash", renewing)
    monkeypatch.setattr(Database, "later", telling)
    return done


async def ends(done: threading.Event) -> None:
    assert await asyncio.to_thread(done.wait, 30)
    done.clear()


async def test_every_scheme_that_dovecot_makes_lets_in_and_is_replaced(
    make_world: WorldMaker, renewed: threading.Event
) -> None:
    world = make_world("cutover.date=2099-01-01T00:00Z")
    world.add(WHO)
    schemes = doveadm("-l").split()
    assert len(schemes) > 25
    for scheme in schemes:
        made = doveadm("-s", scheme, "-p", PASSWORD, "-u", WHO).strip()
        store(world, made)
        epoch = world.installation.accounts.get(WHO).epoch
        if scheme in NOT_BY_US:
            verdict = await world.login(WHO, PASSWORD)
            assert isinstance(verdict, Unavailable), scheme
            assert verdict.reason is WhyUnavailable.HASH_UNREADABLE
            continue
        wrong = await world.login(WHO, "Wrong horse battery")
        assert isinstance(wrong, Denied), scheme
        assert wrong.reason is WhyDenied.PASSWORD_WRONG
        assert hash_of(world) == made, "a wrong password replaces nothing"
        assert isinstance(await world.login(WHO, PASSWORD), Granted), scheme
        if made.startswith(SCHEME) or not password_schemes.settles(made, PASSWORD.encode()):
            assert hash_of(world) == made, "it is as good as ours, or of a part of the password"
            continue
        await ends(renewed)
        assert hash_of(world).startswith(SCHEME), scheme
        assert world.installation.accounts.get(WHO).epoch == epoch, "nothing ends by it"
        assert isinstance(await world.login(WHO, PASSWORD), Granted), scheme


@pytest.mark.parametrize("scheme", ["DES-CRYPT", "PLAIN-TRUNC", "BLF-CRYPT"])
async def test_what_only_begins_as_the_password_does_never_becomes_the_password(
    make_world: WorldMaker, scheme: str
) -> None:
    """Somebody types the code behind it before the cut-over, as they were told: their phone goes on without."""
    world = make_world("cutover.date=2099-01-01T00:00Z")
    world.add(WHO)
    password = "x" * 72 if scheme == "BLF-CRYPT" else "sommer20"
    made = "{PLAIN-TRUNC}8-sommer20" if scheme == "PLAIN-TRUNC" else doveadm("-s", scheme, "-p", password).strip()
    store(world, made)
    for presented in (password + "19123456", password, password + "elsewhere"):
        whose = world.installation.accounts.get(WHO)
        answer = await world.own_table.check(Asked(whose.name), whose, None, presented.encode())
        assert answer == Right("own"), presented
        assert isinstance(await world.login(WHO, presented), Granted), presented


@pytest.mark.parametrize(
    "stored", ["{PLAIN}", "{CLEAR}", "{PLAIN-TRUNC}", "{PLAIN-TRUNC}0-", "{SSHA}" + SSHA_OF_NOTHING]
)
async def test_code_with_nothing_before_it_is_one_factor_whatever_is_stored(
    make_world: WorldMaker, stored: str
) -> None:
    world = make_world()
    anna = world.enrol(WHO)
    store(world, stored)
    verdict = await world.login(WHO, anna.code(world.clock()))
    assert verdict.reason is WhyDenied.PASSWORD_WRONG


@pytest.mark.parametrize("stored", ["*", "!", "!$6$salt$x", "{CRYPT}!"])
async def test_locked_hash_is_refused_as_any_wrong_password_is(make_world: WorldMaker, stored: str) -> None:
    world = make_world()
    world.add(WHO)
    store(world, stored)
    for presented in ("wrong", stored):
        assert (await world.login(WHO, presented)).reason is WhyDenied.PASSWORD_WRONG


async def test_hash_that_was_changed_meanwhile_is_not_replaced(
    make_world: WorldMaker, renewed: threading.Event
) -> None:
    world = make_world("cutover.date=2099-01-01T00:00Z")
    world.add(WHO)
    store(world, "{PLAIN}" + PASSWORD)
    verify = world.own_table.hasher.verify

    def verify_and_change(stored: str | None, password: bytes, name: str = "", default_scheme: str = "") -> bool:
        is_right = verify(stored, password, name)
        store(world, "{PLAIN}changed")
        return is_right

    world.own_table.hasher.verify = verify_and_change  # type: ignore[method-assign]
    await world.login(WHO, PASSWORD)
    await ends(renewed)
    assert hash_of(world) == "{PLAIN}changed"


@pytest.mark.parametrize("floor_ms", [0, 150])
async def test_refusal_is_no_sooner_than_its_floor_and_nothing_else_waits(
    make_world: WorldMaker, monkeypatch: pytest.MonkeyPatch, floor_ms: int
) -> None:
    """ENU2, where passwords are checked in several ways."""
    world = make_world(f"server.refusal_floor_ms={floor_ms}")
    anna = world.enrol(WHO)
    for name in (WHO, "nobody@mailitwize.be"):
        began = time.monotonic()
        assert isinstance(await world.login(name, "wrong"), Denied)
        assert time.monotonic() - began >= floor_ms / 1000
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert isinstance(await world.login(WHO, anna.password + anna.code(world.clock())), Granted)
    assert waited == []


async def test_refusals_of_many_guesses_at_once_leave_a_floor_apart(make_world: WorldMaker) -> None:
    """ENU2: else the time of the last of them tells how long one check takes."""
    world = make_world("server.refusal_floor_ms=100")
    world.add(WHO)
    for name in (WHO, "nobody@mailitwize.be"):
        left: list[float] = []

        async def guess(password: str, name: str = name, left: list[float] = left) -> None:
            assert not isinstance(await world.login(name, password), Granted)
            left.append(time.monotonic())

        began = time.monotonic()
        await asyncio.gather(*(guess(f"wrong {number}") for number in range(6)))
        assert all(moment - began >= 0.1 * number for number, moment in enumerate(sorted(left), 1))
