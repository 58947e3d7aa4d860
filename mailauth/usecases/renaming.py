"""Another name for an account, whose owner keeps what they have: after a marriage, say.

Seeds, recovery codes and app passwords are bound to the account's name, so that none serves in another account; they
are bound to the new one here, in one transaction with the name itself. Works on threads, not on the event loop.
"""

from typing import NamedTuple, assert_never

from sqlalchemy import Connection

from mailauth.core import names, new_password
from mailauth.core.pam_users import PamUsers
from mailauth.effects import name_bound
from mailauth.effects.keyring import Keyring, Sealed
from mailauth.effects.store import accounts, name_bound_rows, outbox
from mailauth.effects.store.database import Database
from mailauth.effects.store.name_bound_rows import Bound
from mailauth.effects.store.sealed_columns import SEALED_COLUMNS, BoundTo, Form, SealedColumn
from mailauth.usecases.accounts import find
from mailauth.vocabulary.errors import AccountExists, InvalidValue
from mailauth.vocabulary.model import Account, AccountName


class Renamed(NamedTuple):
    """What an account was called, and what it is called now."""

    before: AccountName
    name: AccountName


class Renaming:
    """Renames accounts."""

    def __init__(self, database: Database, keyring: Keyring, pam_users: PamUsers, default_domain: str) -> None:
        self._database = database
        self._keyring = keyring
        self._pam_users = pam_users
        self._default_domain = default_domain

    def rename(self, name: str, new_name: str, *, keep_alias: bool) -> Renamed:
        """Give an account a new name; the old one becomes an alias where `keep_alias` says so.

        The password, the authenticator, recovery codes and app passwords work on, and what was counted against the
        account counts on. Mails that wait go to the new name. Sessions of the portal end, and no client is remembered,
        since the epoch is raised.
        Raises AccountExists where the new name is another account's, or an alias of one; AccountUnknown, InvalidName,
        InvalidValue; and KeyUnusable or SealBroken where the seed cannot be opened: nothing has changed then.
        """
        canonical = new_password.require_no_scheme(names.read(new_name, self._default_domain))

        def rename(connection: Connection) -> Renamed:
            account = find(connection, name, self._default_domain)
            if account.source and account.password_hash is None:
                raise InvalidValue(
                    f"{account.name} is called so by {account.source}, which would not know another name: rename it "
                    "there, and the directory follows"
                )
            return self.rename_within(connection, account, canonical, keep_alias=keep_alias)

        return self._database.write(rename)

    def rename_within(
        self, connection: Connection, account: Account, canonical: AccountName, *, keep_alias: bool
    ) -> Renamed:
        """Do the same inside somebody's transaction. Where it raises, that has to be given up."""
        self._check(connection, account, canonical)
        accounts.remove_alias(connection, canonical, account.id)
        self._bind(connection, account, canonical)
        if not name_bound_rows.rename(connection, account.id, canonical, (*account.former_names, account.name)):
            raise _exists(canonical)
        name_bound_rows.move_meters(connection, account.name, canonical)
        outbox.readdress(connection, account.id, account.name, canonical)
        if keep_alias and not accounts.add_alias(connection, account.name, account.id):
            raise _exists(account.name)
        return Renamed(account.name, canonical)

    def _check(self, connection: Connection, account: Account, new_name: AccountName) -> None:
        if new_name == account.name:
            raise InvalidValue(f"{new_name} is the account's name already")
        if accounts.exists(connection, new_name) and new_name not in accounts.aliases(connection, account.id):
            raise _exists(new_name)
        sharing = [
            each for each in accounts.of_names(connection, self._pam_users.rivals(new_name)) if each != account.name
        ]
        if sharing:
            user = self._pam_users.user_of(new_name)
            raise InvalidValue(
                f"{new_name} would be the same PAM user as {sharing[0]}, {user}: one password would open both "
                "(password.pam_local_part_domains)"
            )

    def _bind(self, connection: Connection, account: Account, new_name: AccountName) -> None:
        for column in SEALED_COLUMNS:
            if column.bound_to is BoundTo.NAME:
                for bound in name_bound_rows.bound_values(connection, column, account.id):
                    new = self._rebound(column, account.name, new_name, bound)
                    if new is not None:
                        name_bound_rows.rebind(connection, column, new)

    def _rebound(self, column: SealedColumn, name: AccountName, new_name: AccountName, bound: Bound) -> Bound | None:
        """Return a value for the new name; None for a digest of a lost key, which serves nobody under any name."""
        ring, purpose, (row_id, key_id, value) = self._keyring, column.purpose, bound
        match column.form:
            case Form.SEALED:
                sealed = ring.seal(purpose, new_name, ring.unseal(purpose, name, Sealed(key_id, value)))
                return Bound(row_id, sealed.key_id, sealed.blob)
            case Form.DIGEST if key_id in ring.ids:
                return Bound(row_id, key_id, name_bound.rebound(ring, purpose, new_name, value, key_id))
            case Form.DIGEST:
                return None
            case _:
                assert_never(column.form)


def _exists(name: AccountName) -> AccountExists:
    return AccountExists(f"there is an account or alias {name} already")
