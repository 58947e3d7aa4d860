"""Statements on the portal's sessions. Each takes a connection, inside the caller's transaction.

A session is found by a keyed digest of its cookie, and is good while the account's epoch is the one that it was
opened in. An authenticator that waits for its first code is part of the row, so that it lives no longer.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, or_, select, update

from mailauth.core import session_places
from mailauth.core.session_places import Held
from mailauth.effects.keyring import Sealed
from mailauth.effects.store.account_state import IS_ENABLED
from mailauth.effects.store.tables import account, exemption, portal_session, recovery_code, totp
from mailauth.vocabulary.model import AccountName, Credential


class NewSession(NamedTuple):
    """What is stored of a session when it is opened."""

    account_id: int
    digest: bytes
    epoch: int
    credential: Credential
    network: str
    agent: str
    created_at: datetime
    proved_at: datetime
    last_seen_at: datetime


class StoredSession(NamedTuple):
    """A session whose account has not changed since, with what the account is and holds now."""

    id: int
    digest: bytes
    account_id: int
    account: AccountName
    epoch: int
    language: str | None
    recovery_address: str | None
    is_enrolled: bool
    exempt_until: datetime | None
    recovery_codes_left: int
    credential: Credential
    network: str
    agent: str
    created_at: datetime
    proved_at: datetime
    last_seen_at: datetime


class Pending(NamedTuple):
    """An authenticator that waits for its first code, and the wrong codes that were typed since `tries` began."""

    sealed: Sealed
    begun_at: datetime
    tries: int
    tried_at: datetime | None


_CODES_LEFT = (
    select(func.count())
    .where(
        recovery_code.c.account_id == account.c.id,
        recovery_code.c.spent_at.is_(None),
        recovery_code.c.voided_at.is_(None),
    )
    .scalar_subquery()
)
_GOOD = (
    select(
        portal_session.c.id,
        portal_session.c.digest,
        portal_session.c.account_id,
        account.c.name,
        account.c.epoch,
        account.c.language,
        account.c.recovery_address,
        totp.c.id.label("totp_id"),
        exemption.c.until,
        _CODES_LEFT.label("codes_left"),
        portal_session.c.credential,
        portal_session.c.network,
        portal_session.c.agent,
        portal_session.c.created_at,
        portal_session.c.proved_at,
        portal_session.c.last_seen_at,
    )
    .join(account, account.c.id == portal_session.c.account_id)
    .outerjoin(totp, (totp.c.account_id == account.c.id) & (totp.c.state == "active"))
    .outerjoin(exemption, exemption.c.account_id == account.c.id)
    .where(account.c.epoch == portal_session.c.epoch, IS_ENABLED)
)
_FIND = _GOOD.where(portal_session.c.digest.in_(bindparam("digests", expanding=True)))
_OF_ACCOUNT = _GOOD.where(portal_session.c.account_id == bindparam("whose")).order_by(
    portal_session.c.last_seen_at.desc(), portal_session.c.id.desc()
)


def find(connection: Connection, digests: list[bytes]) -> StoredSession | None:
    """Return the session that has one of these digests (one for every key), if its account has not changed."""
    row = connection.execute(_FIND, {"digests": digests}).first()
    return None if row is None else _session(row)


def is_good(connection: Connection, session_id: int, seen_epoch: int) -> bool:
    """Tell whether a session is there, whatever its cookie is by now, and its account in the state that was seen."""
    is_it = (portal_session.c.id == session_id) & (account.c.epoch == seen_epoch)
    return connection.execute(_GOOD.where(is_it)).first() is not None


def of_account(connection: Connection, account_id: int) -> tuple[StoredSession, ...]:
    """Return the sessions of an account that are good by its epoch, those used last in front."""
    return tuple(_session(row) for row in connection.execute(_OF_ACCOUNT, {"whose": account_id}))


def add(connection: Connection, new: NewSession) -> int:
    """Add a session and return its id; others of the account end where there are too many (`core.session_places`)."""
    held = connection.execute(
        select(
            portal_session.c.id,
            portal_session.c.network,
            portal_session.c.pending_seed.is_not(None) & (portal_session.c.epoch == new.epoch),
            portal_session.c.last_seen_at,
        ).where(portal_session.c.account_id == new.account_id)
    )
    surplus = session_places.surplus([Held(*row) for row in held], new.network)
    if surplus:
        connection.execute(delete(portal_session).where(portal_session.c.id.in_(surplus)))
    added = connection.execute(insert(portal_session).values(**new._asdict(), pending_tries=0))
    session_id: int = added.inserted_primary_key[0]  # type: ignore[index]
    return session_id


def touch(connection: Connection, digest: bytes, now: datetime) -> None:
    """Note that a session was used."""
    connection.execute(update(portal_session).where(portal_session.c.digest == digest).values(last_seen_at=now))


def renew(connection: Connection, seen_digest: bytes, seen_epoch: int, **values: Any) -> bool:
    """Change a session's columns (its digest, its epoch, what was proved); False where it is no longer good."""
    changed = connection.execute(
        update(portal_session)
        .where(
            portal_session.c.digest == seen_digest,
            portal_session.c.epoch == seen_epoch,
            exists(
                select(account.c.id).where(
                    account.c.id == portal_session.c.account_id,
                    account.c.epoch == seen_epoch,
                    IS_ENABLED,
                )
            ),
        )
        .values(**values)
    )
    return changed.rowcount == 1


