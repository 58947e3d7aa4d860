"""What happens between loading and committing voids the decision: nothing is granted on an older state."""

import asyncio
import base64
from collections.abc import Callable

import pytest
from sqlalchemy import text

from mailauth.core import engine
from mailauth.effects.passwords import HashPool
from mailauth.vocabulary.model import Denied, Granted, Verdict
from mailauth.vocabulary.reasons import WhyDenied
from mailauth.vocabulary.secret import Secret
from tests.transactions import writing
from tests.world import Person, World

Change = Callable[[World, Person], object]


def change_password(world: World, alice: Person) -> None:
    world.installation.accounts.set_password(alice.name, Secret(b"battery staple"), revoke_app_passwords=False)


def disable(world: World, alice: Person) -> None:
    world.installation.accounts.set_disabled(alice.name, disabled=True)


def disable_and_enable(world: World, alice: Person) -> None:
    disable(world, alice)
    world.installation.accounts.set_disabled(alice.name, disabled=False)


def disable_behind_our_back(world: World, alice: Person) -> None:
    """As an administrator with a database shell would: the epoch stays."""
    with writing(world.installation.database) as connection:
        connection.execute(text("UPDATE account SET disabled_at = 1"))


def reset(world: World, alice: Person) -> None:
    world.installation.enrolment.reset(alice.name)


def enrol_another_phone(world: World, alice: Person) -> None:
    begun = world.installation.enrolment.begin(alice.name)
    other = Person(alice.name, alice.password, base64.b32decode(begun.secret))
    code = other.code(world.clock(), -1)
    world.installation.enrolment.confirm(alice.name, Secret(code.encode()))


def remove(world: World, alice: Person) -> None:
    world.installation.accounts.remove(alice.name)


CHANGES: list[Change] = [
    change_password,
    disable,
    disable_and_enable,
    disable_behind_our_back,
    reset,
    enrol_another_phone,
    remove,
]


async def login_with_something_in_between(
    world: World, name: str, secret: str, between: Callable[[], object]
) -> Verdict:
    """Let something happen after everything was loaded and checked, before anything is spent."""
    decide = engine.decide

    def decide_and_wait(*evidence: object) -> engine.Decision:
        decision = decide(*evidence)  # type: ignore[arg-type]
        between()
        return decision

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "decide", decide_and_wait)
        return await world.login(name, secret)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("factor", ["code", "recovery code"])
async def test_change_of_the_account_in_between_voids_the_decision(world: World, factor: str, change: Change) -> None:
    alice = world.enrol("alice")
    recovery = world.installation.recovery_codes.issue("alice")[1][0]
    tail = alice.code(world.clock()) if factor == "code" else recovery
    verdict = await login_with_something_in_between(
        world, "alice", alice.password + tail, lambda: change(world, alice)
    )
    assert isinstance(verdict, Denied), verdict


async def test_new_set_of_recovery_codes_in_between_voids_the_old_code(world: World) -> None:
    alice = world.enrol("alice")
    old = world.installation.recovery_codes.issue("alice")[1][0]
    verdict = await login_with_something_in_between(
        world, "alice", alice.password + old, lambda: world.installation.recovery_codes.issue("alice")
    )
    assert isinstance(verdict, Denied)


async def test_void_decision_spends_nothing(world: World) -> None:
    alice = world.enrol("alice")
    secret = alice.password + alice.code(world.clock())
    await login_with_something_in_between(world, "alice", secret, lambda: disable_and_enable(world, alice))
    assert isinstance(await world.login("alice", secret), Granted)


@pytest.mark.parametrize("factor", ["code", "recovery code"])
async def test_lost_race_is_a_replay(world: World, monkeypatch: pytest.MonkeyPatch, factor: str) -> None:
    alice = world.enrol("alice")
    recovery = world.installation.recovery_codes.issue("alice")[1][0]
    secret = alice.password + (alice.code(world.clock()) if factor == "code" else recovery)
    real, waiting = HashPool.run, []
    both_loaded = asyncio.Event()

    async def together(pool: HashPool, job: Callable[[], bool]) -> bool:
        waiting.append(job)
        if len(waiting) == 2:
            both_loaded.set()
        await both_loaded.wait()
        return await real(pool, job)

    monkeypatch.setattr(HashPool, "run", together)
    one, other = await asyncio.gather(world.login("alice", secret), world.login("alice", secret))
    won, lost = (one, other) if isinstance(one, Granted) else (other, one)
    assert isinstance(won, Granted)
    reason = WhyDenied.CODE_REPLAYED_BY_SAME_CLIENT if factor == "code" else WhyDenied.CODE_REPLAYED
    assert lost == Denied(reason, alice.name, password_was_right=True)


async def test_newer_step_that_commits_first_shuts_out_the_older(world: World) -> None:
    # OTP4 under a race: N + 1 commits between the load and the commit of N
    alice = world.enrol("alice")
    older = alice.password + alice.code(world.clock(), 0)
    newer_step = int(world.clock().timestamp()) // 30 + 1

    def newer() -> None:
        with writing(world.installation.database) as connection:
            connection.execute(text("UPDATE totp SET last_step = :step"), {"step": newer_step})

    verdict = await login_with_something_in_between(world, "alice", older, newer)
    assert verdict == Denied(WhyDenied.CODE_REPLAYED, alice.name, password_was_right=True)


async def test_enrolment_between_load_and_decision_does_not_let_a_code_into_the_password(world: World) -> None:
    # One reading: by the state that was loaded, never by both.
    alice = world.add("alice", "correct horse123456")
    assert isinstance(await world.login("alice", "correct horse123456"), Denied)
    begun = world.installation.enrolment.begin("alice")
    seed = base64.b32decode(begun.secret)
    person = Person(alice.name, alice.password, seed)
    world.installation.enrolment.confirm("alice", Secret(person.code(world.clock(), -1).encode()))
    assert isinstance(await world.login("alice", alice.password), Denied)
    assert isinstance(await world.login("alice", alice.password + person.code(world.clock())), Granted)
