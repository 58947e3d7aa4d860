"""Time: the window of codes, single use by step, the cut-over, exemptions, and clocks that are set."""

import unicodedata
from datetime import timedelta

import pytest

from mailauth.vocabulary.model import Credential, Denied, Granted, Verdict
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted
from tests.cases import case
from tests.world import CUTOVER, Person, World, WorldMaker

SECOND = timedelta(seconds=1)


async def login_with_step(world: World, person: Person, steps: int) -> Verdict:
    return await world.login(person.name, person.password + person.code(world.clock(), steps))


@pytest.mark.parametrize(("steps", "passes"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_code_passes_one_step_either_side_and_no_more(world: World, steps: int, passes: bool) -> None:
    # OTP3
    alice = world.enrol("alice")
    world.clock.advance(minutes=10)
    verdict = await login_with_step(world, alice, steps)
    assert isinstance(verdict, Granted) is passes
    if not passes:
        assert verdict == Denied(WhyDenied.CODE_WRONG, alice.name, password_was_right=True)


async def test_code_of_the_enrolment_is_spent(world: World) -> None:
    alice = world.enrol("alice")
    assert await login_with_step(world, alice, -1) == Denied(
        WhyDenied.CODE_REPLAYED, alice.name, password_was_right=True
    )


async def test_older_step_after_a_newer_one_is_refused(world: World) -> None:
    # OTP4: A, B, A, and N - 1 after N, although N - 1 was never used
    alice = world.enrol("alice")
    world.clock.advance(minutes=10)
    assert isinstance(await login_with_step(world, alice, 0), Granted)
    assert isinstance(await login_with_step(world, alice, 1), Granted)
    again, never = WhyDenied.CODE_REPLAYED_BY_SAME_CLIENT, WhyDenied.CODE_REPLAYED
    for steps, reason in ((0, again), (1, again), (-1, never)):
        verdict = await login_with_step(world, alice, steps)
        assert verdict == Denied(reason, alice.name, password_was_right=True)


async def test_spaced_code_is_the_same_code(world: World) -> None:
    # CVE-2025-6014, CVE-2025-55003: white space defeated reuse caches
    alice = world.enrol("alice")
    code = alice.code(world.clock())
    spaced = f"{code[:3]} {code[3:]}"
    assert isinstance(await world.login("alice", alice.password + spaced), Granted)
    for again, reason in ((code, WhyDenied.CODE_REPLAYED), (spaced, WhyDenied.CODE_REPLAYED_BY_SAME_CLIENT)):
        verdict = await world.login("alice", alice.password + again)
        assert verdict == Denied(reason, alice.name, password_was_right=True)


@pytest.mark.parametrize("zero", ["\uff10", "\u0660", "\u0966", "\U0001d7ce"])
async def test_digits_of_other_scripts_are_no_code(world: World, zero: str) -> None:
    # OTP5
    alice = world.enrol("alice")
    code = alice.code(world.clock())
    other = "".join(chr(ord(zero) + int(digit)) for digit in code)
    assert isinstance(await world.login("alice", alice.password + other), Denied)
    assert isinstance(await world.login("alice", alice.password + code), Granted)


async def test_spent_code_stays_spent_when_the_clock_goes_back(world: World) -> None:
    # F5
    alice = world.enrol("alice")
    world.clock.advance(hours=1)
    secret = alice.password + alice.code(world.clock())
    assert isinstance(await world.login("alice", secret), Granted)
    for seconds in (-1, -29, -30, 59):
        world.clock.advance(seconds=seconds)
        assert isinstance(await world.login("alice", secret), Denied)


async def test_clock_that_was_ahead_for_a_while_lets_no_code_pass_twice(world: World) -> None:
    alice = world.enrol("alice")
    now = world.clock.now
    spent = []
    for minutes in (0, 60, 0.5, 60.5, 61, 1, 62):
        world.clock.now = now + timedelta(minutes=minutes)
        secret = alice.password + alice.code(world.clock())
        if isinstance(await world.login("alice", secret), Granted):
            spent.append(secret)
        assert isinstance(await world.login("alice", secret), Denied)
    assert len(spent) == len(set(spent)) == 5


async def test_code_that_was_accepted_has_no_other_spelling_after_codes_are_set_back(world: World) -> None:
    """The step is forgotten then; that this code was accepted with this password is not."""
    alice = world.enrol("alice", password="p\u00e4ssword of hers")
    now = world.clock.now
    world.clock.now = now + timedelta(days=1)
    code = alice.code(world.clock())
    assert isinstance(await world.login("alice", alice.password + code), Granted)
    world.clock.now = now
    assert world.installation.time_watch.set_steps_back(None) == 1
    world.clock.now = now + timedelta(days=1)
    decomposed = unicodedata.normalize("NFD", alice.password)
    for password in (alice.password, decomposed):
        for spelled in (code, f"{code[:3]} {code[3:]}", f"{code} ", f"{code[:3]} {code[3:]}  "):
            with case(password + spelled):
                assert isinstance(await world.login("alice", password + spelled, client="192.0.2.99"), Denied)
    assert isinstance(await login_with_step(world, alice, 1), Granted)


async def test_clock_before_1970_grants_nothing_and_breaks_nothing(world: World) -> None:
    alice = world.enrol("alice")
    now = world.clock.now
    world.clock.now = CUTOVER.replace(year=1960)
    assert not isinstance(await world.login("alice", alice.password + "123456"), Granted)
    assert not isinstance(await world.login("alice", alice.password), Granted)
    world.clock.now = now
    assert isinstance(await login_with_step(world, alice, 0), Granted)


@pytest.mark.parametrize(("off", "passes"), [(-SECOND, True), (0 * SECOND, False), (SECOND, False)])
async def test_password_alone_passes_until_the_cutover(make_world: WorldMaker, off: timedelta, passes: bool) -> None:
    # POL1: -1, 0, +1 s
    world = make_world(now=CUTOVER + off)
    alice = world.add("alice")
    verdict = await world.login("alice", alice.password)
    if passes:
        assert verdict == Granted(alice.name, Credential.PASSWORD, WhyGranted.BEFORE_CUTOVER)
    else:
        assert verdict == Denied(WhyDenied.NOT_ENROLLED, alice.name, password_was_right=True)


async def test_enrolled_account_needs_its_code_before_the_cutover_too(make_world: WorldMaker) -> None:
    world = make_world(now=CUTOVER - timedelta(days=30))
    alice = world.enrol("alice")
    assert isinstance(await world.login("alice", alice.password), Denied)
    assert isinstance(await login_with_step(world, alice, 0), Granted)


async def test_enrolment_that_waits_for_its_code_changes_nothing(make_world: WorldMaker) -> None:
    world = make_world(now=CUTOVER - timedelta(days=30))
    alice = world.add("alice")
    world.installation.enrolment.begin("alice")
    assert isinstance(await world.login("alice", alice.password), Granted)


@pytest.mark.parametrize(("off", "passes"), [(-SECOND, True), (0 * SECOND, False), (SECOND, False)])
async def test_exemption_ends_at_its_moment(world: World, off: timedelta, passes: bool) -> None:
    robot = world.add("robot")
    ends = world.clock.now + timedelta(days=7)
    world.installation.accounts.exempt("robot", ends, "sends invoices")
    assert await world.login("robot", robot.password) == Granted(robot.name, Credential.PASSWORD, WhyGranted.EXEMPT)
    world.clock.now = ends + off
    assert isinstance(await world.login("robot", robot.password), Granted) is passes


async def test_exemption_that_is_ended_is_over_at_once(world: World) -> None:
    robot = world.add("robot")
    world.installation.accounts.exempt("robot", world.clock.now + timedelta(days=7), "sends invoices")
    assert isinstance(await world.login("robot", robot.password), Granted)
    world.installation.accounts.unexempt("robot")
    assert await world.login("robot", robot.password) == Denied(
        WhyDenied.NOT_ENROLLED, robot.name, password_was_right=True
    )


async def test_new_authenticator_leaves_the_old_one_working_until_it_is_proved(world: World) -> None:
    # FAC3
    import base64

    from mailauth.vocabulary.secret import Secret

    alice = world.enrol("alice")
    begun = world.installation.enrolment.begin("alice")
    new = Person(alice.name, alice.password, base64.b32decode(begun.secret))
    assert isinstance(await login_with_step(world, new, 0), Denied)
    assert isinstance(await login_with_step(world, alice, 0), Granted)
    world.installation.enrolment.confirm("alice", Secret(new.code(world.clock()).encode()))
    assert isinstance(await login_with_step(world, alice, 1), Denied)
    assert isinstance(await login_with_step(world, new, 0), Denied)
    assert isinstance(await login_with_step(world, new, 1), Granted)


async def test_machine_that_boots_without_a_clock_denies_and_recovers(world: World) -> None:
    alice = world.enrol("alice")
    now = world.clock.now
    world.clock.now = CUTOVER.replace(year=1970, month=1, day=1, hour=0)
    assert isinstance(await world.login("alice", alice.password + "123456"), Denied)
    world.clock.now = now
    assert isinstance(await login_with_step(world, alice, 0), Granted)
