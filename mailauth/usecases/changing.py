"""The account that a change is about: on the command line, or in a session of the portal that has to be open still."""

from sqlalchemy import Connection

from mailauth.effects.store import sessions
from mailauth.usecases.accounts import find
from mailauth.usecases.portal_sessions import Session, account_of
from mailauth.vocabulary.errors import SessionOver
from mailauth.vocabulary.model import Account


def whose(connection: Connection, name: str, in_session: Session | None, default_domain: str) -> Account:
    """Return an account whose sessions outlive the change. Raises AccountUnknown, SessionOver."""
    if in_session is None:
        return find(connection, name, default_domain)
    return account_of(connection, in_session)


def whose_state(connection: Connection, name: str, in_session: Session | None, default_domain: str) -> Account:
    """Return an account whose epoch is about to be raised, once; the session in which that is done outlives it.

    Raises AccountUnknown, SessionOver.
    """
    found = find(connection, name, default_domain)
    if in_session is not None and (
        found.id != in_session.account_id
        or not sessions.renew(connection, in_session.digest, in_session.epoch, epoch=in_session.epoch + 1)
    ):
        raise SessionOver(f"a session of {in_session.account} is over")
    return found
