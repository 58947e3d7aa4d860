"""Somebody with a stolen password gets in first; what the owner does about it leaves them no way back to the codes."""

import base64
from collections.abc import Callable

import pytest

from mailauth.usecases.enrolment import Confirmed
from mailauth.vocabulary.errors import SessionOver
from mailauth.vocabulary.model import AccountName
from mailauth.vocabulary.secret import Secret
from tests.integration.portal_sessions.people import (
    FIREFOX,
    in_parallel,
    kinds,
    link_in,
    loaded,
    log_in,
    mails,
    set_up,
)
from tests.world import Person, World

INTRUDER_S = "mallory@example.org"


ALICE = Person(AccountName("alice@mailitwize.be"), "", b"x")


@pytest.fixture
def undo(world: World) -> str:
    """Give the link that undoes an enrolment, after which the intruder has another address confirmed."""
    cookie = set_up(world, world.add("alice")).cookie
    link = link_in(world)
    own_account = world.installation.own_account
    own_account.ask_for_address(loaded(world, cookie), INTRUDER_S, FIREFOX)
    assert own_account.follow_link(link_in(world), FIREFOX) is not None
    assert loaded(world, cookie).recovery_address == INTRUDER_S
    return link


def test_codes_after_an_undone_enrolment_go_to_the_mailbox_alone(world: World, undo: str) -> None:
    # REC4
    before = len(mails(world))
    assert world.installation.own_account.follow_link(undo, FIREFOX) is not None
    told = [(to, str(notice.kind)) for to, notice in mails(world)[before:]]
    assert told == [
        ("alice@mailitwize.be", "address-changed"),
        (INTRUDER_S, "address-changed"),
        ("alice@mailitwize.be", "enrolment-undone"),
    ]
    before = len(mails(world))
    done = set_up(world, Person(AccountName("alice@mailitwize.be"), "correct horse"))
    assert {to for to, _ in mails(world)[before:]} == {"alice@mailitwize.be"}
    assert mails(world)[-1][1].facts["codes"] == list(done.codes)


def change_password(world: World, _undo: str) -> object:
    return world.installation.accounts.set_password("alice", Secret(b"changed"), revoke_app_passwords=False)


def reset(world: World, _undo: str) -> object:
    return world.installation.enrolment.reset("alice")


def make_new_codes(world: World, _undo: str) -> object:
    return world.installation.recovery_codes.issue("alice")


def replace_authenticator(world: World, _undo: str) -> object:
    alice = ALICE
    return set_up(world, alice, log_in(world, alice))


def sign_out_everywhere(world: World, _undo: str) -> object:
    session = log_in(world, ALICE)
    return world.installation.own_account.sign_out_everywhere(session, FIREFOX)


def follow_undo(world: World, undo: str) -> object:
    return world.installation.own_account.follow_link(undo, FIREFOX)


@pytest.mark.parametrize(
    "way_out", [change_password, reset, make_new_codes, replace_authenticator, sign_out_everywhere, follow_undo]
)
def test_address_that_waits_to_be_confirmed_is_none_any_more(
    world: World, undo: str, way_out: Callable[[World, str], object]
) -> None:
    other = world.enrol("bob")
    own_account = world.installation.own_account
    own_account.ask_for_address(log_in(world, other), "bob@example.org", FIREFOX)
    own_account.ask_for_address(log_in(world, ALICE), "second@example.org", FIREFOX)
    token, bob_s = link_in(world), link_in(world, -2)
    way_out(world, undo)
    assert own_account.follow_link(token, FIREFOX) is None
    assert own_account.follow_link(bob_s, FIREFOX) is not None, "nobody else's link is void"


def change_password_and_revoke(world: World, _undo: str) -> object:
    world.installation.app_passwords.make("alice", "thief")
    return world.installation.accounts.set_password("alice", Secret(b"changed"), revoke_app_passwords=True)


def replace_authenticator_by_an_administrator(world: World, _undo: str) -> object:
    begun = world.installation.enrolment.begin("alice")
    code = Person(AccountName(""), "", base64.b32decode(begun.secret)).code(world.clock())
    confirmed = world.installation.enrolment.confirm("alice", Secret(code.encode()))
    assert isinstance(confirmed, Confirmed)
    return confirmed


def make_new_codes_in_the_portal(world: World, _undo: str) -> object:
    session = log_in(world, ALICE)
    return world.installation.recovery_codes.issue("alice", FIREFOX, session)


def revoke_app_passwords(world: World, _undo: str) -> object:
    world.installation.app_passwords.make("alice", "thief")
    return world.installation.app_passwords.revoke("alice", None)


def revoke_an_app_password_in_the_portal(world: World, _undo: str) -> object:
    made = world.installation.app_passwords.make("alice", "thief")
    session = log_in(world, ALICE)
    return world.installation.app_passwords.revoke("alice", made.id, FIREFOX, session)


def remove_address(world: World, _undo: str) -> object:
    session = log_in(world, ALICE)
    world.installation.own_account.remove_address(session, FIREFOX)
    return None


def change_address(world: World, _undo: str) -> object:
    own_account = world.installation.own_account
    own_account.ask_for_address(log_in(world, ALICE), "alice@example.org", FIREFOX)
    return own_account.follow_link(link_in(world), FIREFOX)


AGAINST_AN_INTRUDER = [
    change_password,
    change_password_and_revoke,
    replace_authenticator,
    replace_authenticator_by_an_administrator,
    make_new_codes,
    make_new_codes_in_the_portal,
    revoke_app_passwords,
    revoke_an_app_password_in_the_portal,
    sign_out_everywhere,
    remove_address,
    change_address,
]


