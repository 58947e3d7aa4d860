"""FAC1, REC2: every change of what an account holds is told to its owner, in the very transaction that makes it."""

from collections.abc import Callable
from ipaddress import ip_address

import pytest

from mailauth.usecases.notices import Notices
from mailauth.vocabulary.errors import InvalidValue, NotEnrolled, SessionOver
from mailauth.vocabulary.model import AccountName, Denied, Granted
from mailauth.vocabulary.notices import Origin
from mailauth.vocabulary.secret import Secret
from mailauth.wiring import Installation
from tests.integration.portal_sessions.people import (
    FIREFOX,
    granted,
    in_parallel,
    kinds,
    link_in,
    loaded,
    log_in,
    mails,
    set_up,
)
from tests.world import Person, World

Change = Callable[[World], object]


def issue(world: World) -> object:
    return world.installation.recovery_codes.issue("alice")


def reset(world: World) -> object:
    return world.installation.enrolment.reset("alice")


def add(world: World) -> object:
    return world.installation.app_passwords.make("alice", "phone", ("imap", "smtp"))


def revoke(world: World) -> object:
    return world.installation.app_passwords.revoke("alice", None)


def set_password(world: World) -> object:
    return world.installation.accounts.set_password("alice", Secret(b"changed"), revoke_app_passwords=True)


def replace(world: World) -> object:
    begun = world.installation.enrolment.begin("alice")
    return world.installation.enrolment.confirm("alice", code_for(world, begun.secret))


def code_for(world: World, secret: str) -> Secret:
    import base64

    return Secret(Person(AccountName(""), "", base64.b32decode(secret)).code(world.clock()).encode())


CHANGES: dict[str, tuple[Change, list[str]]] = {
    "recovery-codes": (issue, []),
    "authenticator-removed": (reset, []),
    "app-password-made": (add, []),
    "app-password-revoked": (revoke, ["old"]),
    "authenticator-replaced": (replace, []),
}


@pytest.fixture
def prepared(world: World) -> World:
    """Give a world with an enrolled alice, who has an app password."""
    world.enrol("alice")
    world.installation.app_passwords.make("alice", "old")
    return world


@pytest.mark.parametrize("kind", CHANGES)
def test_administrator_s_change_is_told_to_the_owner(prepared: World, kind: str) -> None:
    before = len(mails(prepared))
    CHANGES[kind][0](prepared)
    ((to, notice),) = mails(prepared)[before:]
    assert (to, notice.kind, notice.service, notice.client) == ("alice@mailitwize.be", kind, "administrator", "")
    assert notice.facts.get("names", []) == CHANGES[kind][1]
    assert notice.moment == prepared.clock()


