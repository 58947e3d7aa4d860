"""What password sources say of accounts, put into force: at a login, and by the directory.

An account is made of whom a source has let in. It belongs to that source from then on. Another uid under its name is
another person, who gets an account of their own and nothing of what the first one had. A changed password at the
source ends what was built on the one before, sessions and remembered logins among it; app passwords live on, as they
do when the password is changed here. Works on threads, not on the event loop.
"""

import logging
from datetime import datetime

from sqlalchemy import Connection

from mailauth.core.source_entry import SourceEntry
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.store import accounts, outbox, source_accounts
from mailauth.effects.store.database import Database
from mailauth.effects.store.source_accounts import SourceFacts
from mailauth.vocabulary.model import Account, AccountName

log = logging.getLogger(__name__)


class SourceAccounts:
    """Keeps accounts in step with their sources."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    def refreshed(self, account: Account, entry: SourceEntry, now: datetime) -> bool:
        """Put into force what a source says of an account of its own; tell whether the account changed by it."""
        if account.source != entry.source or self._is_known(account, entry):
            return False
        return self._database.write(lambda connection: self._refresh(connection, account, entry, now))

    def taken_in(self, name: AccountName, source: str, entry: SourceEntry | None, now: datetime) -> Account | None:
        """Make or bind the account of somebody whom a source has let in, and return it.

        `entry`: what the source said of them; None where it has no look-up. None where the name is in use otherwise:
        as another source's account, or as another account's alias.
        """
        facts = self.facts(entry) if entry is not None else SourceFacts(source, None, None, None)

        def take_in(connection: Connection) -> Account | None:
            found = accounts.load(connection, name)
            if found is None:
                source_accounts.add(connection, name, facts, now)
            elif found.name == name and not found.source:
                source_accounts.bind(connection, found.id, facts)
            account = accounts.load(connection, name)
            return account if account is not None and (account.name, account.source) == (name, source) else None

        return self._database.write(take_in)

    def renewed(self, account_id: int, entry: SourceEntry, password_hash: str) -> None:
        """Note that a hash at the source is another one of the same password: nothing ends by it."""
        facts = self.facts(entry)._replace(hash_fingerprint=self._fingerprint(entry.source, password_hash))
        self._database.write(lambda connection: source_accounts.note(connection, account_id, facts, voids=False))

    def facts(self, entry: SourceEntry) -> SourceFacts:
        """Return what is stored of an entry."""
        return SourceFacts(
            entry.source, entry.uid, entry.reply_name or None, self._fingerprint(entry.source, entry.stored_hash)
        )

    def _refresh(self, connection: Connection, account: Account, entry: SourceEntry, now: datetime) -> bool:
        facts = self.facts(entry)
        if account.uid is not None and entry.uid is not None and account.uid != entry.uid:
            replace_person(connection, account.id, account.name, facts, now)
            return True
        voids = not self.is_same_hash(account.hash_fingerprint, entry)
        source_accounts.note(connection, account.id, facts._replace(uid=entry.uid or account.uid), voids=voids)
        return voids

    def _is_known(self, account: Account, entry: SourceEntry) -> bool:
        is_same_uid = entry.uid is None or entry.uid == account.uid
        is_noted = account.hash_fingerprint is not None or entry.stored_hash is None
        is_same_spelling = not entry.reply_name or entry.reply_name == account.reply_name
        return is_same_uid and is_noted and is_same_spelling and self.is_same_hash(account.hash_fingerprint, entry)

    def is_same_hash(self, fingerprint: bytes | None, entry: SourceEntry) -> bool:
        """Tell whether the password is as it was; also where nothing was noted, or the source does not show it."""
        if fingerprint is None or entry.stored_hash is None:
            return True
        return any(
            self._fingerprint(entry.source, entry.stored_hash, key_id) == fingerprint for key_id in self._keyring.ids
        )

    def _fingerprint(self, source: str, stored: str | None, key_id: str | None = None) -> bytes | None:
        return None if stored is None else self._keyring.mac(Purpose.SOURCE_HASH, source, stored, key_id=key_id)


def replace_person(
    connection: Connection, account_id: int, name: AccountName, facts: SourceFacts, now: datetime
) -> int | None:
    """Give a name to another person, and return their id. Whoever had it has nothing there any more, nor mails."""
    log.warning("%s is another person at %s now: what the one before had is void", name, facts.source)
    outbox.withdraw_all(connection, account_id, name)
    accounts.remove(connection, account_id)
    return source_accounts.add(connection, name, facts, now)
