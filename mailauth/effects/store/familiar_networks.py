"""Statements on networks that are familiar to an account: from which it logged in lately, and by what.

A row counts for the account's epoch that it was noted in, so that a change of password or factor forgets all of them;
`core.limiter.Familiarity` says what it means.
"""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, Insert, bindparam, delete, func, select, update

from mailauth.core.limiter import FAMILIAR_FOR, MAX_NETWORKS, MAX_NETWORKS_BY_APP_PASSWORD, Familiarity, Kinship
from mailauth.effects.store import dialects
from mailauth.effects.store.dialects import Statements
from mailauth.effects.store.tables import account, app_password, familiar_source

_SAME = (familiar_source.c.account_id == bindparam("whose")) & (familiar_source.c.network == bindparam("from_where"))
_FIND = select(
    familiar_source.c.epoch,
    familiar_source.c.last_passed_at,
    familiar_source.c.both_at,
    familiar_source.c.by_app_password,
).where(_SAME)
_NOTED: dict[str, BindParameter[Any]] = {
    "epoch": bindparam("its_epoch"),
    "last_passed_at": bindparam("passed_at"),
    "both_at": bindparam("by_both_at"),
    "by_app_password": bindparam("by_device"),
}
_AGAIN = update(familiar_source).where(_SAME).values(_NOTED)
_KEY: dict[str, BindParameter[Any]] = {"account_id": bindparam("whose"), "network": bindparam("from_where")}
_OWNER = (
    select(account.c.id, account.c.epoch)
    .join(app_password, app_password.c.account_id == account.c.id)
    .where(app_password.c.id == bindparam("which"), app_password.c.revoked_at.is_(None))
)
_FORGET = delete(familiar_source).where(_SAME)


def find(connection: Connection, account_id: int, network: str) -> Familiarity | None:
    """Return what is known of a network; None for one from which the account never logged in, as far as is kept."""
    found = connection.execute(_FIND, {"whose": account_id, "from_where": network}).first()
    if found is None:
        return None
    return Familiarity(found.epoch, found.last_passed_at, found.both_at, bool(found.by_app_password))


def note(
    connection: Connection,
    account_id: int,
    epoch: int,
    network: str,
    now: datetime,
    *,
    by_both: bool,
    by_app_password: bool = False,
) -> None:
    """Note that an account logged in from a network: by both factors, by an app password, or by its password alone."""
    before = find(connection, account_id, network)
    both_at = now if by_both else None
    if before is not None and before.epoch == epoch and not by_both:
        both_at = before.both_at
    its = {"whose": account_id, "from_where": network}
    values = {"its_epoch": epoch, "passed_at": now, "by_both_at": both_at, "by_device": int(by_app_password)}
    if before is None:
        _make_room(connection, account_id, by_app_password=by_app_password)
    connection.execute(_note(dialects.statements(connection)), its | values)


def carry_over(connection: Connection, account_id: int, epoch: int, network: str, now: datetime) -> None:
    """Let a network from which both factors were given stay familiar through a change, made there, of this epoch."""
    before = find(connection, account_id, network)
    if before is not None and before.kinship(epoch, now) is Kinship.BY_BOTH:
        note(connection, account_id, epoch + 1, network, now, by_both=True)


def restore(connection: Connection, account_id: int, network: str, before: Familiarity | None) -> None:
    """Undo a note."""
    its = {"whose": account_id, "from_where": network}
    if before is None:
        connection.execute(_FORGET, its)
        return
    values = {"its_epoch": before.epoch, "passed_at": before.passed_at, "by_both_at": before.both_at}
    values["by_device"] = int(before.by_app_password)
    connection.execute(_AGAIN, its | values)


def note_app_password(connection: Connection, app_password_id: int, network: str, now: datetime) -> None:
    """Note that an app password was used from a network, unless it was noted not long ago, or is revoked by now."""
    owner = connection.execute(_OWNER, {"which": app_password_id}).first()
    if owner is None:
        return
    before = find(connection, owner.id, network)
    is_ours = before is not None and before.epoch == owner.epoch
    if before is not None and is_ours and before.is_fresh(owner.epoch, now, by_both=False):
        return
    if before is not None and is_ours and not before.by_app_password and now - before.passed_at < FAMILIAR_FOR:
        return  # it is more than that, for as long as that lasts
    note(connection, owner.id, owner.epoch, network, now, by_both=False, by_app_password=True)


def forget_by_app_password(connection: Connection, account_id: int) -> None:
    """Forget the networks that only app passwords made familiar; those that are still in use make them so again."""
    its = (familiar_source.c.account_id == account_id) & (familiar_source.c.by_app_password == 1)
    connection.execute(delete(familiar_source).where(its))


def purge(connection: Connection, now: datetime) -> int:
    """Delete what is familiar no longer."""
    return connection.execute(
        delete(familiar_source).where(familiar_source.c.last_passed_at <= now - FAMILIAR_FOR)
    ).rowcount


@cache
def _note(forms: Statements) -> Insert:
    return forms.upsert(familiar_source, list(_KEY), _KEY | _NOTED, _NOTED)


def _make_room(connection: Connection, account_id: int, *, by_app_password: bool) -> None:
    """Delete the account's oldest networks beyond what it may have, one more counted in."""
    its = familiar_source.c.account_id == account_id
    if by_app_password:
        _keep(connection, its & (familiar_source.c.by_app_password == 1), MAX_NETWORKS_BY_APP_PASSWORD - 1)
    _keep(connection, its, MAX_NETWORKS - 1)


def _keep(connection: Connection, of: ColumnElement[bool], most: int) -> None:
    if connection.execute(select(func.count()).where(of)).scalar_one() <= most:
        return
    newest_first = familiar_source.c.last_passed_at.desc()
    surplus = (
        select(familiar_source.c.network).where(of).order_by(newest_first, familiar_source.c.network).offset(most)
    )
    networks = list(connection.execute(surplus.limit(MAX_NETWORKS)).scalars())
    connection.execute(delete(familiar_source).where(of, familiar_source.c.network.in_(networks)))
