"""Asked for the second factor alone, mailauth says where it is in the string and leaves the password to others."""

import pytest

from mailauth.vocabulary.model import Attempt, Credential, Denied, Granted, Reason, Verdict
from mailauth.vocabulary.secret import Secret
from tests.world import World, WorldMaker


async def ask(world: World, name: str, secret: str, client: str = "192.0.2.7") -> Verdict:
    from ipaddress import ip_address

    attempt = Attempt(name, Secret(secret.encode()), "imap", ip_address(client), second_factor_only=True)
    return await world.installation.verifier.verify(attempt)


@pytest.mark.parametrize("password", ["correct horse", "any other, which others refuse", "", "ends in 123456"])
async def test_code_is_found_behind_whatever_password(world: World, password: str) -> None:
    alice = world.enrol("alice")
    verdict = await ask(world, "alice", password + alice.code(world.clock()))
    assert verdict == Granted(alice.name, Credential.CODE_ONLY, Reason.SECOND_FACTOR_GIVEN, tail_bytes=6)


async def test_tail_is_counted_as_it_was_typed(world: World) -> None:
    alice = world.enrol("alice")
    code = alice.code(world.clock())
    verdict = await ask(world, "alice", f"grün{code[:3]} {code[3:]}")
    assert isinstance(verdict, Granted)
    assert verdict.tail_bytes == 7
    _, codes = world.installation.enrolment.issue_recovery_codes("alice")
    verdict = await ask(world, "alice", "grün" + codes[0])
    assert isinstance(verdict, Granted)
    assert (verdict.credential, verdict.tail_bytes) == (Credential.RECOVERY_CODE_ONLY, 19)


async def test_wrong_missing_and_spent_codes_are_refused(world: World) -> None:
    alice = world.enrol("alice")
    code = alice.code(world.clock())
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    assert isinstance(await ask(world, "alice", "correct horse" + code), Granted)
    for secret in ("correct horse" + code, "correct horse" + wrong, "correct horse", "correct horse "):
        assert isinstance(await ask(world, "alice", secret), Denied), secret
    assert isinstance(await ask(world, "nobody", "x" + code), Denied)


async def test_not_enrolled_account_needs_no_code_before_the_cutover_only(make_world: WorldMaker) -> None:
    world = make_world("cutover.date=2030-01-01T00:00Z")
    carol = world.add("carol")
    assert await ask(world, "carol", "anything 123456") == Granted(
        carol.name, Credential.NOTHING, Reason.BEFORE_CUTOVER, tail_bytes=0
    )
    world.clock.now = world.installation.policy.cutover.moment
    assert isinstance(await ask(world, "carol", "anything 123456"), Denied)


async def test_app_password_is_no_second_factor(world: World) -> None:
    world.enrol("alice")
    made = world.installation.enrolment.add_app_password("alice", "phone")
    assert isinstance(await ask(world, "alice", made.password), Denied)


async def test_what_was_remembered_without_password_never_opens_a_full_login(make_world: WorldMaker) -> None:
    """The string's head was never checked: in the login memory it must not stand for a password."""
    world = make_world("login_memory.life_s=600")
    alice = world.enrol("alice")
    secret = "wrong horse" + alice.code(world.clock())
    assert isinstance(await ask(world, "alice", secret), Granted)
    assert isinstance(await ask(world, "alice", secret), Granted)
    assert isinstance(await world.login("alice", secret, "imap", "192.0.2.7"), Denied)
