"""Statements on app passwords."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, exists, func, insert, literal, or_, select, update

from mailauth.core.addresses import parse_network
from mailauth.effects.store import familiar_networks, service_copies
from mailauth.effects.store.account_state import STATE_COLUMNS, is_disabled
from mailauth.effects.store.tables import account, alias, app_password
from mailauth.vocabulary.model import AccountName, AppPassword, Network

_NAME = bindparam("name", type_=account.c.name.type)

_COLUMNS = (
    *app_password.c,
    account.c.name.label("account_name"),
    *STATE_COLUMNS,
    account.c.former_names,
    account.c.source,
    account.c.reply_name,
)
_JOINED = select(*_COLUMNS).join(account, account.c.id == app_password.c.account_id)

# The account is part of the look-up: a selector says nothing without the name that it was presented with.
_FIND = _JOINED.where(
    app_password.c.selector == bindparam("selector"),
    or_(
        account.c.name == _NAME,
        exists(select(literal(1)).where(alias.c.name == _NAME, alias.c.account_id == account.c.id)),
    ),
)

_PRESENTED = _JOINED.where(
    app_password.c.account_id == bindparam("whose"), app_password.c.digest.in_(bindparam("digests", expanding=True))
)


class NewAppPassword(NamedTuple):
    """What is stored of an app password when it is made."""

    selector: str
    key_id: str
    digest: bytes
    name: str
    services: frozenset[str]
    networks: tuple[Network, ...]
    created_at: datetime
    expires_at: datetime | None


def find(connection: Connection, name: AccountName, selector: str) -> AppPassword | None:
    """Return the app password with a selector, if it belongs to the account of this name or alias."""
    row = connection.execute(_FIND, {"name": name, "selector": selector}).one_or_none()
    if row is None:
        return None
    copies = service_copies.of_account(connection, row.account_id) if row.source else ()
    return replace(_app_password(row), source=row.source, reply_name=row.reply_name, copies=copies)


def presented(connection: Connection, account_id: int, digests: Sequence[bytes]) -> AppPassword | None:
    """Return the app password of an account whose digest is one of these: one that somebody has brought along.

    What it is found by is the digest of the whole string: those that we have made have another, and a selector.
    """
    row = connection.execute(_PRESENTED, {"whose": account_id, "digests": digests}).first()
    if row is None:
        return None
    copies = service_copies.of_account(connection, row.account_id) if row.source else ()
    return replace(_app_password(row), source=row.source, reply_name=row.reply_name, copies=copies)


def selector_is_taken(connection: Connection, selector: str) -> bool:
    """Tell whether any account has an app password with this selector."""
    statement = select(app_password.c.id).where(app_password.c.selector == selector)
    return connection.execute(statement).first() is not None


def add(connection: Connection, account_id: int, new: NewAppPassword) -> int:
    """Add an app password; return its id."""
    row = new._asdict() | {
        "account_id": account_id,
        "services": _written(new.services),
        "networks": _written(str(network) for network in new.networks),
    }
    key = connection.execute(insert(app_password).values(row)).inserted_primary_key
    if key is None:
        raise LookupError("the database did not say under which id it stored the app password")
    return int(key[0])


def of_account(connection: Connection, account_id: int) -> tuple[AppPassword, ...]:
    """Return an account's app passwords in the order of their making, revoked ones as well."""
    statement = _JOINED.where(app_password.c.account_id == account_id).order_by(app_password.c.id)
    return tuple(_app_password(row) for row in connection.execute(statement))


def count_live(connection: Connection, account_id: int, now: datetime) -> int:
    """Return how many of an account's app passwords are neither revoked nor expired."""
    statement = select(func.count()).where(
        app_password.c.account_id == account_id,
        app_password.c.revoked_at.is_(None),
        or_(app_password.c.expires_at.is_(None), app_password.c.expires_at > now),
    )
    return connection.execute(statement).scalar_one()


def count_made(connection: Connection, account_id: int, since: datetime) -> int:
    """Return how many app passwords of an account were made since a moment, whatever became of them."""
    made = (app_password.c.account_id == account_id) & (app_password.c.created_at > since)
    return connection.execute(select(func.count()).select_from(app_password).where(made)).scalar_one()


def revoke(
    connection: Connection,
    account_id: int,
    app_password_id: int | None,
    now: datetime,
    *,
    made_since: datetime | None = None,
) -> tuple[str, ...]:
    """Revoke one app password of an account, or (None) all, or all since a moment; return their names.

    The networks that only app passwords made familiar are forgotten: one of them may be a thief's.
    """
    which = (app_password.c.account_id == account_id) & app_password.c.revoked_at.is_(None)
    if app_password_id is not None:
        which &= app_password.c.id == app_password_id
    if made_since is not None:
        which &= app_password.c.created_at >= made_since
    rows = connection.execute(select(app_password.c.id, app_password.c.name).where(which).order_by(app_password.c.id))
    live = rows.all()
    connection.execute(update(app_password).where(which).values(revoked_at=now))
    familiar_networks.forget_by_app_password(connection, account_id)
    return tuple(row.name for row in live)


def _app_password(row: Any) -> AppPassword:
    return AppPassword(
        id=row.id,
        account_id=row.account_id,
        account=AccountName(row.account_name),
        name=row.name,
        selector=row.selector,
        key_id=row.key_id,
        digest=row.digest,
        services=frozenset(row.services.split()),
        networks=tuple(parse_network(text) for text in row.networks.split()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        account_disabled=is_disabled(row),
        former_names=tuple(AccountName(name) for name in row.former_names.split()),
    )


def _written(words: Iterable[str]) -> str:
    return " ".join(sorted(words))
