"""NAME3: a password with accents opens the account however a device types it, at the same work for every account."""

from collections.abc import Iterator
from unittest.mock import patch

import argon2
import pytest
from sqlalchemy import update

from mailauth.effects.store import accounts
from mailauth.effects.store.tables import totp
from mailauth.vocabulary.model import Granted, TotpParameters, Verdict
from mailauth.vocabulary.reasons import Reason, WhyDenied
from mailauth.vocabulary.secret import Secret
from tests.transactions import writing
from tests.world import Person, World

COMPOSED, DECOMPOSED = "correct hörse", "correct ho\u0308rse"
OTHER_SPACE = "correct\u00a0ho\u0308rse"
TWO_FORMS = (DECOMPOSED, "wro\u0308ng")
PLAIN_TAILS = ("", "000000", "00000000", "0000 0000", "zzzz-2222-zzzz-2222", "zzzz\u20102222\u2010zzzz\u20102222")
INVISIBLE_TAILS = ("000000\u200b", "zzzz\u200b2222\u200bzzzz\u200b2222")
"""The profile refuses a zero-width space: the whole has one form, and what stands before the code may have two."""
BLANK_TAILS = ("000000\u00a0", "00000000\u00a0", "000000\u2003", "zzzz\u00a02222\u00a0zzzz\u00a02222")
"""The whole has two forms, and what stands before the code may have one."""


@pytest.fixture
def hashes() -> Iterator[list[object]]:
    """Give the list of hashes that were computed to check a password."""
    counted: list[object] = []
    real = argon2.PasswordHasher.verify

    def counting(self: argon2.PasswordHasher, encoded: str | bytes, password: str | bytes) -> bool:
        counted.append(encoded)
        return real(self, encoded, password)

    with patch.object(argon2.PasswordHasher, "verify", counting):
        yield counted


def reason(verdict: Verdict) -> Reason:
    return verdict.reason


async def test_password_opens_the_account_however_its_accents_are_typed(world: World) -> None:
    for number, set_as in enumerate((COMPOSED, DECOMPOSED, OTHER_SPACE)):
        person = world.enrol(f"person{number}", set_as)
        for steps, typed in ((0, DECOMPOSED), (1, COMPOSED)):
            assert isinstance(await world.login(person.name, typed + person.code(world.clock(), steps)), Granted)
        assert reason(await world.login(person.name, OTHER_SPACE)) is WhyDenied.CODE_MISSING
        assert reason(await world.login(person.name, "correct horse")) is WhyDenied.PASSWORD_WRONG
        world.installation.accounts.set_password(person.name, Secret(b"another one"), revoke_app_passwords=False)
        assert reason(await world.login(person.name, typed)) is WhyDenied.PASSWORD_WRONG


async def test_hash_of_other_bytes_from_before_is_still_right_by_its_bytes(world: World) -> None:
    """What was kept as it was typed, on a Mac or in Latin-1, goes on being right as it was typed."""
    for number, typed in enumerate((DECOMPOSED.encode(), OTHER_SPACE.encode(), "hörse".encode("latin-1"))):
        person = keep_as_typed(world, world.add(f"person{number}"), typed)
        assert reason(await world.login(person.name, typed)) is WhyDenied.NOT_ENROLLED
        assert reason(await world.login(person.name, typed + b"!")) is WhyDenied.PASSWORD_WRONG


async def test_two_forms_cost_two_hashes_whoever_is_asked_for(world: World, hashes: list[object]) -> None:
    """ENU2: the presented string alone decides, right or wrong, enrolled or not, known or not."""
    enrolled, plain, bytes_of_old = world.enrol("alice", COMPOSED), world.add("carol", COMPOSED), world.add("dora")
    keep_as_typed(world, bytes_of_old, DECOMPOSED.encode())
    long_codes = world.enrol("fenna", COMPOSED)
    take_over(world, long_codes, TotpParameters(digits=8))
    disabled = world.add("erna", COMPOSED)
    world.installation.accounts.set_disabled(disabled.name, disabled=True)
    names = [person.name for person in (enrolled, long_codes, plain, bytes_of_old, disabled)] + [
        "nobody@mailitwize.be"
    ]
    refused = "\u200b" + DECOMPOSED  # by the profile, so that it has one form
    expected = {
        head + tail: 1 + (head in TWO_FORMS or (tail in BLANK_TAILS and head != refused))
        for head in (COMPOSED, "wr\u00f6ng", "ascii", refused, *TWO_FORMS)
        for tail in (*PLAIN_TAILS, *INVISIBLE_TAILS, *BLANK_TAILS)
    }
    for secret, count in expected.items():
        for name in names:
            hashes.clear()
            await world.login(name, secret)
            assert len(hashes) == count, (ascii(secret), name)


def take_over(world: World, person: Person, parameters: TotpParameters) -> None:
    """Let an authenticator be one of other parameters."""
    values = {"digits": parameters.digits, "period_s": parameters.period_s, "algorithm": parameters.algorithm}
    account = world.installation.accounts.get(person.name)
    with writing(world.installation.database) as connection:
        connection.execute(update(totp).where(totp.c.account_id == account.id).values(last_step=0, **values))


def keep_as_typed(world: World, person: Person, password: bytes) -> Person:
    """Store a hash as it was made before passwords had one form."""
    source = world.own_table
    account = world.installation.accounts.get(person.name)
    with writing(world.installation.database) as connection:
        accounts.set_password(connection, account.id, source.hasher.hash(password))
    return person
