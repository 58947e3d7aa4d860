"""Statements on accounts, aliases and exemptions. Each takes a connection, inside the caller's transaction."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, update

from mailauth.effects.store import dialects
from mailauth.effects.store.account_state import IS_ENABLED, STATE_COLUMNS, is_disabled
from mailauth.effects.store.tables import account, alias, exemption, totp
from mailauth.vocabulary.model import Account, AccountName, ActiveTotp, Exemption, TotpParameters

_NAME = bindparam("name", type_=account.c.name.type)

# One statement, so that an unknown name costs what a known one or an alias costs.
_ID_OF = func.coalesce(
    select(account.c.id).where(account.c.name == _NAME).scalar_subquery(),
    select(alias.c.account_id).where(alias.c.name == _NAME).scalar_subquery(),
)

_LOAD = (
    select(
        account.c.id,
        account.c.name,
        account.c.password_hash,
        account.c.epoch,
        *STATE_COLUMNS,
        account.c.former_names,
        account.c.source,
        account.c.uid,
        account.c.hash_fingerprint,
        account.c.reply_name,
        totp.c.id.label("totp_id"),
        totp.c.sealed_seed,
        totp.c.key_id,
        totp.c.last_step,
        totp.c.digits,
        totp.c.period_s,
        totp.c.algorithm,
        exemption.c.until,
    )
    .select_from(account)
    .outerjoin(totp, (totp.c.account_id == account.c.id) & (totp.c.state == "active"))
    .outerjoin(exemption, exemption.c.account_id == account.c.id)
    .where(account.c.id == _ID_OF)
)


def load(connection: Connection, name: AccountName) -> Account | None:
    """Return the account of a canonical name or alias, with its active authenticator and exemption."""
    row = connection.execute(_LOAD, {"name": name}).one_or_none()
    return None if row is None else _account(row)


class MailUser(NamedTuple):
    """An account as mail servers know it: its id, what they call it, and whether it belongs to a source."""

    id: int
    name: str
    has_source: bool


def user_named(connection: Connection, name: AccountName) -> MailUser | None:
    """Return the account that has this name or alias, as mail servers know it; None without one.

    Disabled ones as well, but for those whose source has them no more.
    """
    is_gone = account.c.source_disabled_at.is_not(None) & account.c.absent_since.is_not(None)
    columns = (account.c.id, func.coalesce(account.c.reply_name, account.c.name).label("user"), account.c.source)
    statement = select(*columns).where(account.c.id == _ID_OF, ~is_gone)
    row = connection.execute(statement, {"name": name}).one_or_none()
    return None if row is None else MailUser(row.id, row.user, bool(row.source))


def exists(connection: Connection, name: AccountName) -> bool:
    """Tell whether an account or an alias has this name."""
    return connection.execute(select(_ID_OF), {"name": name}).scalar() is not None


def all_names(connection: Connection) -> tuple[AccountName, ...]:
    """Return the name of every account."""
    return tuple(AccountName(name) for name in connection.execute(select(account.c.name)).scalars())


def of_names(connection: Connection, names: Sequence[AccountName]) -> tuple[AccountName, ...]:
    """Return those of some names that are accounts; aliases are not."""
    if not names:
        return ()
    statement = select(account.c.name).where(account.c.name.in_(names)).order_by(account.c.name)
    return tuple(AccountName(name) for name in connection.execute(statement).scalars())


def add(connection: Connection, name: AccountName, password_hash: str | None, now: datetime, **facts: object) -> bool:
    """Add an account; False, and nothing added, where there is one of that name. `facts`: other columns of it.

    Its epoch begins with the millisecond in which it was made: one that is removed and made again may get the same
    id, and what was decided for the one before is void for it.
    """
    epoch = int(now.timestamp() * 1000)
    row = {"name": name, "password_hash": password_hash, "epoch": epoch, "created_at": now, **facts}
    return connection.execute(dialects.statements(connection).insert_if_absent(account), row).rowcount == 1


def remove(connection: Connection, account_id: int) -> None:
    """Remove an account and all that it holds."""
    connection.execute(delete(account).where(account.c.id == account_id))


def set_password(connection: Connection, account_id: int, password_hash: str) -> None:
    """Replace the password's hash and raise the epoch."""
    connection.execute(
        update(account)
        .where(account.c.id == account_id)
        .values(password_hash=password_hash, epoch=account.c.epoch + 1)
    )


def count_hashes_but(connection: Connection, scheme: str) -> int:
    """Return how many accounts have a password hash that does not begin with a scheme's name."""
    others = account.c.password_hash.is_not(None) & ~account.c.password_hash.startswith(scheme, autoescape=True)
    return connection.execute(select(func.count()).select_from(account).where(others)).scalar_one()


def password_hashes(connection: Connection) -> Iterator[str]:
    """Return each account's password hash that is stored here."""
    hashes = select(account.c.password_hash).where(account.c.password_hash.is_not(None))
    yield from connection.execute(hashes.execution_options(yield_per=1000)).scalars()


def renew_hash(connection: Connection, account_id: int, seen_hash: str, password_hash: str) -> None:
    """Replace a hash by another one of the same password, if it is still the one that was seen. Nothing ends by it."""
    is_seen = (account.c.id == account_id) & (account.c.password_hash == seen_hash)
    connection.execute(update(account).where(is_seen).values(password_hash=password_hash))


