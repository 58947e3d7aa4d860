"""WEB4, FAC3: the set-up in the portal. Nothing has changed until a code is right; then everything at once."""

import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from mailauth.core import otp
from mailauth.core.limiter import Kinship
from mailauth.effects.store import accounts, factors, familiar_networks, tables
from mailauth.usecases import set_up as set_ups
from mailauth.usecases.authenticators import WrongCode
from mailauth.usecases.notices import Notices
from mailauth.usecases.portal_sessions import PortalSessions, Session
from mailauth.usecases.set_up import CodeUsed, SetUpDone, TooManyTries
from mailauth.vocabulary.errors import NothingToConfirm, SealBroken, SessionOver, StoreUnavailable
from mailauth.vocabulary.model import AccountName, Credential, Granted
from mailauth.vocabulary.secret import Secret
from tests.integration.portal_sessions.people import (
    FIREFOX,
    code_of,
    granted,
    in_parallel,
    kinds,
    link_in,
    loaded,
    log_in,
    mails,
    seed_of,
    set_up,
    wrong_code_of,
)
from tests.transactions import reading, writing
from tests.world import Person, World


def everything(world: World) -> dict[str, list[tuple[object, ...]]]:
    """Return what the database holds, but for what was counted of wrong codes."""
    with reading(world.installation.database) as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table))]
            for table in tables.metadata.sorted_tables
        }


async def test_right_code_puts_the_authenticator_in_force_and_issues_recovery_codes(world: World) -> None:
    alice = world.add("alice")
    session = log_in(world, alice)
    before = world.installation.accounts.get("alice")
    done = set_up(world, alice, session)
    assert not done.is_replacement
    assert len(set(done.codes)) == 10
    account = world.installation.accounts.get("alice")
    assert account.totp is not None
    assert account.epoch == before.epoch + 1
    assert account.totp.last_step == otp.step_at(world.clock()), "the code that proved it is spent"
    assert not isinstance(await world.login("alice", alice.password + alice.code(world.clock())), Granted)
    assert isinstance(await world.login("alice", alice.password + alice.code(world.clock(), 1)), Granted)
    assert isinstance(await world.login("alice", alice.password + done.codes[0]), Granted)


def test_session_goes_on_under_a_new_cookie_and_all_others_end(world: World) -> None:
    alice, bob = world.add("alice"), world.add("bob")
    sessions = world.installation.sessions
    old = sessions.open(granted(world, "alice", Credential.PASSWORD), FIREFOX)
    elsewhere, other = log_in(world, alice), log_in(world, bob)
    world.clock.advance(minutes=5)
    done = set_up(world, alice, loaded(world, old))
    assert sessions.load(old) is None
    after = loaded(world, done.cookie)
    assert (after.is_enrolled, after.recovery_codes_left) == (True, 10)
    assert (after.credential, after.proved_at) == (Credential.PASSWORD_AND_CODE, world.clock())
    assert len(sessions.all(after)) == 1
    with pytest.raises(SessionOver):
        world.installation.set_up.begin(elsewhere)
    world.installation.set_up.begin(other)


def test_owner_is_told_at_once_with_a_link_that_undoes_it_and_gets_the_codes(world: World) -> None:
    alice = world.add("alice")
    done = set_up(world, alice)
    (to, notice), (to_too, codes) = mails(world)
    assert (to, to_too) == (alice.name, alice.name)
    assert (notice.kind, notice.moment) == ("authenticator-set", world.clock())
    assert (notice.service, notice.client, notice.agent) == ("portal", "192.0.2.7", "Firefox on Android")
    assert world.installation.own_account.open_link(link_in(world)) is not None
    assert (codes.kind, codes.facts) == ("recovery-codes", {"codes": list(done.codes), "first": True})


