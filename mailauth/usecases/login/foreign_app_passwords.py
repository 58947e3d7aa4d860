"""App passwords that another system has stored: tried where the password was wrong, and ours from their first use on.

They are foreign hashes without a selector of ours, so that a presented string has to be compared with each: in a lane
of one thread with a deadline of its own, which no other login waits for. The first time that one proves right, its
digest by our own key is stored, and from then on it is found by that.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.passwords import PasswordHasher
from mailauth.effects.pools import BoundedPool
from mailauth.effects.store import accounts, app_passwords, foreign_app_passwords
from mailauth.effects.store.database import Database
from mailauth.effects.store.foreign_app_passwords import Waiting
from mailauth.usecases.login.reservation import Admitted, epoch_of, presented_digests
from mailauth.vocabulary.errors import HashUnreadable, Overloaded
from mailauth.vocabulary.model import AppPassword

MAX_WAITING: Final = 32
DEADLINE_S: Final = 5.0


class ForeignAppPasswords:
    """Tries them, and makes ours of what proved right."""

    def __init__(self, database: Database, keyring: Keyring, hasher: PasswordHasher) -> None:
        self._database = database
        self._keyring = keyring
        self._hasher = hasher
        self._lane = BoundedPool(1, MAX_WAITING, "checks of foreign app passwords")

    async def match(self, waiting: Sequence[Waiting], secret: bytes) -> Waiting | None:
        """Return which one a presented string is, if any. Raises Overloaded where that takes too long."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._lane.run(lambda: self._match(waiting, secret))
        except TimeoutError:
            raise Overloaded(f"foreign app passwords were not checked within {DEADLINE_S:g} s") from None

    def _match(self, waiting: Sequence[Waiting], secret: bytes) -> Waiting | None:
        for each in waiting:
            try:
                if self._hasher.verify(each.password_hash, secret):
                    return each
            except HashUnreadable:  # it was looked at when it was imported; the others are not to suffer for it
                continue
        return None

    def made_ours(self, admitted: Admitted, found: Waiting) -> AppPassword | None:
        """Make one ours, and return it; None where the account is another by now.

        On a thread. Of two logins at once one does it, and the other finds it done.
        """
        account, secret, ring = admitted.account, admitted.attempt.secret.reveal(), self._keyring
        if account is None:
            return None
        digest = ring.mac(Purpose.APP_PASSWORD, account.name, secret)
        instead = imported_as(ring, account.id, found.password_hash)[1]

        def settle(connection: Connection) -> AppPassword | None:
            now_there = accounts.load(connection, account.name)
            if now_there is None or now_there.disabled or epoch_of(now_there) != epoch_of(account):
                return None
            foreign_app_passwords.settle(connection, found, instead, ring.current_id, digest)
            return app_passwords.presented(connection, account.id, presented_digests(ring, account, secret))

        return self._database.write(settle)

    def close(self) -> None:
        """Let a running check end."""
        self._lane.close()


def imported_as(ring: Keyring, account_id: int, password_hash: str) -> tuple[str, ...]:
    """Return as what an imported one is stored: its hash, or, once it was used, what shows that this was it."""
    marks = (ring.mac(Purpose.SOURCE_HASH, str(account_id), password_hash, key_id=each).hex() for each in ring.ids)
    return (password_hash, *(f"used {mark}" for mark in marks))