@pytest.mark.parametrize("change", AGAINST_AN_INTRUDER)
def test_who_once_read_the_mailbox_undoes_nothing_after_a_change_against_an_intruder(
    world: World, undo: str, change: Callable[[World, str], object]
) -> None:
    """The mailbox as it is read now has a link in its place: the change may have been the intruder's."""
    own_account = world.installation.own_account
    made = own_account.open_link(undo)
    assert made is not None
    world.clock.advance(hours=1)
    change(world, undo)
    assert own_account.open_link(undo) is None
    assert own_account.follow_link(undo, FIREFOX) is None
    assert world.installation.accounts.get("alice").totp is not None
    assert own_account.open_link(link_in(world)) == made, "nor is the new one good for longer"
    intruders = {token for to, notice in mails(world) for token in (notice.facts.get("link"),) if to == INTRUDER_S}
    assert f"/link/{link_in(world)}" not in intruders, "whom the change shuts out"
    world.clock.advance(hours=70)
    assert own_account.follow_link(link_in(world), FIREFOX) is not None
    assert world.installation.accounts.get("alice").totp is None


@pytest.mark.parametrize("change", AGAINST_AN_INTRUDER)
def test_no_link_is_mailed_where_none_was_good(
    world: World, undo: str, change: Callable[[World, str], object]
) -> None:
    world.clock.advance(hours=72)
    before = len(mails(world))
    change(world, undo)
    links = [notice for _, notice in mails(world)[before:] if "since" in notice.facts]
    assert links == []


def test_intruder_who_enrolled_cannot_void_every_link_before_its_owner_has_pressed_it(world: World) -> None:
    """One who has the password alone binds a phone, and then makes and revokes app passwords without end."""
    intruder = log_in(world, world.add("alice"))
    set_up(world, ALICE, intruder)
    own_account, app_passwords = world.installation.own_account, world.installation.app_passwords
    session = log_in(world, Person(ALICE.name, "", b"x"))
    for _ in range(30):
        made = app_passwords.make("alice", "phone", origin=FIREFOX, in_session=session)
        app_passwords.revoke("alice", made.id, FIREFOX, session)
        world.clock.advance(seconds=1)
    newest = link_in(world)
    made = app_passwords.make("alice", "phone", origin=FIREFOX, in_session=session)
    app_passwords.revoke("alice", made.id, FIREFOX, session)
    assert link_in(world) == newest, "no other one was mailed"
    assert own_account.follow_link(newest, FIREFOX) is not None
    assert world.installation.accounts.get("alice").totp is None


def test_administrator_voids_the_links_however_many_there_were(world: World, undo: str) -> None:
    for _ in range(30):
        revoke_app_passwords(world, undo)
    seen = link_in(world)
    change_password(world, undo)
    assert world.installation.own_account.open_link(seen) is None


def test_links_of_an_account_that_was_disabled_serve_no_more(world: World, undo: str) -> None:
    own_account = world.installation.own_account
    own_account.ask_for_address(log_in(world, ALICE), "second@example.org", FIREFOX)
    for disabled in (True, False):
        world.installation.accounts.set_disabled("alice", disabled=disabled)
        assert own_account.open_link(undo) is None
        assert own_account.follow_link(link_in(world), FIREFOX) is None
    assert world.installation.accounts.get("alice").totp is not None


def test_first_set_of_recovery_codes_leaves_the_link_as_it_is(world: World) -> None:
    """An administrator enrols somebody and issues codes a moment later: that shuts nobody out."""
    world.enrol("bob")
    undo = link_in(world)
    world.installation.recovery_codes.issue("bob")
    assert kinds(world) == ["authenticator-set", "recovery-codes"]
    assert world.installation.own_account.open_link(undo) is not None


def test_change_under_way_while_the_owner_undoes_it_all_comes_too_late(world: World, undo: str) -> None:
    """The intruder's page has loaded its session; by the time it changes the address, that is over."""
    own_account = world.installation.own_account
    session = log_in(world, ALICE)
    follow_undo(world, undo)
    before = len(mails(world))
    with pytest.raises(SessionOver):
        own_account.ask_for_address(session, "second@example.org", FIREFOX)
    with pytest.raises(SessionOver):
        own_account.remove_address(session, FIREFOX)
    with pytest.raises(SessionOver):
        world.installation.app_passwords.make("alice", "telephone", origin=FIREFOX, in_session=session)
    with pytest.raises(SessionOver):
        world.installation.app_passwords.revoke("alice", None, FIREFOX, session)
    assert len(mails(world)) == before


def test_reset_takes_the_address_away_that_the_intruder_set(world: World, undo: str) -> None:
    # REC4
    before = len(mails(world))
    reset(world, undo)
    told = [(to, str(notice.kind)) for to, notice in mails(world)[before:]]
    assert ("alice@mailitwize.be", "address-changed") in told
    assert (INTRUDER_S, "address-changed") in told
    before = len(mails(world))
    set_up(world, Person(AccountName("alice@mailitwize.be"), "correct horse"))
    assert {to for to, _ in mails(world)[before:]} == {"alice@mailitwize.be"}


def test_who_presses_sign_out_everywhere_twice_gets_one_link(world: World, undo: str) -> None:
    session, before = log_in(world, ALICE), len(mails(world))
    ended = in_parallel(8, lambda: world.installation.own_account.sign_out_everywhere(session, FIREFOX))
    assert sorted(ended) == [0] * 7 + [2]
    assert kinds(world)[before:] == ["undo-link-replaced"] * (len(mails(world)) - before)
    assert len({to for to, _ in mails(world)[before:]}) == len(mails(world)) - before