async def test_old_authenticator_works_until_the_new_one_is_proved(world: World) -> None:
    # FAC3
    alice = world.enrol("alice")
    old = replace(alice)
    codes = world.installation.recovery_codes.issue("alice")[1]
    session = log_in(world, alice)
    pending = world.installation.set_up.begin(session)
    world.installation.set_up.confirm(session, wrong_code_of(world, pending), FIREFOX)
    assert isinstance(await world.login("alice", old.password + old.code(world.clock())), Granted)
    done = world.installation.set_up.confirm(session, code_of(world, pending), FIREFOX)
    assert isinstance(done, SetUpDone)
    assert (done.is_replacement, done.codes) == (True, ())
    alice.seed = seed_of(pending)
    assert not isinstance(await world.login("alice", old.password + old.code(world.clock(), 1)), Granted)
    assert isinstance(await world.login("alice", alice.password + alice.code(world.clock(), 1)), Granted)
    assert isinstance(await world.login("alice", alice.password + codes[0]), Granted), "codes outlive a replacement"
    assert kinds(world)[-2:] == ["authenticator-replaced", "recovery-code-used"]


def test_leaving_half_way_changes_nothing(world: World) -> None:
    session = log_in(world, world.enrol("alice"))
    before = everything(world)
    world.installation.set_up.begin(session)
    world.installation.set_up.cancel(session)
    assert everything(world) == before
    assert world.installation.set_up.pending(session) is None


def test_every_tab_of_a_session_shows_the_same_seed_and_an_error_makes_no_other(world: World) -> None:
    session = log_in(world, world.add("alice"))
    pending = world.installation.set_up.begin(session)
    for _ in range(3):
        world.clock.advance(minutes=2)
        assert world.installation.set_up.begin(session) == pending
        assert world.installation.set_up.pending(session) == pending
        wrong = world.installation.set_up.confirm(session, wrong_code_of(world, pending), FIREFOX)
        assert wrong == WrongCode(None)
    renewed = world.installation.sessions.renew(session, granted(world, "alice", Credential.PASSWORD), FIREFOX)
    assert world.installation.set_up.begin(loaded(world, renewed)) == pending


def test_two_tabs_that_begin_at_once_show_the_same_seed(world: World) -> None:
    session = log_in(world, world.add("alice"))
    seen = in_parallel(8, lambda: world.installation.set_up.begin(session))
    assert len({pending.secret for pending in seen}) == 1


def test_sessions_of_one_account_do_not_confuse_one_another(world: World) -> None:
    alice = world.add("alice")
    desk, phone = log_in(world, alice), log_in(world, alice)
    at_desk, on_phone = world.installation.set_up.begin(desk), world.installation.set_up.begin(phone)
    assert at_desk.secret != on_phone.secret
    assert isinstance(world.installation.set_up.confirm(desk, code_of(world, on_phone), FIREFOX), WrongCode)
    assert isinstance(world.installation.set_up.confirm(phone, code_of(world, on_phone), FIREFOX), SetUpDone)
    with pytest.raises(SessionOver):
        world.installation.set_up.confirm(desk, code_of(world, at_desk), FIREFOX)


def test_seed_that_waits_dies_after_ten_minutes(world: World) -> None:
    # WEB4
    session = log_in(world, world.add("alice"))
    pending = world.installation.set_up.begin(session)
    assert pending.expires_at == world.clock() + timedelta(minutes=10)
    world.clock.advance(minutes=9, seconds=59)
    assert world.installation.set_up.begin(session) == pending
    world.clock.advance(seconds=1)
    assert world.installation.set_up.pending(session) is None
    with pytest.raises(NothingToConfirm):
        world.installation.set_up.confirm(session, code_of(world, pending), FIREFOX)
    assert world.installation.set_up.begin(session).secret != pending.secret


@pytest.mark.parametrize("way", ["closed", "changed", "removed"])
def test_seed_that_waits_dies_with_its_session(world: World, way: str) -> None:
    # WEB4
    alice = world.add("alice")
    session = log_in(world, alice)
    pending = world.installation.set_up.begin(session)
    if way == "closed":
        world.installation.own_account.sign_out_everywhere(session, FIREFOX)
    elif way == "changed":
        world.installation.accounts.set_password("alice", Secret(b"changed"), revoke_app_passwords=False)
    else:
        world.installation.accounts.remove("alice")
    with pytest.raises((NothingToConfirm, SessionOver)):
        world.installation.set_up.confirm(session, code_of(world, pending), FIREFOX)
    if way != "removed":
        assert world.installation.accounts.get("alice").totp is None


