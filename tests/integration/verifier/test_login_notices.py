"""FAC2, REC2: what owners are told of logins: a spent recovery code, and refusals though the password was right."""

import asyncio
from datetime import timedelta
from ipaddress import ip_address

import pytest

from mailauth.effects import attempt_log
from mailauth.usecases.notices import Notices
from mailauth.vocabulary.model import Ask, Attempt, Denied, Granted, Hint, Unavailable, Verdict
from mailauth.vocabulary.notices import Notice
from mailauth.vocabulary.reasons import WhyDenied
from mailauth.vocabulary.secret import Secret
from tests.integration.portal_sessions.people import mails
from tests.world import CUTOVER, Person, World, WorldMaker


def told(world: World) -> list[Notice]:
    """Return what owners are told about logins by now."""
    world.installation.login_notices.flush()
    about_logins = {
        "right-password-wrong-code",
        "password-alone-refused",
        "recovery-code-used",
        "code-set-apart",
    }
    return [notice for _, notice in mails(world) if notice.kind in about_logins]


def kinds(world: World) -> list[str]:
    return [str(notice.kind) for notice in told(world)]


def wrong_code(world: World, person: Person, number: int = 0) -> str:
    near = {person.code(world.clock(), steps) for steps in (-1, 0, 1)}
    return [code for code in (f"{n:06}" for n in range(20)) if code not in near][number]


async def ask_wrong(world: World, person: Person, number: int = 0, **other: str) -> Verdict:
    verdict = await world.login(person.name, person.password + wrong_code(world, person, number), **other)
    assert isinstance(verdict, Denied)
    return verdict


async def test_spent_recovery_code_is_told_with_how_many_are_left(world: World) -> None:
    # REC2
    alice = world.enrol("alice")
    codes = world.installation.recovery_codes.issue("alice")[1]
    attempt = Attempt(
        "alice", Secret((alice.password + codes[0]).encode()), "portal", ip_address("192.0.2.7"), agent="Firefox"
    )
    assert isinstance(await world.installation.verifier.verify(attempt), Granted)
    assert isinstance(await world.login("alice", alice.password + codes[1], client=None), Granted)
    assert [(n.kind, n.facts, n.service, n.client, n.agent) for n in told(world)] == [
        ("recovery-code-used", {"left": 9}, "portal", "192.0.2.7", "Firefox"),
        ("recovery-code-used", {"left": 8}, "imap", "", ""),
    ]


async def test_of_fifty_uses_at_once_one_is_told(world: World) -> None:
    alice = world.enrol("alice")
    secret = alice.password + world.installation.recovery_codes.issue("alice")[1][0]
    await asyncio.gather(*(world.login("alice", secret, client=f"192.0.2.{n}") for n in range(50)))
    assert kinds(world).count("recovery-code-used") == 1