def remove(connection: Connection, digests: list[bytes]) -> int:
    """Remove the session that has one of these digests; return how many went."""
    return connection.execute(delete(portal_session).where(portal_session.c.digest.in_(digests))).rowcount


def remove_all(connection: Connection, account_id: int, *, but: int | None = None) -> int:
    """Remove every session of an account, but for one; return how many went."""
    statement = delete(portal_session).where(portal_session.c.account_id == account_id)
    if but is not None:
        statement = statement.where(portal_session.c.id != but)
    return connection.execute(statement).rowcount


def pending(connection: Connection, digest: bytes) -> Pending | None:
    """Return the authenticator that waits in a session, however long it has waited."""
    row = connection.execute(
        select(
            portal_session.c.pending_key_id,
            portal_session.c.pending_seed,
            portal_session.c.pending_at,
            portal_session.c.pending_tries,
            portal_session.c.pending_tried_at,
        ).where(portal_session.c.digest == digest)
    ).one_or_none()
    if row is None or row.pending_seed is None:
        return None
    sealed = Sealed(row.pending_key_id, row.pending_seed)
    return Pending(sealed, row.pending_at, row.pending_tries, row.pending_tried_at)


def set_pending(
    connection: Connection, digest: bytes, sealed: Sealed, now: datetime, *, instead_of: Sealed | None
) -> bool:
    """Let an authenticator wait in a session, provided that what waits there is still what was seen."""
    seen = portal_session.c.pending_seed
    changed = connection.execute(
        update(portal_session)
        .where(portal_session.c.digest == digest, seen.is_(None) if instead_of is None else seen == instead_of.blob)
        .values(pending_seed=sealed.blob, pending_key_id=sealed.key_id, pending_at=now, pending_shown_at=None)
    )
    return changed.rowcount == 1


def let_show(connection: Connection, digest: bytes) -> None:
    """Let the authenticator that waits in a session be shown once more."""
    connection.execute(update(portal_session).where(portal_session.c.digest == digest).values(pending_shown_at=None))


def show(connection: Connection, digest: bytes, sealed: Sealed, now: datetime) -> bool:
    """Note that a waiting authenticator is being shown; False where it was shown before, or is another one by now."""
    changed = connection.execute(
        update(portal_session)
        .where(
            portal_session.c.digest == digest,
            portal_session.c.pending_seed == sealed.blob,
            portal_session.c.pending_shown_at.is_(None),
        )
        .values(pending_shown_at=now)
    )
    return changed.rowcount == 1


def count_try(connection: Connection, digest: bytes, tries: int, now: datetime) -> None:
    """Note how many wrong codes were typed in a session by now."""
    connection.execute(
        update(portal_session)
        .where(portal_session.c.digest == digest)
        .values(pending_tries=tries, pending_tried_at=now)
    )


def take_pending(connection: Connection, digest: bytes, sealed: Sealed) -> bool:
    """Take an authenticator out of its session; False where another request did so before."""
    changed = connection.execute(
        update(portal_session)
        .where(portal_session.c.digest == digest, portal_session.c.pending_seed == sealed.blob)
        .values(pending_seed=None, pending_key_id=None, pending_at=None, pending_shown_at=None)
    )
    return changed.rowcount == 1


def purge(connection: Connection, seen_before: datetime, created_before: datetime) -> int:
    """Delete the sessions that were last used, or opened, before a moment, or whose account has changed since."""
    same = select(account.c.id).where(
        account.c.id == portal_session.c.account_id, account.c.epoch == portal_session.c.epoch
    )
    over = or_(
        portal_session.c.last_seen_at <= seen_before,
        portal_session.c.created_at <= created_before,
        ~exists(same),
    )
    return connection.execute(delete(portal_session).where(over)).rowcount


def _session(row: Any) -> StoredSession:
    return StoredSession(
        id=row.id,
        digest=row.digest,
        account_id=row.account_id,
        account=AccountName(row.name),
        epoch=row.epoch,
        language=row.language,
        recovery_address=row.recovery_address,
        is_enrolled=row.totp_id is not None,
        exempt_until=row.until,
        recovery_codes_left=row.codes_left,
        credential=Credential(row.credential),
        network=row.network,
        agent=row.agent,
        created_at=row.created_at,
        proved_at=row.proved_at,
        last_seen_at=row.last_seen_at,
    )