def test_seeds_that_wait_do_not_open_in_one_another_s_rows(world: World) -> None:
    # KEY1
    alice, bob = world.add("alice"), world.add("bob")
    session, same_account, other_account = log_in(world, alice), log_in(world, alice), log_in(world, bob)
    pending = world.installation.set_up.begin(session)
    columns = ("pending_seed", "pending_key_id", "pending_at")
    rows = tables.portal_session
    with writing(world.installation.database) as connection:
        row = connection.execute(select(rows).where(rows.c.id == session.id)).one()
        moved = {name: getattr(row, name) for name in columns}
        for each in (same_account, other_account):
            connection.execute(rows.update().where(rows.c.id == each.id).values(**moved))
    for each in (same_account, other_account):
        with pytest.raises(SealBroken):
            world.installation.set_up.pending(each)
        with pytest.raises(SealBroken):
            world.installation.set_up.confirm(each, code_of(world, pending), FIREFOX)
    assert world.installation.accounts.get("bob").totp is None


def test_after_ten_wrong_codes_none_is_looked_at_for_a_minute(world: World) -> None:
    session = log_in(world, world.add("alice"))
    pending = world.installation.set_up.begin(session)
    for _ in range(10):
        assert isinstance(
            world.installation.set_up.confirm(session, wrong_code_of(world, pending), FIREFOX), WrongCode
        )
    too_many = TooManyTries(world.clock() + timedelta(minutes=1))
    assert world.installation.set_up.confirm(session, code_of(world, pending), FIREFOX) == too_many
    world.installation.set_up.cancel(session)
    pending = world.installation.set_up.begin(session)
    assert world.installation.set_up.confirm(session, code_of(world, pending), FIREFOX) == too_many
    world.clock.advance(seconds=59)
    assert world.installation.set_up.confirm(session, code_of(world, pending), FIREFOX) == too_many
    world.clock.advance(seconds=1)
    assert isinstance(world.installation.set_up.confirm(session, wrong_code_of(world, pending), FIREFOX), WrongCode)
    assert isinstance(world.installation.set_up.confirm(session, code_of(world, pending), FIREFOX), SetUpDone)


@pytest.mark.parametrize("steps", [-10, -5, -2, 2, 3, 10])
def test_clock_that_is_off_is_told_and_not_accepted(world: World, steps: int) -> None:
    # OTP7
    session = log_in(world, world.add("alice"))
    pending = world.installation.set_up.begin(session)
    result = world.installation.set_up.confirm(session, code_of(world, pending, steps), FIREFOX)
    assert result == WrongCode(steps)
    assert world.installation.accounts.get("alice").totp is None


@pytest.mark.parametrize("steps", [-11, 11])
def test_clock_that_is_off_by_more_is_a_wrong_code(world: World, steps: int) -> None:
    session = log_in(world, world.add("alice"))
    pending = world.installation.set_up.begin(session)
    result = world.installation.set_up.confirm(session, code_of(world, pending, steps), FIREFOX)
    assert result == WrongCode(None)


@pytest.mark.parametrize("spelling", ["{} {}", "{}-{}", " {}{} "])
def test_spaces_and_dashes_in_a_code_do_not_matter(world: World, spelling: str) -> None:
    session = log_in(world, world.add("alice"))
    code = code_of(world, world.installation.set_up.begin(session)).reveal().decode()
    typed = Secret(spelling.format(code[:3], code[3:]).encode())
    assert isinstance(world.installation.set_up.confirm(session, typed, FIREFOX), SetUpDone)