async def test_recovery_code_whose_use_cannot_be_told_is_not_spent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mail is queued in the very transaction that spends."""
    from mailauth.vocabulary.errors import StoreUnavailable

    alice = world.enrol("alice")
    secret = alice.password + world.installation.recovery_codes.issue("alice")[1][0]
    tell = Notices.tell

    def breaks(*args: object, **named: object) -> None:
        tell(*args, **named)  # type: ignore[arg-type]
        raise StoreUnavailable("broken")

    with monkeypatch.context() as patch:
        patch.setattr(Notices, "tell", breaks)
        assert isinstance(await world.login("alice", secret), Unavailable)
    assert kinds(world) == []
    assert world.installation.recovery_codes.left("alice") == 10
    assert isinstance(await world.login("alice", secret), Granted)


async def test_third_wrong_code_with_the_right_password_is_told_once_a_day(world: World) -> None:
    # FAC2
    alice = world.enrol("alice")
    since = world.clock()
    for number in range(2):
        await ask_wrong(world, alice, number)
        world.clock.advance(minutes=10)
    assert told(world) == []
    await ask_wrong(world, alice, 2, client="198.51.100.9", service="smtp")
    (notice,) = told(world)
    assert (notice.kind, notice.account, notice.moment) == ("right-password-wrong-code", alice.name, world.clock())
    assert (notice.service, notice.client) == ("smtp", "198.51.100.9")
    assert notice.facts == {"count": 3, "since": since.isoformat()}
    for number in range(3, 9):
        await ask_wrong(world, alice, number)
    assert len(told(world)) == 1
    world.clock.advance(days=1)
    for number in range(9, 12):
        await ask_wrong(world, alice, number)
    assert len(told(world)) == 2


async def test_wrong_codes_by_somebody_patient_are_told(world: World) -> None:
    """FAC2: repeatedly, however far apart within a day."""
    alice = world.enrol("alice")
    for number in range(3):
        await ask_wrong(world, alice, number)
        world.clock.advance(hours=11, minutes=59)
    assert kinds(world) == ["right-password-wrong-code"]


async def test_wrong_code_now_and_then_is_a_typing_mistake(world: World) -> None:
    alice = world.enrol("alice")
    for number in range(6):
        await ask_wrong(world, alice, number)
        world.clock.advance(hours=12, minutes=1)
    assert told(world) == []


async def test_wrong_passwords_are_told_to_nobody(world: World) -> None:
    alice, bob = world.enrol("alice"), world.add("bob")
    for number in range(5):
        await world.login("alice", f"wrong{number}{alice.code(world.clock())}")
        await world.login("alice", f"wrong{number}")
        await world.login(bob.name, f"wrong{number}")
        await world.login("nobody", f"wrong{number}")
    assert told(world) == []


@pytest.mark.parametrize("is_enrolled", [False, True])
async def test_password_alone_that_is_refused_is_told_once_a_day(world: World, is_enrolled: bool) -> None:
    alice = world.enrol("alice") if is_enrolled else world.add("alice")
    for _ in range(5):
        assert isinstance(await world.login("alice", alice.password), Denied)
    (notice,) = told(world)
    assert (notice.kind, notice.facts) == ("password-alone-refused", {"is_enrolled": is_enrolled})
    assert (notice.service, notice.client, notice.moment) == ("imap", "192.0.2.7", world.clock())
    world.clock.advance(days=1)
    await world.login("alice", alice.password)
    assert len(told(world)) == 2


@pytest.mark.parametrize("days", [-30, 30])
async def test_password_that_is_enough_is_no_matter(make_world: WorldMaker, days: int) -> None:
    world = make_world(now=CUTOVER + timedelta(days=days))
    alice = world.add("alice")
    service = "imap" if days < 0 else "portal"
    assert isinstance(await world.login("alice", alice.password, service=service), Granted)
    assert told(world) == []


async def test_code_that_was_forgotten_in_the_portal_counts_as_a_wrong_one(world: World) -> None:
    """Words about mail apps would not help there."""
    alice = world.enrol("alice")
    for _ in range(2):
        await world.login("alice", alice.password, service="portal")
    assert told(world) == []
    await world.login("alice", alice.password, service="portal")
    assert kinds(world) == ["right-password-wrong-code"]


async def test_repetition_by_the_client_that_was_let_in_alarms_nobody(make_world: WorldMaker) -> None:
    """FAC6: a web mail logs in at each click with what was typed once, also when its login memory has run out."""
    world = make_world("login_memory.life_s=60")
    alice = world.enrol("alice")
    secret = alice.password + alice.code(world.clock())
    assert isinstance(await world.login("alice", secret), Granted)
    world.clock.advance(minutes=10)
    for _ in range(9):
        assert isinstance(await world.login("alice", secret), Denied)
    assert told(world) == []
    for _ in range(3):
        assert isinstance(await world.login("alice", secret, client="198.51.100.9"), Denied)
    assert kinds(world) == ["right-password-wrong-code"], "from elsewhere it does"


async def test_code_that_two_addresses_of_one_device_present_alarms_nobody(make_world: WorldMaker) -> None:
    """FAC6: IPv4 and IPv6, or a telephone that leaves the wireless network between two connections."""
    world = make_world("login_memory.life_s=600")
    alice = world.enrol("alice")
    secret = alice.password + alice.code(world.clock())
    assert isinstance(await world.login("alice", secret, client="192.0.2.7"), Granted)
    for _ in range(4):
        assert isinstance(await world.login("alice", secret, client="2001:db8::7"), Denied)
        world.clock.advance(seconds=14)
    assert told(world) == []
    world.clock.advance(minutes=1)
    for _ in range(3):
        assert isinstance(await world.login("alice", secret, client="2001:db8::7"), Denied)
    assert kinds(world) == ["right-password-wrong-code"], "later, it is somebody else's"


async def test_same_is_told_again_after_twenty_four_hours_and_not_at_midnight(make_world: WorldMaker) -> None:
    """FAC6: whatever the calendar says, a restart in between included."""
    world = make_world(now=CUTOVER.replace(hour=23, minute=57))
    alice = world.add("alice")
    for minutes in (0, 6, 23 * 60 + 53):
        world.clock.advance(minutes=minutes)
        assert isinstance(await world.login("alice", alice.password), Denied)
        assert len(told(world)) == 1
        world.close()
        reopened(world)
    world.clock.advance(minutes=1)
    await world.login("alice", alice.password)
    assert len(told(world)) == 2
    # A clock that was years ahead for a moment keeps nobody from being told when it is right again.
    right = world.clock.now
    world.clock.advance(days=900)
    await world.login("alice", alice.password)
    world.clock.now = right + timedelta(days=1, minutes=1)
    await world.login("alice", alice.password)
    assert len(told(world)) == 4


async def test_password_that_nobody_checked_is_not_called_right(world: World) -> None:
    """Where PAM modules behind ours check it, anybody could have such mails written."""
    alice = world.enrol("alice")
    for number in range(4):
        for secret in ("x" + wrong_code(world, alice, number), "x"):
            attempt = Attempt("alice", Secret(secret.encode()), "imap", ip_address("192.0.2.7"), ask=Ask.SECOND_FACTOR)
            assert isinstance(await world.installation.verifier.verify(attempt), Denied)
    assert told(world) == []


async def test_refusals_of_one_account_are_not_counted_against_another(world: World) -> None:
    alice, bob = world.enrol("alice"), world.enrol("bob")
    for person in (alice, bob, alice, bob):
        await ask_wrong(world, person)
    assert told(world) == []


async def test_what_was_noted_is_told_when_the_installation_closes(make_world: WorldMaker) -> None:
    world = make_world()
    alice = world.add("alice")
    await world.login("alice", alice.password)
    world.close()
    assert kinds(reopened(world)) == ["password-alone-refused"]


def reopened(world: World) -> World:
    """Open the same installation again."""
    from mailauth import wiring
    from mailauth.effects.configuration import loading

    world.installation = wiring.build(loading.load(world.config_path), world.clock)
    return world


@pytest.mark.parametrize("is_recovery_code", [False, True])
@pytest.mark.parametrize("between", [" ", "-", "\u00a0", "+"])
async def test_code_that_was_set_apart_is_said_to_be_in_log_explanation_and_mail(
    world: World, between: str, is_recovery_code: bool
) -> None:
    """OTP8: it cannot be taken, a password may end so. But nobody finds it who reads "password-wrong"."""
    alice = world.enrol("alice")
    _, recovery_codes = world.installation.recovery_codes.issue("alice")
    typed = alice.password + between + (recovery_codes[0] if is_recovery_code else alice.code(world.clock()))
    attempt = Attempt("alice", Secret(typed.encode()), "imap", ip_address("192.0.2.7"))
    verdict = await world.installation.verifier.verify(attempt)
    assert verdict == Denied(WhyDenied.PASSWORD_WRONG, alice.name)
    assert isinstance(verdict, Denied)
    assert verdict.hint is Hint.CODE_SET_APART
    line = attempt_log._words(attempt, verdict, "", 1.0)
    assert "reason=password-wrong account=alice@mailitwize.be hint=code-set-apart" in line
    await world.login("alice", typed)
    assert kinds(world) == ["code-set-apart"], "once a day"
    explained = " ".join(world.installation.explainer.explain("alice").sentences)
    assert "had a right code, and a blank, a dash or the like before it" in explained
    world.clock.advance(days=8)
    assert "had a right code" not in " ".join(world.installation.explainer.explain("alice").sentences)


async def test_code_set_apart_is_told_to_nobody_whose_code_was_wrong_or_password_another(world: World) -> None:
    """Or a stranger could have mails sent, without code and without password."""
    alice, bob = world.enrol("alice"), world.add("bob")
    for name, secret in (
        ("alice", f"{alice.password} {wrong_code(world, alice)}"),
        ("alice", f"nonsense{alice.code(world.clock())}"),
        ("alice", "nonsense-"),
        ("alice", f"{alice.password} k7qm-2xvp-9hfd-c3wn"),
        ("bob", f"{bob.password} 123456"),
        ("nobody", "correct horse 123456"),
    ):
        verdict = await world.login(name, secret)
        assert isinstance(verdict, Denied)
        assert verdict.hint is None
    assert "code-set-apart" not in kinds(world)


async def test_password_that_ends_in_a_blank_works_with_a_code_and_without(world: World) -> None:
    alice = world.enrol("alice", "correct horse ")
    bob = world.add("bob", "correct horse 123456 ")
    code = alice.code(world.clock())
    assert isinstance(await world.login("alice", f"correct horse {code} "), Granted)
    assert isinstance(await world.login("alice", f"correct horse{alice.code(world.clock(), 1)}"), Denied)
    world.clock.now = CUTOVER - timedelta(days=1)
    assert isinstance(await world.login("bob", bob.password), Granted)
    assert isinstance(await world.login("bob", bob.password.rstrip()), Denied)