@pytest.mark.parametrize("kind", CHANGES)
def test_change_that_cannot_be_told_is_not_made(prepared: World, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    session = log_in(prepared, Person(AccountName("alice@mailitwize.be"), "", b"x"))
    accounts, app_passwords = prepared.installation.accounts, prepared.installation.app_passwords
    was = (accounts.get("alice"), app_passwords.all("alice"), mails(prepared))
    left = prepared.installation.recovery_codes.left("alice")
    tell = Notices.tell

    def breaks(*args: object, **named: object) -> None:
        tell(*args, **named)  # type: ignore[arg-type]
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(Notices, "tell", breaks)
        with pytest.raises(RuntimeError):
            CHANGES[kind][0](prepared)
    assert (accounts.get("alice"), app_passwords.all("alice"), mails(prepared)) == was
    assert prepared.installation.recovery_codes.left("alice") == left
    assert prepared.installation.sessions.all(session)


def test_enrolment_by_the_administrator_is_told_with_a_link_that_undoes_it(world: World) -> None:
    world.enrol("alice")
    assert kinds(world) == ["authenticator-set"]
    assert world.installation.own_account.follow_link(link_in(world), FIREFOX) is not None
    assert world.installation.accounts.get("alice").totp is None


def test_what_changed_nothing_is_told_to_nobody(world: World) -> None:
    world.add("alice")
    enrolment = world.installation.enrolment
    with pytest.raises(NotEnrolled):
        world.installation.recovery_codes.issue("alice")
    with pytest.raises(NotEnrolled):
        enrolment.reset("alice")
    with pytest.raises(InvalidValue):
        world.installation.app_passwords.revoke("alice", None)
    world.installation.accounts.set_password("alice", Secret(b"changed"), revoke_app_passwords=True)
    enrolment.begin("alice")
    enrolment.reset("alice")
    assert mails(world) == []


def test_app_passwords_that_go_with_a_password_are_told(prepared: World) -> None:
    before = len(mails(prepared))
    set_password(prepared)
    ((_, notice),) = mails(prepared)[before:]
    assert (notice.kind, notice.facts["names"]) == ("app-password-revoked", ["old"])


def test_owner_s_change_says_from_where(prepared: World) -> None:
    origin = Origin("portal", ip_address("2001:db8::7"), "Safari on iPhone")
    prepared.installation.app_passwords.make("alice", "iPad", ("imap",), origin=origin)
    _, notice = mails(prepared)[-1]
    assert (notice.service, notice.client, notice.agent) == ("portal", "2001:db8::7", "Safari on iPhone")
    assert notice.facts == {"name": "iPad", "services": ["imap"]}


def test_codes_go_to_the_other_address_and_the_mailbox_hears_of_it(prepared: World) -> None:
    # REC4
    session = log_in(prepared, Person(AccountName("alice@mailitwize.be"), "", b"x"))
    prepared.installation.own_account.ask_for_address(session, "alice@example.org", FIREFOX)
    prepared.installation.own_account.follow_link(link_in(prepared), FIREFOX)
    before = len(mails(prepared))
    codes = prepared.installation.recovery_codes.issue("alice")[1]
    told = {to: notice.facts["codes"] for to, notice in mails(prepared)[before:]}
    assert told == {"alice@mailitwize.be": [], "alice@example.org": list(codes)}


@pytest.mark.parametrize("change", [lambda ours: ours.recovery_codes.issue, lambda ours: ours.enrolment.reset])
def test_session_in_which_a_factor_is_changed_goes_on_and_others_end(
    prepared: World, change: Callable[[Installation], Callable[..., object]]
) -> None:
    alice = Person(AccountName("alice@mailitwize.be"), "", b"x")
    sessions = prepared.installation.sessions
    cookies = [sessions.open(granted(prepared, alice.name), FIREFOX) for _ in "ab"]
    session = loaded(prepared, cookies[0])
    change(prepared.installation)("alice", FIREFOX, session)
    after = loaded(prepared, cookies[0])
    assert (after.id, after.epoch) == (session.id, session.epoch + 1)
    assert sessions.load(cookies[1]) is None
    told = len(mails(prepared))
    with pytest.raises(SessionOver):
        change(prepared.installation)("alice", FIREFOX, session)
    assert len(mails(prepared)) == told
    assert loaded(prepared, cookies[0]).epoch == after.epoch


def test_session_of_somebody_else_changes_no_factor(prepared: World) -> None:
    session = log_in(prepared, prepared.enrol("bob"))
    with pytest.raises(SessionOver):
        prepared.installation.enrolment.reset("alice", FIREFOX, session)
    assert prepared.installation.accounts.get("alice").totp is not None


def test_recovery_code_is_proved_once_and_quietly(world: World) -> None:
    alice = world.add("alice")
    codes = set_up(world, alice).codes
    prove = world.installation.recovery_codes.prove
    told = len(mails(world))
    for wrong in ("", "k7qm-2xvp-9hfd-c3wn", codes[0][:-1], "é"):
        assert not prove("alice", Secret(wrong.encode()))
    assert prove("alice", Secret(f" {codes[0].upper().replace('-', ' ')} ".encode()))
    assert not prove("alice", Secret(codes[0].encode()))
    assert world.installation.recovery_codes.left("alice") == 9
    assert len(mails(world)) == told


def test_recovery_code_is_proved_by_one_of_fifty_parallel_requests(world: World) -> None:
    # REC2
    code = Secret(set_up(world, world.add("alice")).codes[0].encode())
    results = in_parallel(50, lambda: world.installation.recovery_codes.prove("alice", code))
    assert sorted(results) == [False] * 49 + [True]


async def test_recovery_code_that_was_proved_or_voided_opens_nothing(world: World) -> None:
    alice = world.add("alice")
    done = set_up(world, alice)
    world.installation.recovery_codes.prove("alice", Secret(done.codes[0].encode()))
    assert isinstance(await world.login("alice", alice.password + done.codes[0]), Denied)
    new = world.installation.recovery_codes.issue("alice")[1]
    for code in done.codes:
        assert isinstance(await world.login("alice", alice.password + code), Denied)
        assert not world.installation.recovery_codes.prove("alice", Secret(code.encode()))
    assert isinstance(await world.login("alice", alice.password + new[0]), Granted)
