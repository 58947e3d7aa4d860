"""What password sources say of accounts, put into force: at a login, and by the directory.

An account is made of whom a source has let in. It belongs to that source from then on. Another uid under its name is
another person, who gets an account of their own and nothing of what the first one had. A changed password at the
source ends what was built on the one before, sessions and remembered logins among it; app passwords live on, as they
do when the password is changed here. Works on threads, not on the event loop.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from mailauth.core.service_copy import ANY_SERVICE, is_stale
from mailauth.core.source_entry import SourceEntry
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.store import accounts, outbox, service_copies, source_accounts
from mailauth.effects.store.database import Database
from mailauth.effects.store.source_accounts import SourceFacts
from mailauth.vocabulary.errors import SourceUnavailable
from mailauth.vocabulary.model import Account, AccountName, ServiceCopy

log = logging.getLogger(__name__)


class SourceAccounts:
    """Keeps accounts in step with their sources. `listed`: those that the directory follows, which has a brake."""

    def __init__(self, database: Database, keyring: Keyring, listed: Collection[str] = ()) -> None:
        self._listed = frozenset(listed)
        self._database = database
        self._keyring = keyring

    def refreshed(
        self, account: Account, entry: SourceEntry, copies: Sequence[ServiceCopy], service: str, now: datetime
    ) -> bool:
        """Put into force what a source says of an account of its own; tell whether the account changed by it.

        `copies`: what it has said before; `service`: for which it says this now, empty where it says so of all.
        Raises SourceUnavailable where it is for the directory to find out whether that is another person.
        """
        if account.source != entry.source:
            return False
        if _is_another_person(account, entry) and entry.source in self._listed:
            raise SourceUnavailable(
                f"{account.name} has another uid at {entry.source}; the directory will find out what that means"
            )
        copy = copy_of(entry, service, now)
        if not self._is_known(account, entry):
            return self._database.write(lambda connection: self._refresh(connection, account, entry, copy, now))
        if is_news(copy, copies):
            self._database.write(lambda connection: keep_copy(connection, account.id, copy), durable=False)
        return False

    def taken_in(
        self, name: AccountName, source: str, entry: SourceEntry | None, service: str, now: datetime
    ) -> Account | None:
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
            if account is not None and account.source == source and entry is not None:
                keep_copy(connection, account.id, copy_of(entry, service, now))
            return account if account is not None and (account.name, account.source) == (name, source) else None

        return self._database.write(take_in)

    def is_listed(self, source: str) -> bool:
        """Tell whether the directory follows a source."""
        return source in self._listed

    def keep(self, account_id: int, copy: ServiceCopy) -> None:
        """Store what a source says of an account for a service."""
        self._database.write(lambda connection: keep_copy(connection, account_id, copy), durable=False)

    def renewed(self, account_id: int, entry: SourceEntry, password_hash: str) -> None:
        """Note that a hash at the source is another one of the same password: nothing ends by it."""
        facts = self.facts(entry)._replace(hash_fingerprint=self._fingerprint(entry.source, password_hash))
        self._database.write(lambda connection: source_accounts.note(connection, account_id, facts, voids=False))

    def facts(self, entry: SourceEntry) -> SourceFacts:
        """Return what is stored of an entry."""
        return SourceFacts(
            entry.source, entry.uid, entry.reply_name or None, self._fingerprint(entry.source, entry.stored_hash)
        )

    def _refresh(
        self, connection: Connection, account: Account, entry: SourceEntry, copy: ServiceCopy, now: datetime
    ) -> bool:
        facts = self.facts(entry)
        if _is_another_person(account, entry):
            new_id = replace_person(connection, account.id, account.name, facts, now)
            if new_id is not None:
                keep_copy(connection, new_id, copy)
            return True
        keep_copy(connection, account.id, copy)
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


def _is_another_person(account: Account, entry: SourceEntry) -> bool:
    return account.uid is not None and entry.uid is not None and account.uid != entry.uid


def copy_of(entry: SourceEntry, service: str, now: datetime) -> ServiceCopy:
    """Return what a source says of a user for a service."""
    # Whether the user may log in at all is the account's state; of one service it is this.
    is_allowed = entry.is_active or service == ANY_SERVICE
    return ServiceCopy(service, is_allowed, entry.allow_nets, entry.fields, now)


def is_news(copy: ServiceCopy, copies: Sequence[ServiceCopy]) -> bool:
    """Tell whether a copy says another thing than what is stored for its service, or renews it."""
    stored = next((each for each in copies if each.service == copy.service), None)
    if stored is None:
        return copy.service != ANY_SERVICE or bool(copy.allow_nets or copy.fields)
    if copy.service != ANY_SERVICE and is_stale(stored, copy.taken_at):
        return True
    return replace(stored, taken_at=copy.taken_at) != copy


def keep_copy(connection: Connection, account_id: int, copy: ServiceCopy) -> None:
    """Store what a source says for a service; nothing where it says nothing in particular."""
    if copy.service == ANY_SERVICE and not copy.allow_nets and not copy.fields:
        service_copies.drop(connection, account_id, ANY_SERVICE)
    else:
        service_copies.keep(connection, account_id, copy)


def replace_person(
    connection: Connection, account_id: int, name: AccountName, facts: SourceFacts, now: datetime
) -> int | None:
    """Give a name to another person, and return their id. Whoever had it has nothing there any more, nor mails."""
    log.warning("%s is another person at %s now: what the one before had is void", name, facts.source)
    outbox.withdraw_all(connection, account_id, name)
    accounts.remove(connection, account_id)
    return source_accounts.add(connection, name, facts, now)
