"""WEB2: sessions live in the database, end when they should, and say what their account is now."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest
from sqlalchemy import select

from mailauth.core.session_places import PLACES
from mailauth.effects.keyring import Keyring
from mailauth.effects.store import tables
from mailauth.usecases.portal_sessions import PortalSessions, Session
from mailauth.vocabulary.errors import AccountUnknown, NotProved, SessionOver
from mailauth.vocabulary.model import AccountName, Credential, Granted
from mailauth.vocabulary.notices import Origin
from mailauth.vocabulary.reasons import WhyGranted
from mailauth.vocabulary.secret import Secret
from tests.integration.portal_sessions.people import granted
from tests.transactions import reading, writing
from tests.world import World

BOTH = Credential.PASSWORD_AND_CODE
FIREFOX = Origin("portal", ip_address("192.0.2.7"), "Firefox on Android")


def opened(world: World, name: str, credential: Credential = BOTH, origin: Origin = FIREFOX) -> str:
    return world.installation.sessions.open(granted(world, name, credential), origin)


def loaded(world: World, cookie: str) -> Session:
    session = world.installation.sessions.load(cookie)
    assert session is not None
    return session


def test_session_says_what_its_account_is_and_holds(world: World) -> None:
    alice, bob = world.enrol("alice"), world.add("bob")
    world.installation.recovery_codes.issue("alice")
    world.installation.accounts.exempt("bob", world.clock() + timedelta(days=1), "a robot")
    session = loaded(world, opened(world, alice.name))
    assert session.account == alice.name
    assert (session.is_enrolled, session.is_exempt, session.recovery_codes_left) == (True, False, 10)
    assert (session.credential, session.proved_at, session.created_at) == (BOTH, world.clock(), world.clock())
    assert (session.language, session.recovery_address) == (None, None)
    other = loaded(world, opened(world, bob.name, Credential.PASSWORD))
    assert (other.is_enrolled, other.is_exempt, other.recovery_codes_left) == (False, True, 0)


def test_cookie_has_256_bits_and_is_stored_nowhere(world: World) -> None:
    alice = world.enrol("alice")
    cookie = opened(world, alice.name)
    value = base64.urlsafe_b64decode(cookie + "=")
    assert len(value) == 32
    assert opened(world, alice.name) != cookie
    with reading(world.installation.database) as connection:
        for row in connection.execute(select(tables.portal_session)):
            assert cookie.encode() not in bytes(row.digest)
            assert bytes(row.digest) != value
    for file in world.directory.glob("mailauth.db*"):
        assert cookie.encode() not in file.read_bytes()
        assert value not in file.read_bytes()


@pytest.mark.parametrize(
    "cookie", ["", "x" * 43, "x" * 42, "x" * 44, "é" * 43, "x" * 42 + "\n", "\x00" * 43, "a" * 9999]
)
def test_cookie_that_nobody_was_given_is_no_session(world: World, cookie: str) -> None:
    world.enrol("alice")
    assert world.installation.sessions.load(cookie) is None
    world.installation.sessions.close(cookie)


def test_cookie_of_an_anonymous_visitor_is_no_session(world: World) -> None:
    cookie = world.installation.sessions.new_cookie()
    assert len(base64.urlsafe_b64decode(cookie + "=")) == 32
    assert world.installation.sessions.new_cookie() != cookie
    assert world.installation.sessions.load(cookie) is None


def test_session_ends_after_twenty_idle_minutes(world: World) -> None:
    cookie = opened(world, world.enrol("alice").name)
    for _ in range(5):
        world.clock.advance(minutes=19)
        loaded(world, cookie)
    world.clock.advance(minutes=20)
    assert world.installation.sessions.load(cookie) is None
    world.clock.advance(minutes=-10)
    assert world.installation.sessions.load(cookie) is not None


def test_session_ends_after_twelve_hours_however_busy(world: World) -> None:
    cookie = opened(world, world.enrol("alice").name)
    for _ in range(12 * 6 - 1):
        world.clock.advance(minutes=10)
        loaded(world, cookie)
    world.clock.advance(minutes=10)
    assert world.installation.sessions.load(cookie) is None


def test_clock_that_was_set_back_makes_no_session_immortal(world: World) -> None:
    cookie = opened(world, world.enrol("alice").name)
    world.clock.advance(seconds=-2)
    loaded(world, cookie)
    world.clock.advance(days=-1)
    assert world.installation.sessions.load(cookie) is None


def change_password(world: World, name: str) -> None:
    world.installation.accounts.set_password(name, Secret(b"changed"), revoke_app_passwords=False)


def disable(world: World, name: str) -> None:
    world.installation.accounts.set_disabled(name, disabled=True)


def disable_and_enable(world: World, name: str) -> None:
    world.installation.accounts.set_disabled(name, disabled=True)
    world.installation.accounts.set_disabled(name, disabled=False)


def disable_behind_our_back(world: World, name: str) -> None:
    with writing(world.installation.database) as connection:
        connection.execute(
            tables.account.update().where(tables.account.c.name == name).values(disabled_at=world.clock())
        )


def reset(world: World, name: str) -> None:
    world.installation.enrolment.reset(name)


def issue_codes(world: World, name: str) -> None:
    world.installation.recovery_codes.issue(name)


def remove(world: World, name: str) -> None:
    world.installation.accounts.remove(name)


def remove_and_add(world: World, name: str) -> None:
    world.installation.accounts.remove(name)
    world.add(name)


CHANGES = [change_password, disable, disable_and_enable, disable_behind_our_back, reset, issue_codes, remove,
           remove_and_add]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_change_of_the_account_ends_its_sessions_and_no_others(
    world: World, change: Callable[[World, str], None]
) -> None:
    alice, bob = world.enrol("alice"), world.enrol("bob")
    cookie, other = opened(world, alice.name), opened(world, bob.name)
    session, verdict = loaded(world, cookie), granted(world, alice.name)
    change(world, alice.name)
    assert world.installation.sessions.load(cookie) is None
    with pytest.raises(SessionOver):
        world.installation.sessions.renew(session, verdict, FIREFOX)
    loaded(world, other)


@pytest.mark.parametrize("change", CHANGES)
def test_verdict_that_a_change_has_voided_opens_and_renews_no_session(
    world: World, change: Callable[[World, str], None]
) -> None:
    """Requirement WEB7: it would be good for twelve hours by a password that is no more."""
    sessions = world.installation.sessions
    alice, bob = world.enrol("alice"), world.add("bob")
    verdicts = [granted(world, alice.name), granted(world, bob.name, Credential.PASSWORD)]
    world.clock.advance(seconds=1)
    for verdict in verdicts:
        if change in (reset, issue_codes) and verdict.account == bob.name:
            continue
        change(world, verdict.account)
        with pytest.raises((NotProved, AccountUnknown)):
            sessions.open(verdict, FIREFOX)
    carol = world.enrol("carol")
    verdict = granted(world, carol.name)
    change(world, carol.name)
    if change in (change_password, issue_codes, disable_and_enable):
        session = loaded(world, opened(world, carol.name))
        with pytest.raises(SessionOver):
            sessions.renew(session, verdict, FIREFOX)


def test_verdict_on_another_account_renews_no_session(world: World) -> None:
    alice, bob = world.enrol("alice"), world.enrol("bob")
    session = loaded(world, opened(world, alice.name))
    verdict = replace(granted(world, bob.name), epoch=session.epoch)
    with pytest.raises(SessionOver):
        world.installation.sessions.renew(session, verdict, FIREFOX)


@pytest.mark.parametrize("credential", sorted(set(Credential) - {BOTH, Credential.PASSWORD_AND_RECOVERY_CODE}))
def test_session_of_an_enrolled_account_is_not_opened_without_both_factors(
    world: World, credential: Credential
) -> None:
    """WEB5: also where the account was enrolled while its password was being checked."""
    alice = world.enrol("alice")
    with pytest.raises(NotProved):
        opened(world, alice.name, credential)


@pytest.mark.parametrize("credential", [Credential.APP_PASSWORD, Credential.NOTHING, Credential.CODE_ONLY])
def test_session_is_not_opened_without_the_password(world: World, credential: Credential) -> None:
    bob = world.add("bob")
    with pytest.raises(NotProved):
        opened(world, bob.name, credential)


@pytest.mark.parametrize("name", ["nobody@mailitwize.be", "carol@mailitwize.be"])
def test_session_of_an_account_that_is_gone_or_disabled_is_not_opened(world: World, name: str) -> None:
    world.enrol("carol")
    world.installation.accounts.set_disabled("carol", disabled=True)
    verdict = Granted(AccountName(name), BOTH, WhyGranted.SECOND_FACTOR_GIVEN, epoch=0)
    with pytest.raises(AccountUnknown):
        world.installation.sessions.open(verdict, FIREFOX)


def test_closed_session_is_over_and_others_are_not(world: World) -> None:
    alice = world.enrol("alice")
    one, two = opened(world, alice.name), opened(world, alice.name)
    world.installation.sessions.close(one)
    assert world.installation.sessions.load(one) is None
    loaded(world, two)


def test_all_sessions_of_an_account_are_closed_together(world: World) -> None:
    alice, bob = world.enrol("alice"), world.enrol("bob")
    cookies, other = [opened(world, alice.name) for _ in range(3)], opened(world, bob.name)
    assert world.installation.own_account.sign_out_everywhere(loaded(world, cookies[0]), FIREFOX) == 3
    assert [world.installation.sessions.load(cookie) for cookie in cookies] == [None] * 3
    loaded(world, other)


def test_sessions_are_closed_together_though_the_one_that_asks_was_renewed_meanwhile(world: World) -> None:
    """The page says that they are, and another tab may have proved something in between."""
    alice = world.enrol("alice")
    cookies = [opened(world, alice.name) for _ in range(2)]
    session = loaded(world, cookies[0])
    cookies[0] = world.installation.sessions.renew(session, granted(world, "alice"), FIREFOX)
    assert world.installation.own_account.sign_out_everywhere(session, FIREFOX) == 2
    assert [world.installation.sessions.load(cookie) for cookie in cookies] == [None] * 2


def test_renewed_session_has_another_cookie_and_is_the_same(world: World) -> None:
    alice = world.enrol("alice")
    cookie = opened(world, alice.name)
    before = loaded(world, cookie)
    world.clock.advance(minutes=5)
    renewed = world.installation.sessions.renew(
        before, granted(world, "alice", Credential.PASSWORD_AND_RECOVERY_CODE), FIREFOX
    )
    assert world.installation.sessions.load(cookie) is None
    after = loaded(world, renewed)
    assert (after.id, after.created_at) == (before.id, before.created_at)
    assert (after.credential, after.proved_at) == (Credential.PASSWORD_AND_RECOVERY_CODE, world.clock())


def test_password_alone_proves_no_factor_again(world: World) -> None:
    alice, bob = world.enrol("alice"), world.add("bob")
    session = loaded(world, opened(world, alice.name, Credential.PASSWORD_AND_RECOVERY_CODE))
    proved_at = session.proved_at
    world.clock.advance(minutes=5)
    after = loaded(
        world, world.installation.sessions.renew(session, granted(world, "alice", Credential.PASSWORD), FIREFOX)
    )
    assert (after.credential, after.proved_at) == (Credential.PASSWORD_AND_RECOVERY_CODE, proved_at)
    other = loaded(world, opened(world, bob.name, Credential.PASSWORD))
    world.clock.advance(minutes=5)
    after = loaded(
        world, world.installation.sessions.renew(other, granted(world, "bob", Credential.PASSWORD), FIREFOX)
    )
    assert after.proved_at == world.clock()


def test_sessions_are_listed_with_place_and_browser(world: World) -> None:
    alice, bob = world.enrol("alice"), world.enrol("bob")
    opened(world, bob.name)
    opened(world, alice.name)
    opened(world, alice.name, origin=Origin("portal", ip_address("2001:db8::7"), "Saf\nari\x00" + "x" * 500))
    world.clock.advance(minutes=19)
    cookie = opened(world, alice.name, origin=Origin("portal"))
    summaries = world.installation.sessions.all(loaded(world, cookie))
    assert [(s.network, s.agent[:11], s.is_this) for s in summaries] == [
        ("", "", True),
        ("2001:db8::/64", "Safarixxxxx", False),
        ("192.0.2.7", "Firefox on ", False),
    ]
    assert len(summaries[1].agent) == 100
    world.clock.advance(minutes=2)
    assert [s.is_this for s in world.installation.sessions.all(loaded(world, cookie))] == [True], "idle ones are over"


def test_oldest_sessions_of_an_account_go_beyond_the_cap(world: World) -> None:
    alice, bob = world.enrol("alice"), world.enrol("bob")
    other = opened(world, bob.name)
    cookies = [opened(world, alice.name) for _ in range(PLACES + 2)]
    alive = [cookie for cookie in cookies if world.installation.sessions.load(cookie)]
    assert alive == cookies[2:]
    loaded(world, other)


def test_who_has_the_password_alone_does_not_end_the_set_up_of_the_owner(world: World) -> None:
    """WEB10: else an account that is not enrolled could be kept from it by logging in, silently."""
    alice = world.add("alice")
    cookie = opened(world, alice.name, Credential.PASSWORD)
    uri = world.installation.set_up.begin(loaded(world, cookie)).uri
    for number in range(3 * PLACES):
        thief = Origin("portal", ip_address(f"2001:db8:7:{number}::1"), "curl")
        theirs = loaded(world, opened(world, alice.name, Credential.PASSWORD, thief))
        world.installation.set_up.begin(theirs)
        world.clock.advance(seconds=1)
    assert world.installation.set_up.begin(loaded(world, cookie)).uri == uri


def test_page_that_comes_right_after_another_writes_nothing(world: World) -> None:
    cookie = opened(world, world.enrol("alice").name)
    seen = []
    for _ in range(4):
        world.clock.advance(seconds=10)
        session = loaded(world, cookie)
        seen.append(world.installation.sessions.all(session)[0].last_seen_at)
    assert len(set(seen)) == 2


def test_form_token_belongs_to_one_cookie(world: World) -> None:
    sessions = world.installation.sessions
    one, two = sessions.new_cookie(), sessions.new_cookie()
    token = sessions.csrf_token(one)
    assert sessions.csrf_is_right(one, token)
    assert one not in token
    for cookie, wrong in [(two, token), (one, sessions.csrf_token(two)), (one, ""), (one, token[:-1]), (one, "é" * 43),
                          (one, "\udcff")]:  # fmt: skip
        assert not sessions.csrf_is_right(cookie, wrong)


def test_sessions_and_form_tokens_survive_a_new_key(world: World) -> None:
    """KEY2: the new key is added in front; what the old one made is still known."""
    alice = world.enrol("alice")
    keys = {"1": bytes(32)}
    configured = world.installation.sessions

    def with_keys(**ring: bytes) -> PortalSessions:
        return PortalSessions(
            world.installation.database, Keyring(ring), configured._idle, configured._life, world.clock
        )

    old, new = with_keys(**keys), with_keys(**{"2": b"2" * 32}, **keys)
    cookie = old.open(granted(world, alice.name), FIREFOX)
    token = old.csrf_token(cookie)
    assert new.load(cookie) is not None
    assert new.csrf_is_right(cookie, token)
    assert new.csrf_token(cookie) != token
    new.close(cookie)
    assert old.load(cookie) is None
