"""Statements of the login memory. A row is found by a keyed digest of everything that it is bound to.

Using a memory is one statement that also checks its life, its idle time and its uses, so that parallel uses all
count. The digest covers the account's epoch: any change of password, factor or state voids a memory.
"""

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, bindparam, delete, exists, insert, literal, select, update

from mailauth.core.limiter import OUT_OF_ORDER_MS
from mailauth.core.login_memory import KEPT_AFTER, MAX_ROWS_PER_ACCOUNT, Profile
from mailauth.effects.store import dialects
from mailauth.effects.store.dialects import Statements
from mailauth.effects.store.tables import account, login_memory

_USE = (
    update(login_memory)
    .where(
        login_memory.c.digest == bindparam("wanted"),
        login_memory.c.uses < bindparam("max_uses"),
        login_memory.c.expires_at > bindparam("now"),
        login_memory.c.expires_at > login_memory.c.created_at,  # a life of none at all serves nobody
        # A moment that lies far ahead means that the clock was set back: nothing is known then. One that lies a little
        # ahead is that of a login which was received after this one, and decided before it.
        login_memory.c.created_at <= bindparam("created_until"),
        login_memory.c.last_used_at >= bindparam("used_since"),
        # The digest says what the account was when it was loaded, which may be a while ago.
        exists(
            select(account.c.id).where(
                account.c.id == login_memory.c.account_id, account.c.epoch == bindparam("seen_epoch")
            )
        ),
    )
    .values(uses=login_memory.c.uses + 1, last_used_at=bindparam("now"))
)
_KNOWN = select(login_memory.c.id).where(login_memory.c.digest == bindparam("known_digest"))
_ACCEPTED = select(login_memory.c.id).where(login_memory.c.string_digest == bindparam("known_digest"))
_FORGET = delete(login_memory).where(login_memory.c.digest == bindparam("known_digest"))
_OLDEST_FIRST = (
    select(login_memory.c.id)
    .where(login_memory.c.account_id == bindparam("whose"))
    .order_by(login_memory.c.created_at, login_memory.c.id)
)


_NEW: dict[str, Any] = {
    "account_id": bindparam("whose"),
    "string_digest": bindparam("of_string"),
    "created_at": bindparam("now"),
    "expires_at": bindparam("until"),
    "last_used_at": bindparam("now"),
    "uses": 1,
}


@cache
def _remember(forms: Statements) -> Insert:
    return forms.upsert(login_memory, ["digest"], {"digest": bindparam("its_digest"), **_NEW}, _NEW)


def use(connection: Connection, digest: bytes, profile: Profile, now: datetime, epoch: int | None) -> bool:
    """Use a memory once; False where there is none that still serves, or the account's epoch is not this one now."""
    used_since = now - (profile.life if profile.idle is None else profile.idle)
    values = {
        "wanted": digest,
        "max_uses": profile.max_uses,
        "now": now,
        "created_until": now + timedelta(milliseconds=OUT_OF_ORDER_MS),
        "used_since": used_since,
        "seen_epoch": epoch,
    }
    return connection.execute(_USE, values).rowcount == 1


def is_known(connection: Connection, digest: bytes) -> bool:
    """Tell whether there is a memory, be it over: the same client has had this string accepted."""
    return connection.execute(_KNOWN, {"known_digest": digest}).first() is not None


def was_accepted(connection: Connection, string_digest: bytes) -> bool:
    """Tell whether a string was accepted once, from wherever."""
    return connection.execute(_ACCEPTED, {"known_digest": string_digest}).first() is not None


def remember(
    connection: Connection, account_id: int, digest: bytes, string_digest: bytes, profile: Profile, now: datetime
) -> None:
    """Remember an accepted string, in place of an older memory of it; the account's oldest go beyond the cap."""
    ids = list(connection.execute(_OLDEST_FIRST, {"whose": account_id}).scalars())
    surplus = ids[: max(0, len(ids) - MAX_ROWS_PER_ACCOUNT + 1)]
    if surplus:
        connection.execute(delete(login_memory).where(login_memory.c.id.in_(surplus)))
    values = {
        "whose": account_id,
        "its_digest": digest,
        "of_string": string_digest,
        "now": now,
        "until": now + profile.life,
    }
    connection.execute(_remember(dialects.statements(connection)), values)


def copy(connection: Connection, digest: bytes, new_digest: bytes) -> None:
    """Let what is remembered under a digest, if it is, be so under another one as well."""
    columns = ("account_id", "string_digest", "created_at", "expires_at", "last_used_at", "uses")
    found = select(literal(new_digest), *(login_memory.c[name] for name in columns))
    copied = insert(login_memory).from_select(("digest", *columns), found.where(login_memory.c.digest == digest))
    connection.execute(copied)


def forget(connection: Connection, digest: bytes) -> None:
    """Forget one accepted string."""
    connection.execute(_FORGET, {"known_digest": digest})


def purge(connection: Connection, now: datetime) -> int:
    """Delete memories that have been over for long."""
    return connection.execute(delete(login_memory).where(login_memory.c.expires_at <= now - KEPT_AFTER)).rowcount
