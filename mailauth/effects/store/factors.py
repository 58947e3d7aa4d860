"""Statements on authenticators and recovery codes, and the compare-and-set that spends them.

What spends something changes exactly one row or reports that it did not: check-then-set let one code pass
several times in every system that did it so (requirement CON1). The epoch is compared along, so that nothing is
spent on a state of the account that has changed since it was loaded.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, func, insert, select, update

from mailauth.effects.keyring import Sealed
from mailauth.effects.store.account_state import IS_ENABLED
from mailauth.effects.store.tables import account, recovery_code, totp
from mailauth.vocabulary.model import USUAL, TotpParameters


class PendingTotp(NamedTuple):
    """An authenticator that waits for its first code."""

    id: int
    sealed: Sealed
    created_at: datetime


def _unchanged(owner: ColumnElement[int]) -> ColumnElement[bool]:
    """The row is still the account's own, a database may give an id again, and that is as it was seen."""
    return exists(
        select(account.c.id).where(
            account.c.id == owner,
            account.c.id == bindparam("owner"),
            account.c.epoch == bindparam("seen_epoch"),
            IS_ENABLED,
        )
    )


_SPEND_STEP = (
    update(totp)
    .where(
        totp.c.id == bindparam("row_id"),
        totp.c.state == "active",
        totp.c.last_step < bindparam("step"),
        _unchanged(totp.c.account_id),
    )
    .values(last_step=bindparam("step"))
)

_SPEND_RECOVERY_CODE = (
    update(recovery_code)
    .where(
        recovery_code.c.id == bindparam("row_id"),
        recovery_code.c.spent_at.is_(None),
        recovery_code.c.voided_at.is_(None),
        _unchanged(recovery_code.c.account_id),
    )
    .values(spent_at=bindparam("now"))
)

# Unspent is the step itself, not those before it: steps rise strictly, whatever is given back.
_UNSPEND_STEP = (
    update(totp)
    .where(
        totp.c.id == bindparam("row_id"),
        totp.c.state == "active",
        totp.c.last_step == bindparam("step"),
        _unchanged(totp.c.account_id),
    )
    .values(last_step=bindparam("step") - 1)
)

_UNSPEND_RECOVERY_CODE = (
    update(recovery_code)
    .where(
        recovery_code.c.id == bindparam("row_id"),
        recovery_code.c.spent_at == bindparam("spent"),
        recovery_code.c.voided_at.is_(None),
        _unchanged(recovery_code.c.account_id),
    )
    .values(spent_at=None)
)

_FIND_RECOVERY_CODE = select(recovery_code.c.id).where(
    recovery_code.c.account_id == bindparam("owner"),
    recovery_code.c.digest.in_(bindparam("digests", expanding=True)),
    recovery_code.c.spent_at.is_(None),
    recovery_code.c.voided_at.is_(None),
)


def spend_step(connection: Connection, account_id: int, totp_id: int, step: int, epoch: int) -> bool:
    """Raise an active authenticator's last step; False where it was as high already, or the account changed."""
    values = {"owner": account_id, "row_id": totp_id, "step": step, "seen_epoch": epoch}
    return connection.execute(_SPEND_STEP, values).rowcount == 1


def spend_recovery_code(connection: Connection, account_id: int, row_id: int, epoch: int, now: datetime) -> bool:
    """Mark a recovery code as spent; False where it was already, or the account changed."""
    values = {"owner": account_id, "row_id": row_id, "seen_epoch": epoch, "now": now}
    return connection.execute(_SPEND_RECOVERY_CODE, values).rowcount == 1


def unspend_step(connection: Connection, account_id: int, totp_id: int, step: int, epoch: int) -> bool:
    """Undo `spend_step`; False where another step was spent since, or the account changed."""
    values = {"owner": account_id, "row_id": totp_id, "step": step, "seen_epoch": epoch}
    return connection.execute(_UNSPEND_STEP, values).rowcount == 1


