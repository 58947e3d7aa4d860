"""Recovery codes: each once, with the password, in any spelling; a new set voids the old (REC1 to REC3)."""

import asyncio

import pytest

from mailauth.vocabulary.model import Credential, Denied, Granted
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted
from tests.world import World


async def test_each_code_of_a_set_works_once(world: World) -> None:
    alice = world.enrol("alice")
    codes = world.installation.recovery_codes.issue("alice")[1]
    assert len(set(codes)) == 10
    for left, code in reversed(list(enumerate(codes))):
        verdict = await world.login("alice", alice.password + code)
        assert verdict == Granted(alice.name, Credential.PASSWORD_AND_RECOVERY_CODE, WhyGranted.SECOND_FACTOR_GIVEN)
        assert world.installation.recovery_codes.left("alice") == left
        verdict = await world.login("alice", alice.password + code)
        assert verdict == Denied(WhyDenied.RECOVERY_CODE_WRONG, alice.name, password_was_right=True)


@pytest.mark.parametrize("spelling", [str.upper, lambda c: c.replace("-", ""), lambda c: c.replace("-", " ")])
async def test_spelling_does_not_matter_and_spends_the_same_code(world: World, spelling: object) -> None:
    alice = world.enrol("alice")
    code = world.installation.recovery_codes.issue("alice")[1][0]
    assert isinstance(await world.login("alice", alice.password + spelling(code)), Granted)  # type: ignore[operator]
    assert isinstance(await world.login("alice", alice.password + code), Denied)


async def test_new_set_voids_the_old_one(world: World) -> None:
    alice = world.enrol("alice")
    old = world.installation.recovery_codes.issue("alice")[1]
    new = world.installation.recovery_codes.issue("alice")[1]
    for code in old:
        assert isinstance(await world.login("alice", alice.password + code), Denied)
    assert isinstance(await world.login("alice", alice.password + new[0]), Granted)


async def test_reset_voids_the_codes_even_after_a_fresh_enrolment(world: World) -> None:
    import base64

    from mailauth.vocabulary.secret import Secret
    from tests.world import Person

    alice = world.enrol("alice")
    code = world.installation.recovery_codes.issue("alice")[1][0]
    world.installation.enrolment.reset("alice")
    assert isinstance(await world.login("alice", alice.password + code), Denied)
    seed = base64.b32decode(world.installation.enrolment.begin("alice").secret)
    again = Person(alice.name, alice.password, seed)
    world.installation.enrolment.confirm("alice", Secret(again.code(world.clock()).encode()))
    assert isinstance(await world.login("alice", alice.password + code), Denied)


async def test_code_of_one_account_opens_no_other(world: World) -> None:
    world.enrol("alice")
    bob = world.enrol("bob")
    code = world.installation.recovery_codes.issue("alice")[1][0]
    assert isinstance(await world.login("bob", bob.password + code), Denied)
    assert world.installation.recovery_codes.left("alice") == 10


async def test_fifty_parallel_uses_of_one_code_pass_once(world: World) -> None:
    # REC2
    alice = world.enrol("alice")
    for code in world.installation.recovery_codes.issue("alice")[1]:
        secret = alice.password + code
        verdicts = await asyncio.gather(*(world.login("alice", secret, client=f"192.0.2.{n}") for n in range(50)))
        assert sum(isinstance(verdict, Granted) for verdict in verdicts) == 1
        assert all(isinstance(verdict, Granted | Denied) for verdict in verdicts)


async def test_fifty_parallel_uses_of_one_verification_code_pass_once(world: World) -> None:
    # CON1
    alice = world.enrol("alice")
    for _ in range(10):
        secret = alice.password + alice.code(world.clock())
        verdicts = await asyncio.gather(*(world.login("alice", secret, client=f"192.0.2.{n}") for n in range(50)))
        assert sum(isinstance(verdict, Granted) for verdict in verdicts) == 1
        world.clock.advance(seconds=30)


async def test_recovery_code_spends_no_step_and_a_code_no_recovery_code(world: World) -> None:
    alice = world.enrol("alice")
    recovery = world.installation.recovery_codes.issue("alice")[1][0]
    code = alice.code(world.clock())
    assert isinstance(await world.login("alice", alice.password + recovery), Granted)
    assert isinstance(await world.login("alice", alice.password + code), Granted)
    assert world.installation.recovery_codes.left("alice") == 9
