"""A string that was refused before is no new guess, and tells nobody anything (requirements LIM9, ENU1)."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from mailauth.usecases.login.refused_strings import RefusedStrings
from mailauth.vocabulary.model import Denied, Granted, Unavailable
from mailauth.vocabulary.reasons import WhyDenied, WhyUnavailable
from mailauth.wiring import mailing
from tests.integration.limits.conftest import DEFAULTS, HOME, THIEF, THIRD, throttled, use_up_the_accounts_limit
from tests.world import CUTOVER, World, WorldMaker


@pytest.mark.parametrize("is_enrolled", [True, False])
async def test_full_account_answers_every_string_alike_from_everywhere(limited: World, is_enrolled: bool) -> None:
    """Else whoever uses up the limit finds the very string that the owner's telephone keeps sending."""
    alice = limited.enrol("alice") if is_enrolled else limited.add("alice")
    strings = (alice.password, "the password before", "nonsense", alice.password + "000000", "nonsense000000")
    for string in strings:
        for _ in range(3):
            assert isinstance(await limited.login("alice", string, client=THIRD), Denied), "what the telephone sends"
    await use_up_the_accounts_limit(limited)
    for client in (THIRD, THIEF):
        answers = [await limited.login("alice", string, client=client) for string in strings]
        assert [(answer, answer.reason) for answer in answers] == [
            (Unavailable(WhyUnavailable.THROTTLED, alice.name), WhyUnavailable.THROTTLED)
        ] * len(strings)


async def test_full_account_does_the_same_work_for_every_string(make_world: WorldMaker) -> None:
    """The right password, an old one and nonsense, known from there or not: one hash, and the same statements."""
    world = make_world(*DEFAULTS, now=CUTOVER - timedelta(days=9))
    world.add("alice")
    await world.login("alice", "old password", client=HOME)
    await use_up_the_accounts_limit(world)
    work: list[str] = []
    source = world.own_table
    verify = source.hasher.verify

    def counted(stored: str | None, password: bytes, name: str = "", default_scheme: str = "") -> bool:
        work.append("hash")
        return verify(stored, password)

    source.hasher.verify = counted  # type: ignore[method-assign]

    def seen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        work.append(statement)

    event.listen(world.installation.database.engine, "before_cursor_execute", seen)
    strings = ("correct horse", "old password", "some nonsense")
    for last in ("first time", "again"):
        done = []
        for number, string in enumerate(strings):
            work.clear()
            assert throttled(await world.login("alice", string, client=f"203.0.113.{number}"))
            done.append(list(work))
        assert done[0].count("hash") == 1
        assert done[0] == done[1] == done[2], last


async def test_repetitions_are_told_by_network(limited: World) -> None:
    """What the owner's telephone sends from home is a guess like any other from elsewhere."""
    limited.enrol("alice")
    for _ in range(40):
        assert isinstance(await limited.login("alice", "old", client=HOME), Denied)
    for n in range(49):
        assert isinstance(await limited.login("alice", "old", client=f"198.51.100.{n}"), Denied)
    assert throttled(await limited.login("alice", "old", client="198.51.100.99")), "fifty guesses, one of them at home"


@pytest.mark.parametrize(
    "secret",
    [
        "Mustermann010180",  # a bare password that reads as one with a code
        "an old password",
        "correct horse",
        "correct horse000000",
        "an old password000000",
        "correct horsek7qm-2xvp-9hfd-c3wn",
        "an old password 010 180",
    ],
)
async def test_device_that_sends_the_same_for_days_never_bans_its_owner(limited: World, secret: str) -> None:
    """Whatever the shape of what it stored; every 15 minutes for two days, three connections each."""
    alice = limited.enrol("alice")
    for _ in range(2 * 24):
        limited.clock.advance(hours=1)
        for _ in range(4 * 3):
            verdict = await limited.login("alice", secret, client=HOME)
            assert isinstance(verdict, Denied), verdict
    for client in (HOME, THIRD):
        limited.clock.advance(seconds=30)
        right = alice.password + alice.code(limited.clock())
        assert isinstance(await limited.login("alice", right, client=client), Granted)
    limited.clock.advance(seconds=30)
    for n in range(40):
        assert isinstance(await limited.login("alice", f"guess{n}", client=f"198.51.100.{n}"), Denied)


async def test_wrong_code_is_judged_once_however_often_its_string_is_sent(limited: World) -> None:
    """A code that is wrong now comes true in some later step: the string that it was part of does not pass then."""
    alice = limited.enrol("alice")
    coming = alice.password + alice.code(limited.clock(), 10)
    assert (await limited.login("alice", coming, client=HOME)).reason is WhyDenied.CODE_WRONG
    for _ in range(12):
        limited.clock.advance(seconds=30)
        assert (await limited.login("alice", coming, client=HOME)).reason is WhyDenied.CODE_WRONG_AGAIN
    other = alice.password + alice.code(limited.clock())
    assert isinstance(await limited.login("alice", other, client=HOME), Granted)