def unspend_recovery_code(
    connection: Connection, account_id: int, row_id: int, epoch: int, spent_at: datetime
) -> bool:
    """Undo `spend_recovery_code`; False where the set was voided since, or the account changed."""
    values = {"owner": account_id, "row_id": row_id, "seen_epoch": epoch, "spent": spent_at}
    return connection.execute(_UNSPEND_RECOVERY_CODE, values).rowcount == 1


def find_recovery_code(connection: Connection, account_id: int, digests: list[bytes]) -> int | None:
    """Return the unspent code of an account that has one of these digests (one for every key in the ring)."""
    found = connection.execute(_FIND_RECOVERY_CODE, {"owner": account_id, "digests": digests}).first()
    return None if found is None else found.id


def issue_recovery_codes(
    connection: Connection, account_id: int, key_id: str, digests: list[bytes], now: datetime
) -> None:
    """Add a set of codes and void every older one."""
    void_recovery_codes(connection, account_id, now)
    rows = [{"account_id": account_id, "key_id": key_id, "digest": d, "issued_at": now} for d in digests]
    connection.execute(insert(recovery_code), rows)


def recovery_codes_left(connection: Connection, account_id: int) -> int:
    """Return how many codes of an account still work."""
    statement = select(func.count()).where(
        recovery_code.c.account_id == account_id,
        recovery_code.c.spent_at.is_(None),
        recovery_code.c.voided_at.is_(None),
    )
    return connection.execute(statement).scalar_one()


def pending(connection: Connection, account_id: int) -> PendingTotp | None:
    """Return the authenticator that waits for its first code."""
    statement = select(totp).where(totp.c.account_id == account_id, totp.c.state == "pending")
    row = connection.execute(statement).one_or_none()
    return None if row is None else PendingTotp(row.id, Sealed(row.key_id, row.sealed_seed), row.created_at)


def enrolled_at(connection: Connection, account_id: int) -> datetime | None:
    """Return since when the authenticator is in force; None where there is none."""
    statement = select(totp.c.confirmed_at).where(totp.c.account_id == account_id, totp.c.state == "active")
    return connection.execute(statement).scalar()


def set_pending(connection: Connection, account_id: int, sealed: Sealed, now: datetime) -> None:
    """Store a new authenticator beside the active one, in place of any that was pending."""
    connection.execute(delete(totp).where(totp.c.account_id == account_id, totp.c.state == "pending"))
    row = {"account_id": account_id, "state": "pending", "sealed_seed": sealed.blob, "key_id": sealed.key_id}
    connection.execute(insert(totp).values(**row, last_step=0, created_at=now))


def put_in_force(
    connection: Connection,
    account_id: int,
    sealed: Sealed,
    step: int,
    now: datetime,
    parameters: TotpParameters = USUAL,
) -> None:
    """Store an authenticator that is proved already, with its first step spent, in place of the one before it.

    One that waits for its first code goes as well: whoever began that earlier must not replace this one by it.
    """
    connection.execute(delete(totp).where(totp.c.account_id == account_id))
    row = {"account_id": account_id, "state": "active", "sealed_seed": sealed.blob, "key_id": sealed.key_id}
    row |= {"digits": parameters.digits, "period_s": parameters.period_s, "algorithm": parameters.algorithm}
    connection.execute(insert(totp).values(**row, last_step=step, created_at=now, confirmed_at=now))


def remove_totp(connection: Connection, account_id: int) -> bool:
    """Remove every authenticator, active or pending; False where there was none."""
    gone = connection.execute(delete(totp).where(totp.c.account_id == account_id))
    return gone.rowcount > 0


def void_recovery_codes(connection: Connection, account_id: int, now: datetime) -> None:
    """Void every recovery code of an account."""
    connection.execute(
        update(recovery_code)
        .where(recovery_code.c.account_id == account_id, recovery_code.c.voided_at.is_(None))
        .values(voided_at=now)
    )
