"""Statements on what password sources say of accounts. Each takes a connection, inside the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, update

from mailauth.effects.store import dialects
from mailauth.effects.store.tables import account, alias
from mailauth.vocabulary.model import AccountName


class SourceFacts(NamedTuple):
    """What a source says of one of its accounts, as far as it is stored with it."""

    source: str
    uid: str | None
    reply_name: str | None
    hash_fingerprint: bytes | None


class Known(NamedTuple):
    """An account as the directory compares it with what a source lists."""

    id: int
    name: AccountName
    source: str
    has_password: bool
    uid: str | None
    hash_fingerprint: bytes | None
    directory_digest: bytes | None
    source_disabled_at: datetime | None
    absent_since: datetime | None

    @property
    def is_gone(self) -> bool:
        """Whether it is disabled because it was not listed any more."""
        return self.source_disabled_at is not None and self.absent_since is not None


_KNOWN = (
    account.c.id,
    account.c.name,
    account.c.source,
    account.c.password_hash.is_not(None),
    account.c.uid,
    account.c.hash_fingerprint,
    account.c.directory_digest,
    account.c.source_disabled_at,
    account.c.absent_since,
)


def add(connection: Connection, name: AccountName, facts: SourceFacts, now: datetime) -> int | None:
    """Add an account of a source's, and return its id; None, and nothing added, where there is one of that name.

    Its epoch begins as that of every new account (`accounts.add`).
    """
    row = {"name": name, "epoch": int(now.timestamp() * 1000), "created_at": now, **facts._asdict()}
    if connection.execute(dialects.statements(connection).insert_if_absent(account), row).rowcount != 1:
        return None
    return int(connection.execute(select(account.c.id).where(account.c.name == name)).scalar_one())


def bind(connection: Connection, account_id: int, facts: SourceFacts) -> bool:
    """Give an account that belongs to no source yet to one; False where it belongs to one by now."""
    is_free = (account.c.id == account_id) & (account.c.source == "")
    return connection.execute(update(account).where(is_free).values(facts._asdict())).rowcount == 1


def note(connection: Connection, account_id: int, facts: SourceFacts, *, voids: bool) -> None:
    """Store what a source says of an account of its own. `voids`: and end all that was built on what it said."""
    changed: dict[str, Any] = facts._asdict()
    if voids:
        changed["epoch"] = account.c.epoch + 1
    is_theirs = (account.c.id == account_id) & (account.c.source == facts.source)
    connection.execute(update(account).where(is_theirs).values(changed))


def move(connection: Connection, account_id: int, source: str) -> None:
    """Give an account to another source (empty: to whichever knows it), and forget what the one before said of it."""
    connection.execute(
        update(account)
        .where(account.c.id == account_id)
        .values(
            source=source,
            uid=None,
            reply_name=None,
            hash_fingerprint=None,
            directory_digest=None,
            source_disabled_at=None,
            absent_since=None,
            epoch=account.c.epoch + 1,
        )
    )


def counts(connection: Connection) -> dict[str, int]:
    """Return how many accounts belong to each source; those that belong to none are not among them."""
    statement = select(account.c.source, func.count()).where(account.c.source != "").group_by(account.c.source)
    return {row[0]: row[1] for row in connection.execute(statement)}


def of_source(connection: Connection, source: str, after: int, limit: int) -> tuple[Known, ...]:
    """Return the first accounts of a source behind the id `after`, in order of id."""
    statement = select(*_KNOWN).where(account.c.source == source, account.c.id > after).order_by(account.c.id)
    return tuple(Known(*row) for row in connection.execute(statement.limit(limit)))


def named(connection: Connection, names: Sequence[AccountName]) -> dict[AccountName, Known]:
    """Return those of some names that are accounts, of whatever source; aliases are not."""
    found = connection.execute(select(*_KNOWN).where(account.c.name.in_(names)))
    return {AccountName(row.name): Known(*row) for row in found}


def owners_of_aliases(connection: Connection, names: Sequence[AccountName]) -> dict[AccountName, int]:
    """Return whose alias each of some names is, by the account's id."""
    found = connection.execute(select(alias.c.name, alias.c.account_id).where(alias.c.name.in_(names)))
    return {AccountName(name): owner for name, owner in found}


_SET = update(account).where(account.c.id == bindparam("whose"))


def set_directory_digest(connection: Connection, account_id: int, digest: bytes | None) -> None:
    """Note what was listed of an account last."""
    connection.execute(_SET.values(directory_digest=digest), {"whose": account_id})


def set_fingerprint(connection: Connection, account_id: int, fingerprint: bytes | None) -> None:
    """Note which stored hash an account's password came with."""
    connection.execute(_SET.values(hash_fingerprint=fingerprint), {"whose": account_id})


def set_source_disabled(
    connection: Connection, account_id: int, disabled_at: datetime | None, absent_since: datetime | None
) -> None:
    """Disable an account by its source's word, or (None) lift that, and raise the epoch."""
    values = {"source_disabled_at": disabled_at, "absent_since": absent_since, "epoch": account.c.epoch + 1}
    connection.execute(_SET.values(values), {"whose": account_id})


def set_absent_since(connection: Connection, account_ids: Sequence[int], since: datetime | None) -> None:
    """Note since when accounts are not listed; nothing else changes by it."""
    connection.execute(update(account).where(account.c.id.in_(account_ids)).values(absent_since=since))


def aliases_of_source(connection: Connection, account_id: int, source: str) -> frozenset[AccountName]:
    """Return the other names that an account has by a source's word."""
    statement = select(alias.c.name).where(alias.c.account_id == account_id, alias.c.source == source)
    return frozenset(AccountName(name) for name in connection.execute(statement).scalars())


def add_alias(connection: Connection, name: AccountName, account_id: int, source: str) -> bool:
    """Add another name by a source's word; False, and nothing added, where it is one already."""
    row = {"name": name, "account_id": account_id, "source": source}
    return connection.execute(dialects.statements(connection).insert_if_absent(alias), row).rowcount == 1


def remove_alias(connection: Connection, name: AccountName, source: str) -> bool:
    """Remove another name that stands there by a source's word; False where none does."""
    gone = connection.execute(delete(alias).where(alias.c.name == name, alias.c.source == source))
    return gone.rowcount == 1


def recently_disabled(connection: Connection, source: str, since: datetime, *, absent: bool) -> dict[str, int]:
    """Return how many accounts a source's word has disabled since then, by domain: absent ones, or inactive ones."""
    is_absent = account.c.absent_since.is_not(None) if absent else account.c.absent_since.is_(None)
    statement = select(account.c.name).where(
        account.c.source == source, account.c.source_disabled_at > since, is_absent
    )
    found: dict[str, int] = {}
    for name in connection.execute(statement).scalars():
        domain = name.rpartition("@")[2]
        found[domain] = found.get(domain, 0) + 1
    return found


def long_absent(
    connection: Connection, source: str, before: datetime, limit: int
) -> tuple[tuple[int, AccountName], ...]:
    """Return the first accounts of a source that have been disabled as absent since before a moment."""
    is_long = (account.c.absent_since < before) & account.c.source_disabled_at.is_not(None)
    statement = select(account.c.id, account.c.name).where(account.c.source == source, is_long).limit(limit)
    return tuple((row.id, AccountName(row.name)) for row in connection.execute(statement))
