"""Asked for the second factor alone, mailauth says where it is in the string and leaves the password to others."""

from datetime import timedelta
from ipaddress import ip_address

import pytest
from sqlalchemy import func, select

from mailauth.effects.store.tables import outbox
from mailauth.vocabulary.model import AccountName, Ask, Attempt, Credential, Denied, Granted, Unavailable, Verdict
from mailauth.vocabulary.reasons import WhyGranted, WhyUnavailable
from mailauth.vocabulary.secret import Secret
from tests.transactions import reading
from tests.world import World, WorldMaker


async def ask(world: World, name: str, secret: str, client: str = "192.0.2.7") -> Verdict:
    attempt = Attempt(name, Secret(secret.encode()), "imap", ip_address(client), ask=Ask.SECOND_FACTOR)
    return await world.installation.verifier.verify(attempt)


@pytest.mark.parametrize("password", ["correct horse", "any other, which others refuse", "", "ends in 123456"])
async def test_code_is_found_behind_whatever_password(world: World, password: str) -> None:
    alice = world.enrol("alice")
    verdict = await ask(world, "alice", password + alice.code(world.clock()))
    assert isinstance(verdict, Granted)
    assert (verdict.credential, verdict.tail_bytes) == (Credential.CODE_ONLY, 6)


async def test_tail_is_counted_as_it_was_typed(world: World) -> None:
    alice = world.enrol("alice")
    code = alice.code(world.clock())
    verdict = await ask(world, "alice", f"grün{code[:3]} {code[3:]}")
    assert isinstance(verdict, Granted)
    assert verdict.tail_bytes == 7
    _, codes = world.installation.recovery_codes.issue("alice")
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
    world.add("carol")
    verdict = await ask(world, "carol", "anything 123456")
    assert isinstance(verdict, Granted)
    assert (verdict.credential, verdict.reason) == (Credential.NOTHING, WhyGranted.BEFORE_CUTOVER)
    assert verdict.tail_bytes == 0
    world.clock.now = world.installation.policy.dates[0]
    assert isinstance(await ask(world, "carol", "anything 123456"), Denied)


async def test_app_password_is_no_second_factor(world: World) -> None:
    world.enrol("alice")
    made = world.installation.app_passwords.make("alice", "phone")
    assert isinstance(await ask(world, "alice", made.password), Denied)


async def test_what_was_remembered_without_password_never_opens_a_full_login(make_world: WorldMaker) -> None:
    """The string's head was never checked: in the login memory it must not stand for a password."""
    world = make_world("login_memory.life_s=600")
    alice = world.enrol("alice")
    secret = "wrong horse" + alice.code(world.clock())
    assert isinstance(await ask(world, "alice", secret), Granted)
    assert isinstance(await ask(world, "alice", secret), Granted)
    assert isinstance(await world.login("alice", secret, "imap", "192.0.2.7"), Denied)


async def give_back(world: World, name: str, token: str) -> AccountName | None:
    attempt = Attempt(name, Secret(b"-"), "imap", ip_address("192.0.2.7"))
    return await world.installation.verifier.give_back(attempt, token)


async def granted_token(world: World, name: str, secret: str) -> str:
    verdict = await ask(world, name, secret)
    assert isinstance(verdict, Granted), verdict
    assert verdict.release is not None
    return verdict.release


async def test_code_whose_password_proved_wrong_is_given_back_once(make_world: WorldMaker) -> None:
    world = make_world("login_memory.life_s=600")
    alice = world.enrol("alice")
    code = alice.code(world.clock())
    token = await granted_token(world, "alice", "wrong horse" + code)
    assert await give_back(world, "alice", token) == alice.name
    assert isinstance(await ask(world, "alice", "correct horse" + code), Granted)
    assert await give_back(world, "alice", token) is None
    assert isinstance(await ask(world, "alice", "correct horse" + code, "198.51.100.1"), Denied)


async def test_what_was_given_back_is_not_remembered(make_world: WorldMaker) -> None:
    world = make_world("login_memory.life_s=600")
    alice = world.enrol("alice")
    code = alice.code(world.clock())
    token = await granted_token(world, "alice", "wrong horse" + code)
    await give_back(world, "alice", token)
    assert isinstance(await ask(world, "alice", "correct horse" + code, "198.51.100.1"), Granted)
    assert isinstance(await ask(world, "alice", "wrong horse" + code), Denied)


