"""An account's other address: which may be one, and forgetting it.

It is forgotten as the owner asks for it, or as an intruder's traces are removed. Whoever set it is told, and so is the
mailbox; links that would confirm another one serve no more.
"""

from datetime import datetime

from sqlalchemy import Connection

from mailauth.core import names
from mailauth.effects.store import accounts
from mailauth.usecases.mailed_links import MailedLinks
from mailauth.usecases.notices import Notices
from mailauth.vocabulary.errors import InvalidName
from mailauth.vocabulary.notices import NoticeKind, Origin

DELIMITERS = "+-="
"""What may stand between a mailbox and a detail of it (RFC 5233 s4, Postfix's `recipient_delimiter`)."""


def is_own(connection: Connection, account_id: int, address: str) -> bool:
    """Tell whether mail to an address ends in the account's own mailbox, which its owner may be locked out of.

    By its name or an alias, in any spelling, or one of these with a detail (`alice+shop@`). What is an account of its
    own is another mailbox, whatever its name looks like.
    """
    whole = _owner(connection, address)
    if whole is not None:
        return whole == account_id
    local, _, domain = address.rpartition("@")
    bases = (local[:end] for end, character in enumerate(local) if character in DELIMITERS)
    return any(_owner(connection, f"{base}@{domain}") == account_id for base in bases)


def _owner(connection: Connection, address: str) -> int | None:
    try:
        found = accounts.load(connection, names.canonicalise(address, ""))
    except InvalidName:
        return None
    return None if found is None else found.id


def forget(connection: Connection, notices: Notices, account_id: int, origin: Origin, now: datetime) -> None:
    """Forget the address, if there is one, in the caller's transaction."""
    MailedLinks.void_confirming(connection, account_id, now)
    if accounts.recovery_address(connection, account_id) is not None:
        notices.tell(connection, account_id, NoticeKind.ADDRESS_CHANGED, origin, now, address="")
        accounts.set_recovery_address(connection, account_id, None)
