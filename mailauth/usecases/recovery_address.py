"""Forgetting an account's other address, as the owner asks for it or as an intruder's traces are removed.

Whoever set it is told, and so is the mailbox; links that would confirm another one serve no more.
"""

from datetime import datetime

from sqlalchemy import Connection

from mailauth.effects.store import accounts
from mailauth.usecases.mailed_links import MailedLinks
from mailauth.usecases.notices import Notices
from mailauth.vocabulary.notices import NoticeKind, Origin


def forget(connection: Connection, notices: Notices, account_id: int, origin: Origin, now: datetime) -> None:
    """Forget the address, if there is one, in the caller's transaction."""
    MailedLinks.void_confirming(connection, account_id, now)
    if accounts.recovery_address(connection, account_id) is not None:
        notices.tell(connection, account_id, NoticeKind.ADDRESS_CHANGED, origin, now, address="")
        accounts.set_recovery_address(connection, account_id, None)
