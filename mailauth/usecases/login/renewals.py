"""Replacing another system's hash by one of ours, after a login whose password was right. On the event loop.

Nobody waits for it, and nothing depends on it: where it fails, the next right login tries again.
"""

import asyncio
import logging

from sqlalchemy import Connection

from mailauth.core.password_chain import Right
from mailauth.effects.store import accounts
from mailauth.effects.store.database import Database
from mailauth.usecases.login.password_check import PasswordCheck
from mailauth.usecases.source_accounts import SourceAccounts
from mailauth.vocabulary.errors import Overloaded, StoreUnavailable
from mailauth.vocabulary.model import Account

log = logging.getLogger(__name__)

MAX_AT_ONCE = 64
"""More than a source's threads do in a second; what comes meanwhile is done at its next login."""


class Renewals:
    """Stores new hashes where the old ones were."""

    def __init__(self, database: Database, passwords: PasswordCheck, source_accounts: SourceAccounts) -> None:
        self._database = database
        self._passwords = passwords
        self._source_accounts = source_accounts
        self._running: set[asyncio.Task[None]] = set()

    def consider(self, account: Account | None, right: Right) -> None:
        """Store the new hash that came of checking a password, if one did. Returns at once."""
        password_hash = right.renewed_hash
        if account is None or password_hash is None:
            return
        if self._passwords.is_own(right.source):
            self._renew_own(account, password_hash)
        elif right.entry is not None and len(self._running) < MAX_AT_ONCE:
            task = asyncio.get_running_loop().create_task(self._renew_at_source(account, right, password_hash))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def done(self) -> None:
        """Wait until what is being stored at sources is."""
        while self._running:
            await asyncio.wait(self._running)

    def _renew_own(self, account: Account, password_hash: str) -> None:
        whose, seen = account.id, account.password_hash
        if seen is None:
            return

        def renew(connection: Connection) -> None:
            accounts.renew_hash(connection, whose, seen, password_hash)

        self._database.later(lambda: self._database.write(renew))

    async def _renew_at_source(self, account: Account, right: Right, password_hash: str) -> None:
        entry = right.entry
        if entry is None or not await self._passwords.renew(right):
            log.warning("the password hash of %s could not be replaced at %s", account.name, right.source)
            return
        try:
            await self._database.run(lambda: self._source_accounts.renewed(account.id, entry, password_hash))
        except (StoreUnavailable, Overloaded) as error:
            log.warning("that the hash of %s was replaced at %s is not noted: %s", account.name, right.source, error)
