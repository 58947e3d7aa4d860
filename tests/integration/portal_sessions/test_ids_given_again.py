"""An id that a database gives again is not what it was: whoever held it before changes nothing of who has it now."""

import pytest
from sqlalchemy import select, update

from mailauth.effects.store import accounts, factors
from mailauth.effects.store.tables import portal_session, totp
from mailauth.usecases.portal_sessions import Session
from mailauth.vocabulary.errors import SessionOver
from mailauth.vocabulary.model import Credential
from tests.integration.portal_sessions.people import FIREFOX, granted, loaded, log_in, mails
from tests.transactions import reading, writing
from tests.world import World


def test_id_of_a_session_that_ended_is_not_given_again(world: World) -> None:
    alice, bob = world.enrol("alice"), world.enrol("bob")
    sessions = world.installation.sessions
    cookie = sessions.open(granted(world, alice.name), FIREFOX)
    ended = loaded(world, cookie).id
    sessions.close(cookie)
    assert log_in(world, bob).id > ended


@pytest.fixture
def ended(world: World) -> Session:
    """Give a session of Mallory's that has ended, whose id a session of Alice's has by now."""
    mallory, alice = world.enrol("mallory"), world.enrol("alice")
    sessions = world.installation.sessions
    cookie = sessions.open(granted(world, mallory.name), FIREFOX)
    session = loaded(world, cookie)
    sessions.close(cookie)
    alice_s = log_in(world, alice)
    assert session.epoch == alice_s.epoch
    with writing(world.installation.database) as connection:
        moved = update(portal_session).where(portal_session.c.id == alice_s.id).values(id=session.id)
        assert connection.execute(moved).rowcount == 1
    return session


def test_session_that_ended_is_renewed_into_nobody_elses(world: World, ended: Session) -> None:
    installation = world.installation
    with reading(installation.database) as connection:
        before = connection.execute(select(portal_session)).all()
    with pytest.raises(SessionOver):
        installation.sessions.renew(ended, granted(world, "mallory"), FIREFOX)
    with pytest.raises(SessionOver):
        installation.set_up.begin(ended)
    with pytest.raises(SessionOver):
        installation.recovery_codes.issue("mallory", FIREFOX, ended)
    with reading(installation.database) as connection:
        assert connection.execute(select(portal_session)).all() == before
    assert installation.set_up.pending(ended) is None


def test_code_is_spent_in_the_authenticator_of_its_own_account_alone(world: World) -> None:
    world.enrol("alice")
    world.enrol("bob")
    accounts = world.installation.accounts
    alice, bob = accounts.get("alice"), accounts.get("bob")
    assert alice.totp is not None
    step = alice.totp.last_step + 1
    with writing(world.installation.database) as connection:
        assert not factors.spend_step(connection, bob.id, alice.totp.id, step, bob.epoch)
        assert factors.spend_step(connection, alice.id, alice.totp.id, step, alice.epoch)
        assert not factors.unspend_step(connection, bob.id, alice.totp.id, step, bob.epoch)
        spent = connection.execute(select(totp.c.account_id, totp.c.last_step))
        steps = {row.account_id: row.last_step for row in spent}
    assert steps[alice.id] == step


def test_recovery_code_is_spent_for_its_own_account_alone(world: World) -> None:
    for name in ("alice", "bob"):
        world.enrol(name)
        world.installation.recovery_codes.issue(name)
    accounts = world.installation.accounts
    alice, bob = accounts.get("alice"), accounts.get("bob")
    with writing(world.installation.database) as connection:
        for row_id in range(1, 11):  # Alice's
            assert not factors.spend_recovery_code(connection, bob.id, row_id, bob.epoch, world.clock())
        assert factors.recovery_codes_left(connection, alice.id) == 10
        assert factors.spend_recovery_code(connection, alice.id, 1, alice.epoch, world.clock())
    assert mails(world)


def test_language_is_chosen_for_the_account_of_the_session_and_not_for_who_has_its_id_now(world: World) -> None:
    installation = world.installation
    session = log_in(world, world.add("mallory"), Credential.PASSWORD)
    installation.own_account.set_language(session, "de")
    with reading(installation.database) as connection:
        assert accounts.chosen(connection, session.account_id).language == "de"
    installation.accounts.remove("mallory")
    world.add("alice")
    assert installation.accounts.get("alice").id == session.account_id, "or this shows nothing"
    installation.own_account.set_language(session, "nl")
    with reading(installation.database) as connection:
        assert accounts.chosen(connection, session.account_id).language is None