@pytest.mark.parametrize("is_enrolled", [False, True])
def test_of_twenty_parallel_confirmations_one_passes(world: World, is_enrolled: bool) -> None:
    alice = world.enrol("alice") if is_enrolled else world.add("alice")
    session = log_in(world, alice)
    code = code_of(world, world.installation.set_up.begin(session))
    told_before = len(mails(world))
    results = in_parallel(20, lambda: world.installation.set_up.confirm(session, code, FIREFOX))
    done = [result for result in results if isinstance(result, SetUpDone)]
    assert len(done) == 1
    assert [result for result in results if result != done[0]] == [CodeUsed()] * 19
    assert len(mails(world)) - told_before == (1 if is_enrolled else 2)
    loaded(world, done[0].cookie)


def test_account_that_was_enrolled_elsewhere_is_not_enrolled_again(world: World) -> None:
    alice = world.add("alice")
    session = log_in(world, alice)
    pending = world.installation.set_up.begin(session)
    begun = world.installation.enrolment.begin("alice")
    by_administrator = set_ups.PendingSetUp(begun.secret, begun.uri, world.clock())
    world.installation.enrolment.confirm("alice", code_of(world, by_administrator))
    with pytest.raises(SessionOver):
        world.installation.set_up.confirm(session, code_of(world, pending), FIREFOX)


class Broken(Exception):
    """What a test breaks with."""


FAULTS = [
    (accounts, "raise_epoch_from"),
    (factors, "put_in_force"),
    (factors, "issue_recovery_codes"),
    (Notices, "tell"),
    (PortalSessions, "carry_over"),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("where", "name"), FAULTS, ids=[name for _, name in FAULTS])
def test_fault_in_the_middle_leaves_nothing_half_done(
    world: World, monkeypatch: pytest.MonkeyPatch, where: object, name: str, when: str
) -> None:
    alice = world.add("alice")
    session = log_in(world, alice)
    pending = world.installation.set_up.begin(session)
    before = everything(world)
    set_up_ = world.installation.set_up
    works = getattr(where, name)

    def breaks(*args: object, **named: object) -> object:
        if when == "after":
            works(*args, **named)
        raise Broken

    with monkeypatch.context() as patch:
        patch.setattr(where, name, breaks)
        with pytest.raises(Broken):
            set_up_.confirm(session, code_of(world, pending), FIREFOX)
    assert everything(world) == before
    assert isinstance(set_up_.confirm(session, code_of(world, pending), FIREFOX), SetUpDone)


def test_database_that_fails_at_the_commit_leaves_nothing_half_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = log_in(world, world.add("alice"))
    pending = world.installation.set_up.begin(session)
    with writing(world.installation.database) as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER fails BEFORE INSERT ON outbox BEGIN SELECT RAISE(FAIL, 'disk full'); END"
        )
    before = everything(world)
    with pytest.raises((StoreUnavailable, IntegrityError)):
        world.installation.set_up.confirm(session, code_of(world, pending), FIREFOX)
    assert everything(world) == before


def test_what_waits_is_sealed_in_the_database(world: World) -> None:
    session: Session = log_in(world, world.add("alice"))
    pending = world.installation.set_up.begin(session)
    for file in world.directory.glob("mailauth.db*"):
        assert seed_of(pending) not in file.read_bytes()
        assert pending.secret.encode() not in file.read_bytes()


def test_network_of_the_set_up_is_familiar_from_then_on(world: World) -> None:
    """Who has just proved both factors there is not to be locked out by what strangers try elsewhere."""
    set_up(world, world.add("alice"))
    alice = world.installation.accounts.get("alice")
    with reading(world.installation.database) as connection:
        here = familiar_networks.find(connection, alice.id, "192.0.2.7")
        assert here is not None
        assert here.kinship(alice.epoch, world.clock()) is Kinship.BY_BOTH
        assert familiar_networks.find(connection, alice.id, "192.0.2.8") is None


def test_what_was_begun_on_the_command_line_earlier_cannot_replace_what_the_owner_has_set_up(world: World) -> None:
    alice = world.add("alice")
    begun = world.installation.enrolment.begin("alice")
    set_up(world, alice)
    code = Person(AccountName(""), "", base64.b32decode(begun.secret)).code(world.clock())
    with pytest.raises(NothingToConfirm):
        world.installation.enrolment.confirm("alice", Secret(code.encode()))