async def test_full_address_answers_every_string_alike(limited: World) -> None:
    """Else whoever shares the network finds what a telephone there sends, by using up the limit first."""
    alice = limited.enrol("alice")
    for _ in range(5):
        assert isinstance(await limited.login("alice", alice.password, client=HOME), Denied)
    for n in range(100):
        await limited.login(f"somebody{n}", "guess", client=HOME)
    for string in (alice.password, "nonsense", alice.password + "000000"):
        assert throttled(await limited.login("alice", string, client=HOME)), string


async def test_repetitions_beyond_their_limit_count_as_guesses(limited: World) -> None:
    """Else whoever shares the network uses up that limit, and tells the telephone's string by its being throttled."""
    alice = limited.enrol("alice")
    await limited.login("alice", alice.password, client=HOME)
    for n in range(61):
        assert isinstance(await limited.login("bob", "old", client=HOME), Denied), n
    for string in (alice.password, "nonsense", alice.password + "000000"):
        assert isinstance(await limited.login("alice", string, client=HOME), Denied), string


async def test_repetitions_are_bounded_by_address_and_by_48(make_world: WorldMaker) -> None:
    """They are free of guilt, not of cost: beyond a limit of their own they are charged like everything else."""
    world = make_world(*DEFAULTS, "limits.repeat_burst=6", "limits.source_burst=10", "limits.site_burst=30")
    for name in ("alice", "bob"):
        world.add(name)
        await world.login(name, "old", client=THIEF)
    answers = [await world.login(("alice", "bob")[n % 2], "old", client=THIEF) for n in range(40)]
    assert sum(not throttled(answer) for answer in answers) == 6 + 8
    again = 0
    for n in range(20):
        client = f"2001:db8:0:{n:x}::1"
        assert not throttled(await world.login("alice", f"old{n}", client=client))
    for n in range(20):
        client = f"2001:db8:0:{n:x}::1"
        again += sum([not throttled(await world.login("alice", f"old{n}", client=client)) for _ in range(6)])
    assert again == 60 + 10, "ten times what one /64 may repeat, and what the /48 has left"


async def test_string_that_was_never_told_of_is_no_repetition_later(make_world: WorldMaker) -> None:
    """Else a guesser would show thousands while the limit is used up, and learn all of them once it is not."""
    world = make_world(*DEFAULTS, now=CUTOVER - timedelta(days=9))
    world.add("alice")
    await use_up_the_accounts_limit(world, guesses=50)
    guesses = [f"dictionary {n}" for n in range(30)]
    for guess in guesses:
        assert throttled(await world.login("alice", guess, client=THIEF))
    world.clock.advance(days=1)
    told = [not throttled(await world.login("alice", guess, client=THIEF)) for guess in guesses]
    assert sum(told) == 1


def test_refused_strings_are_kept_while_they_are_sent() -> None:
    refused, now = RefusedStrings(max_entries=2), CUTOVER
    refused.add(b"phone", now)
    for day in range(30):
        assert refused.has(b"phone", now + timedelta(days=day))
        refused.add(b"a guess %d" % day, now + timedelta(days=day))
    assert not refused.has(b"phone", now + timedelta(days=37))


async def test_no_mail_says_which_throttled_login_was_half_right(
    limited: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reads the mailbox by an app password would learn it; the log has it (FAC2)."""
    alice = limited.enrol("alice")
    await use_up_the_accounts_limit(limited)
    for n in range(12):
        verdict = await limited.login("alice", f"{alice.password}{n:06}", client=f"203.0.113.{n}")
        assert isinstance(verdict, Unavailable)
        assert verdict.withheld is not None
        assert verdict.withheld.reason is WhyDenied.CODE_WRONG
    for n in range(12):
        await limited.login("alice", alice.password, client=f"203.0.113.{n}")
    assert limited.installation.login_notices.flush() == 0
    assert [record.message for record in caplog.records if "many wrong codes" in record.message] == [
        "many wrong codes with a right password while the account is full: alice@mailitwize.be"
    ]


async def test_own_accepted_string_again_costs_what_a_repetition_does(make_world: WorldMaker) -> None:
    world = make_world(*DEFAULTS, "login_memory.life_s=600", "limits.repeat_burst=10")
    alice = world.enrol("alice")
    stored = alice.password + alice.code(world.clock())
    assert isinstance(await world.login("alice", stored, "portal", client=HOME), Granted)
    answers = [await world.login("alice", stored, "portal", client=HOME) for _ in range(100)]
    assert throttled(answers[-1])


async def test_owner_is_told_of_a_device_whose_bare_password_ends_like_a_code(limited: World) -> None:
    """It reads as another password with a code, and is refused as such; the mail says what it is, once."""
    limited.enrol("alice", "Mustermann010180")
    limited.enrol("bob")
    for name, secret in (("alice", "Mustermann010180"), ("bob", "Mustermann010180"), ("nobody", "Mustermann010180")):
        for _ in range(4):
            assert isinstance(await limited.login(name, secret, client=HOME), Denied)
            await limited.installation.verifier.codelike_passwords.looked()
            limited.clock.advance(seconds=11)
    assert limited.installation.login_notices.flush() == 1
    mails = [(mail.kind, mail.recipient) for mail in mailing.of(limited.installation).delivery.all()]
    assert ("password-alone-refused", "alice@mailitwize.be") in mails
    assert not any(kind == "password-alone-refused" and "bob" in recipient for kind, recipient in mails)