async def test_recovery_code_is_given_back_too(world: World) -> None:
    world.enrol("alice")
    _, codes = world.installation.recovery_codes.issue("alice")
    token = await granted_token(world, "alice", "wrong horse" + codes[0])
    assert isinstance(await ask(world, "alice", "correct horse" + codes[0]), Denied)
    await give_back(world, "alice", token)
    assert isinstance(await ask(world, "alice", "correct horse" + codes[0]), Granted)


def due(world: World) -> int:
    """Return how many mails a worker would take now."""
    with reading(world.installation.database) as connection:
        return connection.execute(select(func.count()).where(outbox.c.next_at <= world.clock())).scalar_one()


async def test_owner_hears_of_a_recovery_code_once_it_cannot_be_given_back(world: World) -> None:
    world.enrol("alice")
    _, codes = world.installation.recovery_codes.issue("alice")
    before = due(world)
    await granted_token(world, "alice", "correct horse" + codes[0])
    world.clock.advance(seconds=59)
    assert due(world) == before
    world.clock.advance(seconds=1)
    assert due(world) == before + 1


async def test_owner_hears_nothing_of_a_recovery_code_that_was_given_back(world: World) -> None:
    world.enrol("alice")
    _, codes = world.installation.recovery_codes.issue("alice")
    before = due(world)
    token = await granted_token(world, "alice", "wrong horse" + codes[0])
    await give_back(world, "alice", token)
    world.clock.advance(minutes=2)
    assert due(world) == before
    await granted_token(world, "alice", "correct horse" + codes[0])  # the same code, and this time it stays spent
    world.clock.advance(minutes=2)
    assert due(world) == before + 1


async def test_owner_hears_of_a_recovery_code_that_could_not_be_given_back(world: World) -> None:
    world.enrol("alice")
    _, codes = world.installation.recovery_codes.issue("alice")
    token = await granted_token(world, "alice", "wrong horse" + codes[0])
    world.installation.recovery_codes.issue("alice")
    world.clock.advance(seconds=1)
    before = due(world)
    await give_back(world, "alice", token)
    world.clock.advance(seconds=59)
    assert due(world) == before + 1


async def test_giving_back_never_unspends_an_older_step(world: World) -> None:
    alice = world.enrol("alice")
    now_code, next_code = alice.code(world.clock()), alice.code(world.clock(), 1)
    first = await granted_token(world, "alice", "a" + now_code)
    second = await granted_token(world, "alice", "b" + next_code)
    await give_back(world, "alice", first)  # a later step was spent since: nothing happens
    assert isinstance(await ask(world, "alice", "a" + now_code), Denied)
    await give_back(world, "alice", second)
    assert isinstance(await ask(world, "alice", "a" + now_code), Denied)
    assert isinstance(await ask(world, "alice", "b" + next_code), Granted)


async def test_token_serves_for_a_minute_and_for_an_unchanged_account(world: World) -> None:
    alice = world.enrol("alice")
    code = alice.code(world.clock(), 1)
    token = await granted_token(world, "alice", "x" + code)
    world.clock.advance(seconds=60)
    assert await give_back(world, "alice", token) is None
    assert isinstance(await ask(world, "alice", "x" + code), Denied)
    code = alice.code(world.clock(), 1)
    token = await granted_token(world, "alice", "x" + code)
    world.installation.accounts.set_password("alice", Secret(b"another"), revoke_app_passwords=False)
    await give_back(world, "alice", token)
    assert isinstance(await ask(world, "alice", "x" + code), Denied)


async def test_full_login_gets_no_token(world: World) -> None:
    alice = world.enrol("alice")
    verdict = await world.login("alice", alice.password + alice.code(world.clock()))
    assert isinstance(verdict, Granted)
    assert verdict.release is None


async def test_wrong_passwords_behind_a_right_code_are_counted(make_world: WorldMaker) -> None:
    """Who holds the telephone must not guess passwords without limit: each one given back counts."""
    world = make_world("limits.account_and_source_burst=5")
    alice = world.enrol("alice")
    code = alice.code(world.clock())
    for n in range(5):
        await give_back(world, "alice", await granted_token(world, "alice", f"guess{n}" + code))
    assert await ask(world, "alice", "guess5" + code) == Unavailable(WhyUnavailable.THROTTLED, alice.name)


BEFORE = "cutover.date=2030-01-01T00:00Z"


