"""The links that mails carry: made in the transaction of what they are about, found by their token.

A token is 256 random bits; the database keeps a keyed digest of it, and the mail that carries it is sealed. A link
serves once and for a bounded time. What following it does is in `own_account.py`.
"""

import base64
import os
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.store import mail_links
from mailauth.effects.store.mail_links import StoredLink

TOKEN_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class LinkPurpose(StrEnum):
    """What following a link does."""

    UNDO_ENROLMENT = "undo-enrolment"
    CONFIRM_ADDRESS = "confirm-address"


LIFE = {LinkPurpose.UNDO_ENROLMENT: timedelta(hours=72), LinkPurpose.CONFIRM_ADDRESS: timedelta(hours=24)}
"""Over a weekend for who did not do it; a day for who is waiting for it."""


class MailedLinks:
    """Makes and finds links."""

    def __init__(self, keyring: Keyring, draw: Callable[[int], bytes] = os.urandom) -> None:
        self._keyring = keyring
        self._draw = draw

    def make(
        self,
        connection: Connection,
        account_id: int,
        purpose: LinkPurpose,
        subject: str,
        now: datetime,
        expires_at: datetime | None = None,
    ) -> str:
        """Return the path of a new link (`/link/<token>`), for a mail and for nothing else.

        `expires_at`: where it stands in for another one, when that would have expired.
        """
        token = base64.urlsafe_b64encode(self._draw(TOKEN_BYTES)).rstrip(b"=").decode("ascii")
        digest = self._keyring.mac(Purpose.MAIL_LINK, token)
        mail_links.add(connection, account_id, digest, purpose, subject, now, expires_at or now + LIFE[purpose])
        return f"/link/{token}"

    def find(self, connection: Connection, token: str, now: datetime) -> StoredLink | None:
        """Return the link of a token; None for one that was used, has expired, is void, or never was."""
        if not _TOKEN.fullmatch(token):
            return None
        ring = self._keyring
        digests = [ring.mac(Purpose.MAIL_LINK, token, key_id=key_id) for key_id in ring.ids]
        return mail_links.find(connection, digests, now)

    def undo_enrolment(self, connection: Connection, account_id: int, now: datetime) -> str:
        """Return the path of a link that undoes the enrolment of this moment, and what came after it."""
        return self.make(connection, account_id, LinkPurpose.UNDO_ENROLMENT, str(int(now.timestamp())), now)

    @staticmethod
    def void_undoing(connection: Connection, account_id: int, now: datetime) -> None:
        """Let the links serve no more that would undo an enrolment which is gone."""
        mail_links.void(connection, account_id, LinkPurpose.UNDO_ENROLMENT, now)

    @staticmethod
    def void_confirming(connection: Connection, account_id: int, now: datetime) -> None:
        """Let the links serve no more that would confirm an address: who asked for it may be out by now."""
        mail_links.void(connection, account_id, LinkPurpose.CONFIRM_ADDRESS, now)