def set_disabled(connection: Connection, account_id: int, disabled_at: datetime | None) -> None:
    """Disable (or, with None, enable) an account and raise the epoch."""
    connection.execute(
        update(account).where(account.c.id == account_id).values(disabled_at=disabled_at, epoch=account.c.epoch + 1)
    )


def raise_epoch(connection: Connection, account_id: int) -> None:
    """Void every decision that was made on an older state of the account."""
    connection.execute(update(account).where(account.c.id == account_id).values(epoch=account.c.epoch + 1))


def raise_epoch_from(connection: Connection, account_id: int, seen_epoch: int) -> bool:
    """Do the same for an account that has not changed since it was seen; False where it has."""
    unchanged = (account.c.id == account_id) & (account.c.epoch == seen_epoch) & IS_ENABLED
    return connection.execute(update(account).where(unchanged).values(epoch=seen_epoch + 1)).rowcount == 1


class Chosen(NamedTuple):
    """What an account's owner, or an administrator, has chosen."""

    language: str | None
    recovery_address: str | None
    disabled_at: datetime | None


def chosen(connection: Connection, account_id: int) -> Chosen:
    """Return what was chosen for an account."""
    statement = select(account.c.language, account.c.recovery_address, account.c.disabled_at)
    return Chosen(*connection.execute(statement.where(account.c.id == account_id)).one())


def set_language(connection: Connection, account_id: int, language: str) -> None:
    """Note the language that an account's owner has chosen."""
    connection.execute(update(account).where(account.c.id == account_id).values(language=language))


def suggest_language(connection: Connection, account_id: int, language: str) -> None:
    """Note a language for an account that has none yet."""
    has_none = (account.c.id == account_id) & account.c.language.is_(None)
    connection.execute(update(account).where(has_none).values(language=language))


def recovery_address(connection: Connection, account_id: int) -> str | None:
    """Return the other address for what is mailed to an account's owner, if there is one."""
    statement = select(account.c.recovery_address).where(account.c.id == account_id)
    return connection.execute(statement).scalar_one_or_none()


def set_recovery_address(connection: Connection, account_id: int, address: str | None) -> None:
    """Replace the other address for what is mailed to an account's owner, or (None) take it away."""
    connection.execute(update(account).where(account.c.id == account_id).values(recovery_address=address))


def add_alias(connection: Connection, name: AccountName, account_id: int) -> bool:
    """Add another name for an account; False, and nothing added, where it is an alias already."""
    row = {"name": name, "account_id": account_id}
    return connection.execute(dialects.statements(connection).insert_if_absent(alias), row).rowcount == 1


def remove_alias(connection: Connection, name: AccountName, account_id: int) -> bool:
    """Remove a name of an account; False where it had no such alias."""
    gone = connection.execute(delete(alias).where(alias.c.name == name, alias.c.account_id == account_id))
    return gone.rowcount == 1


def aliases(connection: Connection, account_id: int) -> tuple[AccountName, ...]:
    """Return an account's other names, in order."""
    statement = select(alias.c.name).where(alias.c.account_id == account_id).order_by(alias.c.name)
    return tuple(AccountName(name) for name in connection.execute(statement).scalars())


def exempt(connection: Connection, account_id: int, until: datetime, reason: str, now: datetime) -> None:
    """Set an account's exemption, in place of any older one."""
    new = {"until": until, "reason": reason, "created_at": now}
    row = {"account_id": account_id, **new}
    connection.execute(dialects.statements(connection).upsert(exemption, ["account_id"], row, new))


def unexempt(connection: Connection, account_id: int) -> bool:
    """End an account's exemption; False where it had none."""
    return connection.execute(delete(exemption).where(exemption.c.account_id == account_id)).rowcount == 1


def exemptions(connection: Connection) -> tuple[Exemption, ...]:
    """Return all exemptions, the ones that end first in front."""
    statement = (
        select(account.c.name, exemption.c.until, exemption.c.reason, totp.c.id)
        .join(account, account.c.id == exemption.c.account_id)
        .outerjoin(totp, (totp.c.account_id == account.c.id) & (totp.c.state == "active"))
        .order_by(exemption.c.until, account.c.name)
    )
    return tuple(
        Exemption(AccountName(name), until, reason, is_enrolled=totp_id is not None)
        for name, until, reason, totp_id in connection.execute(statement)
    )


def _account(row: Any) -> Account:
    active = None
    if row.totp_id is not None:
        parameters = TotpParameters(row.digits, row.period_s, row.algorithm)
        active = ActiveTotp(row.totp_id, row.sealed_seed, row.key_id, row.last_step, parameters)
    return Account(
        id=row.id,
        name=AccountName(row.name),
        password_hash=row.password_hash,
        epoch=row.epoch,
        disabled=is_disabled(row),
        totp=active,
        exempt_until=row.until,
        former_names=tuple(AccountName(name) for name in row.former_names.split()),
        source=row.source,
        uid=row.uid,
        hash_fingerprint=row.hash_fingerprint,
        reply_name=row.reply_name,
        is_disabled_there=row.source_disabled_at is not None,
    )