async def guess(world: World, name: str, secret: str, client: str = "192.0.2.7") -> None:
    """Have a password refused by those who check it, of an account of which no code is asked."""
    verdict = await ask(world, name, secret, client)
    assert isinstance(verdict, Granted), verdict
    assert verdict.credential is Credential.NOTHING
    assert verdict.release is not None
    assert await give_back(world, name, verdict.release) == verdict.account


async def test_refused_passwords_of_who_needs_no_code_are_counted(make_world: WorldMaker) -> None:
    """LIM8: before the date, and for who is exempt, nothing but the password stands in the way."""
    world = make_world(BEFORE, "limits.account_and_source_burst=5")
    carol, dora = world.add("carol"), world.add("dora")
    for person in (carol, dora):
        for n in range(5):
            await guess(world, person.name, f"guess {n}")
        assert await ask(world, person.name, "guess 5") == Unavailable(WhyUnavailable.THROTTLED, person.name)
    erna = world.add("erna")
    world.clock.now = world.installation.policy.dates[0]
    world.installation.accounts.exempt(erna.name, world.clock() + timedelta(days=9), "scanner")
    for n in range(5):
        await guess(world, erna.name, f"guess {n}")
    assert await ask(world, erna.name, "guess 5") == Unavailable(WhyUnavailable.THROTTLED, erna.name)


async def test_guesses_at_once_find_no_more_room_than_one_by_one(make_world: WorldMaker) -> None:
    """LIM8: a mail server asks for several before the modules behind have refused the first."""
    world = make_world(BEFORE, "limits.account_and_source_burst=5")
    carol = world.add("carol")
    asked = [await ask(world, carol.name, f"guess {n}") for n in range(6)]
    assert [type(verdict) for verdict in asked] == [Granted] * 5 + [Unavailable]
    world.clock.advance(seconds=5)  # nobody has refused them
    asked = [await ask(world, carol.name, f"guess {n}") for n in range(6)]
    assert [type(verdict) for verdict in asked] == [Granted] * 5 + [Unavailable]
    world.clock.advance(seconds=5)
    await ask(world, world.add("dora").name, "mine")  # any login lets go what was held
    for verdict in asked:
        if isinstance(verdict, Granted):  # refused late: drawn again
            assert await give_back(world, carol.name, verdict.release or "") == carol.name
    assert await ask(world, carol.name, "guess 6") == Unavailable(WhyUnavailable.THROTTLED, carol.name)


async def test_password_that_was_refused_before_is_no_new_guess(make_world: WorldMaker) -> None:
    """LIM8: a telephone with an old password shows it every few minutes, and must not keep its owner out."""
    world = make_world(BEFORE, "limits.account_and_source_burst=5")
    carol = world.add("carol")
    for _ in range(20):
        await guess(world, carol.name, "last year's")
    assert isinstance(await ask(world, carol.name, "this year's"), Granted)


async def test_refused_password_leaves_a_familiar_network_familiar(make_world: WorldMaker) -> None:
    world = make_world(BEFORE, "limits.account_burst=4")
    carol = world.add("carol")
    assert isinstance(await world.login(carol.name, carol.password, client="192.0.2.7"), Granted)
    await guess(world, carol.name, "mistyped", "192.0.2.7")
    for n in range(4):
        await guess(world, carol.name, f"guess {n}", f"198.51.100.{n}")
    assert isinstance(await ask(world, carol.name, "mine", "192.0.2.7"), Granted)
    assert await ask(world, carol.name, "mine", "203.0.113.1") == Unavailable(WhyUnavailable.THROTTLED, carol.name)


async def test_activity_says_what_is_known_where_others_check_the_password(make_world: WorldMaker) -> None:
    """What was passed on is no login that was let in, and what the others refused was refused."""
    world = make_world(BEFORE)
    carol, alice = world.add("carol"), world.enrol("alice")
    await guess(world, carol.name, "wrong")
    await granted_token(world, alice.name, "whatever" + alice.code(world.clock()))
    world.installation.activity.flush()
    seen = {}
    for person in (carol, alice):
        account = world.installation.accounts.get(person.name)
        for each in world.installation.activity.recent(account.id, 9):
            seen[person.name, each.reason] = (each.outcome, each.credential, each.count)
    assert seen == {
        (carol.name, "before-cutover"): ("passed-on", "nothing", 1),
        (carol.name, "password-refused-elsewhere"): ("denied", "", 1),
        (alice.name, "second-factor-given"): ("passed-on", "code", 1),
    }
