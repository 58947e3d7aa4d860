"""Statements that list accounts, with what each holds, page by page in order of name: of a million as of a hundred."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, literal, select

from mailauth.effects.store.account_state import IS_ENABLED, STATE_COLUMNS, is_disabled
from mailauth.effects.store.tables import account, alias, app_password, login_activity, recovery_code, totp
from mailauth.vocabulary.model import AccountName
from mailauth.vocabulary.reasons import WhyGranted

PAGE = 500

_IS_ENROLLED = exists(select(literal(1)).where(totp.c.account_id == account.c.id, totp.c.state == "active"))
_GRANTED = [reason.value for reason in WhyGranted]


class AccountFilter(NamedTuple):
    """Which accounts are meant; None: whatever. `idle_since`: who has not logged in since then.

    `or_typed_in`: with `source`, who has a password here and belongs to no source by name as well.
    """

    is_enrolled: bool | None = None
    is_disabled: bool | None = None
    domain: str | None = None
    source: str | None = None
    idle_since: datetime | None = None
    or_typed_in: bool | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return it for a statement on accounts."""
        found: list[ColumnElement[bool]] = []
        if self.is_enrolled is not None:
            found.append(_IS_ENROLLED if self.is_enrolled else ~_IS_ENROLLED)
        if self.is_disabled is not None:
            found.append(~IS_ENABLED if self.is_disabled else IS_ENABLED)
        if self.domain is not None:
            found.append(account.c.name.endswith(f"@{self.domain}", autoescape=True))
        if self.source is not None:
            # Not by its index: pages in order of name are found by that of the names, and never sorted.
            source = func.coalesce(account.c.source, "")
            typed_in = (source == "") & account.c.password_hash.is_not(None)
            found.append((source == self.source) | typed_in if self.or_typed_in else source == self.source)
        if self.idle_since is not None:
            logins = select(literal(1)).where(
                login_activity.c.account_id == account.c.id,
                login_activity.c.reason.in_(_GRANTED),
                login_activity.c.last_at >= self.idle_since,
            )
            found.append(~exists(logins))
        return found


class AccountSummary(NamedTuple):
    """One line of `account list`. `source`: the password source that it belongs to, empty while to none."""

    name: AccountName
    enrolled: bool
    recovery_codes_left: int
    app_passwords: int
    aliases: tuple[str, ...]
    disabled: bool
    created_at: datetime
    source: str = ""
    last_login_at: datetime | None = None
    last_credential: str | None = None


class Totals(NamedTuple):
    """Of the accounts of a domain: how many there are, are enrolled, and are disabled."""

    accounts: int
    enrolled: int
    disabled: int


def page(connection: Connection, wanted: AccountFilter, after: str, limit: int = PAGE) -> tuple[AccountSummary, ...]:
    """Return the first accounts behind a name, in order of name, with what each holds."""
    columns = (account.c.id, account.c.name, account.c.created_at, account.c.source, *STATE_COLUMNS)
    statement = (
        select(*columns, _IS_ENROLLED.label("is_enrolled"))
        .where(account.c.name > after, *wanted.conditions())
        .order_by(account.c.name)
        .limit(limit)
    )
    rows = connection.execute(statement).all()
    ids = [row.id for row in rows]
    aliases, codes = _aliases(connection, ids), _codes(connection, ids)
    devices, logins = _devices(connection, ids), _last_logins(connection, ids)
    return tuple(
        AccountSummary(
            name=AccountName(row.name),
            enrolled=bool(row.is_enrolled),
            recovery_codes_left=codes.get(row.id, 0),
            app_passwords=devices.get(row.id, 0),
            aliases=tuple(aliases.get(row.id, ())),
            disabled=is_disabled(row),
            created_at=row.created_at,
            source=row.source,
            last_login_at=logins.get(row.id, (None, None))[0],
            last_credential=logins.get(row.id, (None, None))[1],
        )
        for row in rows
    )


def summaries(connection: Connection) -> tuple[AccountSummary, ...]:
    """Return the first accounts of all, with what each holds."""
    return page(connection, AccountFilter(), "")


def totals(connection: Connection, wanted: AccountFilter) -> dict[str, Totals]:
    """Return how many accounts there are, by domain."""
    statement = select(account.c.name, *STATE_COLUMNS, _IS_ENROLLED.label("is_enrolled")).where(*wanted.conditions())
    found: dict[str, Totals] = {}
    for row in connection.execution_options(yield_per=PAGE).execute(statement):
        domain = row.name.rpartition("@")[2]
        so_far = found.get(domain, Totals(0, 0, 0))
        found[domain] = Totals(
            so_far.accounts + 1, so_far.enrolled + bool(row.is_enrolled), so_far.disabled + is_disabled(row)
        )
    return found


class StoredFacts(NamedTuple):
    """What `account export` writes of an account. `is_disabled`: by an administrator."""

    name: AccountName
    password_hash: str | None
    aliases: tuple[str, ...]
    language: str | None
    recovery_address: str | None
    is_disabled: bool


def facts_page(
    connection: Connection, wanted: AccountFilter, after: str, limit: int = PAGE
) -> tuple[StoredFacts, ...]:
    """Return the first accounts behind a name, in order of name, with what is stored of each."""
    columns = (account.c.id, account.c.name, account.c.password_hash, account.c.language)
    statement = (
        select(*columns, account.c.recovery_address, account.c.disabled_at)
        .where(account.c.name > after, *wanted.conditions())
        .order_by(account.c.name)
        .limit(limit)
    )
    rows = connection.execute(statement).all()
    aliases = _aliases(connection, [row.id for row in rows])
    return tuple(
        StoredFacts(
            AccountName(row.name),
            row.password_hash,
            tuple(aliases.get(row.id, ())),
            row.language,
            row.recovery_address,
            row.disabled_at is not None,
        )
        for row in rows
    )


def _aliases(connection: Connection, ids: list[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    statement = select(alias.c.account_id, alias.c.name).where(alias.c.account_id.in_(ids)).order_by(alias.c.name)
    for owner, name in connection.execute(statement):
        found.setdefault(owner, []).append(name)
    return found


def _codes(connection: Connection, ids: list[int]) -> dict[int, int]:
    is_left = and_(recovery_code.c.spent_at.is_(None), recovery_code.c.voided_at.is_(None))
    owner = recovery_code.c.account_id
    return _counts(connection, select(owner, func.count()).where(owner.in_(ids), is_left).group_by(owner))


def _devices(connection: Connection, ids: list[int]) -> dict[int, int]:
    owner = app_password.c.account_id
    is_live = app_password.c.revoked_at.is_(None)
    return _counts(connection, select(owner, func.count()).where(owner.in_(ids), is_live).group_by(owner))


def _counts(connection: Connection, statement: Select[Any]) -> dict[int, int]:
    return {row[0]: row[1] for row in connection.execute(statement)}


def _last_logins(connection: Connection, ids: list[int]) -> dict[int, tuple[datetime, str]]:
    """Return when each logged in last, and by what."""
    statement = (
        select(login_activity.c.account_id, login_activity.c.last_at, login_activity.c.credential)
        .where(login_activity.c.account_id.in_(ids), login_activity.c.reason.in_(_GRANTED))
        .order_by(login_activity.c.last_at)
    )
    return {row.account_id: (row.last_at, row.credential) for row in connection.execute(statement)}
