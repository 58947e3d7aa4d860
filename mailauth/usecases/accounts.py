"""Accounts: adding, naming, disabling, removing them, and their passwords. Works on threads, not on the event loop."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Connection

from mailauth.core import names, new_password
from mailauth.core.clock import Clock
from mailauth.core.pam_users import PamUsers
from mailauth.effects.passwords import PasswordHasher
from mailauth.effects.store import account_listing, accounts, app_passwords, meters, outbox, source_accounts
from mailauth.effects.store.account_listing import AccountFilter, AccountSummary, StoredFacts, Totals
from mailauth.effects.store.database import Database
from mailauth.usecases.giving_way import GivingWay
from mailauth.usecases.mailed_links import MailedLinks
from mailauth.usecases.notices import Notices
from mailauth.usecases.shutting_out import mail_new_link, replace_links
from mailauth.vocabulary.errors import AccountExists, AccountUnknown, HashUnreadable, InvalidName, InvalidValue
from mailauth.vocabulary.model import Account, AccountName, Exemption
from mailauth.vocabulary.notices import ADMINISTRATOR, NoticeKind
from mailauth.vocabulary.secret import Secret

ADDED_TOGETHER = 64
"""How many passwords are held in memory at once while many accounts are added."""
MOVED_TOGETHER = 200
"""Accounts that one transaction moves: logins wait for no longer than that takes."""


class Added(NamedTuple):
    """What came of adding an account: its name, or the problem."""

    presented: str
    account: AccountName | None
    problem: str | None


def find(connection: Connection, name: str, default_domain: str) -> Account:
    """Return the account that an administrator names, by any of its names. Raises AccountUnknown, InvalidName."""
    canonical = names.read(name, default_domain)
    found = accounts.load(connection, canonical)
    if found is None:
        raise AccountUnknown(f"there is no account {canonical}; see: mailauth account list")
    return found


class Accounts:
    """What administrators do with accounts."""

    def __init__(
        self,
        database: Database,
        hasher: PasswordHasher,
        notices: Notices,
        links: MailedLinks,
        pam_users: PamUsers,
        min_characters: int,
        default_domain: str,
        clock: Clock,
        own_sources: frozenset[str] = frozenset({"own"}),
    ) -> None:
        self._own_sources = own_sources
        self._database = database
        self._hasher = hasher
        self._notices = notices
        self._links = links
        self._pam_users = pam_users
        self._min_characters = min_characters
        self._default_domain = default_domain
        self._clock = clock

    def add(self, name: str, password: Secret | None, *, is_hash: bool = False) -> AccountName:
        """Add an account, without a password where another source knows it.

        `is_hash`: what is given is the hash of the password, as another system has stored it.
        Raises AccountExists, InvalidName, InvalidValue.
        """
        canonical = new_password.require_no_scheme(names.read(name, self._default_domain))
        password_hash = None if password is None else self._hash(password, canonical, is_hash=is_hash)

        def add(connection: Connection) -> None:
            if accounts.exists(connection, canonical):
                raise _exists(canonical)
            sharing = accounts.of_names(connection, self._pam_users.rivals(canonical))
            if sharing:
                user = self._pam_users.user_of(canonical)
                raise InvalidValue(
                    f"{canonical} would be the same PAM user as {sharing[0]}, {user}: one password would open "
                    "both (password.pam_local_part_domains)"
                )
            if not accounts.add(connection, canonical, password_hash, self._clock()):
                raise _exists(canonical)

        self._database.write(add)
        return canonical

    def add_many(self, names_and_passwords: Iterable[tuple[str, Secret | None]]) -> Iterator[Added]:
        """Add accounts, and say of each in turn what came of it. Hashes are computed on all cores."""
        with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
            lines = iter(names_and_passwords)
            while part := list(islice(lines, ADDED_TOGETHER)):
                yield from threads.map(lambda line: self._added(*line), part)

    def _added(self, name: str, password: Secret | None) -> Added:
        try:
            return Added(name, self.add(name, password), None)
        except (AccountExists, InvalidName, InvalidValue) as error:
            return Added(name, None, str(error))

    def exported(self, wanted: AccountFilter) -> Iterator[StoredFacts]:
        """Return what is stored of accounts, in order of name, as it is read."""
        after = ""
        while found := self._facts(wanted, after):
            yield from found
            after = found[-1].name

    def _facts(self, wanted: AccountFilter, after: str) -> tuple[StoredFacts, ...]:
        return self._database.read(lambda connection: account_listing.facts_page(connection, wanted, after))

    def sharing_pam_user(self, name: AccountName) -> tuple[AccountName, ...]:
        """Return the other accounts that are the same PAM user as a name is; there should be none."""
        rivals = self._pam_users.rivals(name)
        if not rivals:
            return ()
        return self._database.read(lambda connection: accounts.of_names(connection, rivals))

    def set_password(
        self, name: str, password: Secret, *, revoke_app_passwords: bool, is_hash: bool = False
    ) -> tuple[AccountName, int]:
        """Replace a password; app passwords live on unless said otherwise. Return the name and how many went.

        `is_hash`: as for `add`.
        """
        canonical = names.read(name, self._default_domain)
        password_hash, now = self._hash(password, canonical, is_hash=is_hash), self._clock()

        def replace(connection: Connection) -> tuple[AccountName, int]:
            account = find(connection, name, self._default_domain)
            if account.source and account.source not in self._own_sources:
                raise InvalidValue(
                    f"the password of {account.name} is kept by {account.source}: change it there, or first: "
                    f"mailauth account move {account.name} own"
                )
            accounts.set_password(connection, account.id, password_hash)
            meters.clear_codes(connection, account.name)
            revoked: tuple[str, ...] = ()
            if revoke_app_passwords:
                revoked = app_passwords.revoke(connection, account.id, None, now)
            if revoked:
                kind = NoticeKind.APP_PASSWORD_REVOKED
                undoing = replace_links(connection, self._links, account.id, ADMINISTRATOR, now)
                self._notices.tell(connection, account.id, kind, ADMINISTRATOR, now, names=list(revoked), **undoing)
            else:
                mail_new_link(connection, self._links, self._notices, account.id, ADMINISTRATOR, now)
            return account.name, len(revoked)

        return self._database.write(replace)

    def set_disabled(self, name: str, *, disabled: bool) -> AccountName:
        """Disable an account (no login of any kind), or enable it again. Disabled, its mailed links serve no more."""
        now = self._clock()

        def change(connection: Connection) -> AccountName:
            account = find(connection, name, self._default_domain)
            accounts.set_disabled(connection, account.id, now if disabled else None)
            if disabled:
                self._links.void_undoing(connection, account.id, now)
                self._links.void_confirming(connection, account.id, now)
            return account.name

        return self._database.write(change)

    def move(self, name: str, source: str) -> tuple[AccountName, str]:
        """Give an account to another password source; an empty one: to whichever lets its owner in next.

        What its owner has stays: authenticator, recovery codes, app passwords. Return its name, and whose it was.
        """

        def move(connection: Connection) -> tuple[AccountName, str]:
            account = find(connection, name, self._default_domain)
            source_accounts.move(connection, account.id, source)
            return account.name, account.source

        return self._database.write(move)

    def move_all(self, before: str, source: str) -> int:
        """Give all accounts of a password source to another one, some at a time; return how many there were."""

        def move(connection: Connection) -> int:
            some = source_accounts.of_source(connection, before, 0, MOVED_TOGETHER)
            for each in some:
                source_accounts.move(connection, each.id, source)
            return len(some)

        moved, giving_way = 0, GivingWay(self._database)
        while count := giving_way.write(move):
            moved += count
        return moved

    def remove(self, name: str) -> AccountName:
        """Remove an account and all that it holds, mails that wait among it: its name may be another person's next."""

        def remove(connection: Connection) -> AccountName:
            account = find(connection, name, self._default_domain)
            outbox.withdraw_all(connection, account.id, account.name)
            accounts.remove(connection, account.id)
            return account.name

        return self._database.write(remove)

    def add_alias(self, name: str, alias: str) -> tuple[AccountName, AccountName]:
        """Give an account another name. Raises AccountExists where that name is in use."""
        other = new_password.require_no_scheme(names.read(alias, self._default_domain))

        def add(connection: Connection) -> AccountName:
            account = find(connection, name, self._default_domain)
            if accounts.exists(connection, other) or not accounts.add_alias(connection, other, account.id):
                raise _exists(other)
            return account.name

        return self._database.write(add), other

    def remove_alias(self, name: str, alias: str) -> tuple[AccountName, AccountName]:
        """Take another name away from an account. Raises AccountUnknown where it had none such."""
        other = names.read(alias, self._default_domain)

        def remove(connection: Connection) -> AccountName:
            account = find(connection, name, self._default_domain)
            if not accounts.remove_alias(connection, other, account.id):
                raise AccountUnknown(f"{account.name} has no alias {other}")
            return account.name

        return self._database.write(remove), other

    def aliases(self, name: str) -> tuple[AccountName, ...]:
        """Return an account's other names."""
        return self._database.read(
            lambda connection: accounts.aliases(connection, find(connection, name, self._default_domain).id)
        )

    def all(self) -> tuple[AccountSummary, ...]:
        """Return every account with what it holds."""
        return tuple(self.listed(AccountFilter()))

    def listed(self, wanted: AccountFilter, after: str = "") -> Iterator[AccountSummary]:
        """Return accounts with what each holds, in order of name, as they are read."""
        while found := self._page(wanted, after):
            yield from found
            after = found[-1].name

    def totals(self, wanted: AccountFilter) -> dict[str, Totals]:
        """Return how many accounts there are, by domain."""
        meant = self._meant(wanted)
        return self._database.read(lambda connection: account_listing.totals(connection, meant))

    def _page(self, wanted: AccountFilter, after: str) -> tuple[AccountSummary, ...]:
        meant = self._meant(wanted)
        return self._database.read(lambda connection: account_listing.page(connection, meant, after))

    def _meant(self, wanted: AccountFilter) -> AccountFilter:
        """Return a filter in the table's terms: what was typed in is our own, and belongs to none there."""
        if wanted.source is None or wanted.source not in self._own_sources:
            return wanted
        return wanted._replace(or_typed_in=True)

    def get(self, name: str) -> Account:
        """Return one account."""
        return self._database.read(lambda connection: find(connection, name, self._default_domain))

    def exempt(self, name: str, until: datetime, reason: str) -> AccountName:
        """Let an account log in with its password alone until a moment.

        Raises InvalidValue without a reason, and for an account that is enrolled: its password alone would be refused
        all the same.
        """
        reason = reason.strip()
        if not reason or not reason.isprintable():
            raise InvalidValue("an exemption needs a reason, on one line")
        now = self._clock()
        if until <= now:
            raise InvalidValue("the exemption would end in the past")

        def exempt(connection: Connection) -> AccountName:
            account = find(connection, name, self._default_domain)
            if account.totp is not None:
                raise InvalidValue(
                    f"{account.name} is enrolled, and an exemption does not change that: its logins need the second "
                    f"factor. Make an app password for a device, or first: mailauth totp reset {account.name}"
                )
            accounts.exempt(connection, account.id, until, reason, now)
            return account.name

        return self._database.write(exempt)

    def unexempt(self, name: str) -> AccountName:
        """End an account's exemption. Raises InvalidValue where it has none."""

        def unexempt(connection: Connection) -> AccountName:
            account = find(connection, name, self._default_domain)
            if not accounts.unexempt(connection, account.id):
                raise InvalidValue(f"{account.name} has no exemption")
            return account.name

        return self._database.write(unexempt)

    def exemptions(self) -> tuple[Exemption, ...]:
        """Return every exemption."""
        return self._database.read(accounts.exemptions)

    def _hash(self, password: Secret, name: AccountName, *, is_hash: bool) -> str:
        if is_hash:
            return self._checkable(password, name)
        return self._hasher.hash(new_password.prepared(password.reveal(), self._min_characters))

    def _checkable(self, stored: Secret, name: AccountName) -> str:
        """Return another system's hash, which is known to be one that can be checked."""
        try:
            text = stored.reveal().decode("ascii").strip()
            self._hasher.verify(text, b"whatever it is", name)
        except UnicodeDecodeError as error:
            raise InvalidValue("this is no password hash: it has letters beyond ASCII") from error
        except HashUnreadable as error:
            raise InvalidValue(str(error).replace("a stored password hash", "this password hash")) from error
        return text


def _exists(name: AccountName) -> AccountExists:
    return AccountExists(f"there is an account or alias {name} already")
