"""The tables. The migrations create them; a test holds that both say the same.

Times are whole seconds since 1970 in UTC, which all databases store alike. What is spent, voided or revoked
is not deleted but carries the time at which that happened.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from mailauth.vocabulary.errors import StoreUnavailable


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as whole seconds since 1970, rounded down."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Store. Raises ValueError for a naive datetime: it could mean any zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return int(value.timestamp())

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Load. Raises StoreUnavailable for what is no time: the row was damaged, and nothing may follow from it."""
        try:
            return None if value is None else datetime.fromtimestamp(value, UTC)
        except (TypeError, ValueError, OverflowError, OSError) as error:
            raise StoreUnavailable(f"a row of the database is damaged: {value!r} is no time") from error


class MomentIfReadable(Moment):
    """A moment where one may do without it: None for what is no time. Coerce a column to it in a query."""

    cache_ok = True

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Load."""
        try:
            return super().process_result_value(value, dialect)
        except StoreUnavailable:
            return None


_Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself for INTEGER only

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _account_id(*, index: bool = False) -> Column[int]:
    owner = ForeignKey("account.id", ondelete="CASCADE")
    return Column("account_id", _Id, owner, nullable=False, index=index)


NAME_BYTES = 254
KEY_ID_BYTES = 32

account = Table(
    "account",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", String(NAME_BYTES), nullable=False, unique=True),
    Column("password_hash", String(512)),
    # Raised by every change of password, factor or state: what was decided on an older one is void.
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("created_at", Moment, nullable=False),
    Column("disabled_at", Moment),
    # What its owner chose: the language of pages and mails, and another address for what is mailed.
    Column("language", String(8)),
    Column("recovery_address", String(NAME_BYTES)),
    # The names before this one, oldest first, with spaces between: what is bound to a name was made under one of them.
    Column("former_names", Text, nullable=False, server_default=""),
    # Which password source it belongs to, by the source's name; empty until one has let somebody in by this name.
    Column("source", String(32), nullable=False, server_default="", index=True),
    # Who it is there: another uid under the same name is another person.
    Column("uid", String(128)),
    # Since when the source says that it may not log in, or (`absent_since`) does not list it. `disabled_at` is the
    # administrator's word. Whose word it was, that one lifts it.
    Column("source_disabled_at", Moment),
    Column("absent_since", Moment),
    # The source's own spelling of the name, for mail servers.
    Column("reply_name", String(NAME_BYTES)),
    # Keyed digests: of the hash that the source keeps, and of all that the source listed of it.
    Column("hash_fingerprint", LargeBinary(32)),
    Column("directory_digest", LargeBinary(32)),
)

service_copy = Table(
    "service_copy",
    metadata,
    # What a source said of an account for a service (empty: whatever the service), so that app passwords need not
    # wait for the source.
    Column("account_id", _Id, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("service", String(32), primary_key=True),
    Column("is_allowed", BigInteger, nullable=False, server_default="1"),
    # Networks with spaces between; empty: any.
    Column("allow_nets", Text, nullable=False),
    # Names and values for mail servers, as JSON.
    Column("fields", Text, nullable=False),
    Column("taken_at", Moment, nullable=False),
)

directory_run = Table(
    "directory_run",
    metadata,
    # How the last listing of a source went.
    Column("source", String(32), primary_key=True),
    Column("tried_at", Moment, nullable=False),
    Column("succeeded_at", Moment),
    Column("error", String(300), nullable=False, server_default=""),
    Column("listed", BigInteger, nullable=False, server_default="0"),
)

directory_held = Table(
    "directory_held",
    metadata,
    # Accounts of a source and domain that the brake keeps from being disabled: `absent` or `inactive` ones.
    Column("source", String(32), primary_key=True),
    Column("domain", String(NAME_BYTES), primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("of", BigInteger, nullable=False),
    Column("since", Moment, nullable=False),
)

alias = Table(
    "alias",
    metadata,
    Column("name", String(NAME_BYTES), primary_key=True),
    _account_id(index=True),
    # By whose word: a password source's name, or empty for an administrator's.
    Column("source", String(32), nullable=False, server_default=""),
)

totp = Table(
    "totp",
    metadata,
    Column("id", _Id, primary_key=True),
    _account_id(),
    # `pending` until its first code was right, then `active`. One row of each at most: the active
    # authenticator works until the pending one is proved.
    Column("state", String(8), nullable=False),
    Column("sealed_seed", LargeBinary(255), nullable=False),
    Column("key_id", String(KEY_ID_BYTES), nullable=False),
    Column("last_step", BigInteger, nullable=False, server_default="0"),
    Column("created_at", Moment, nullable=False),
    Column("confirmed_at", Moment),
    # Of those that people bring along; mailauth's own have the defaults (Key URI format).
    Column("digits", BigInteger, nullable=False, server_default="6"),
    Column("period_s", BigInteger, nullable=False, server_default="30"),
    Column("algorithm", String(8), nullable=False, server_default="SHA1"),
    UniqueConstraint("account_id", "state"),
)

recovery_code = Table(
    "recovery_code",
    metadata,
    Column("id", _Id, primary_key=True),
    _account_id(),
    Column("key_id", String(KEY_ID_BYTES), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("issued_at", Moment, nullable=False),
    Column("spent_at", Moment),
    # A new set voids the old one, spent or not.
    Column("voided_at", Moment),
    UniqueConstraint("account_id", "digest"),
)

app_password = Table(
    "app_password",
    metadata,
    Column("id", _Id, primary_key=True),
    _account_id(index=True),
    Column("selector", String(5), nullable=False, unique=True),
    Column("key_id", String(KEY_ID_BYTES), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("name", String(100), nullable=False),
    Column("services", Text, nullable=False),
    Column("networks", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
)

foreign_app_password = Table(
    "foreign_app_password",
    metadata,
    Column("id", _Id, primary_key=True),
    _account_id(),
    # The one of ours that it becomes when it is used first; from then on none, and the hash is gone. What is left says
    # that it was imported, so that it is not once more after it was revoked.
    Column("app_password_id", _Id, ForeignKey("app_password.id", ondelete="SET NULL")),
    # As another system has stored it.
    Column("password_hash", String(512), nullable=False),
    Column("imported_at", Moment, nullable=False),
    UniqueConstraint("account_id", "password_hash"),
)

exemption = Table(
    "exemption",
    metadata,
    Column("id", _Id, primary_key=True),
    _account_id(),
    Column("until", Moment, nullable=False),
    Column("reason", String(500), nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("account_id"),
)

limiter = Table(
    "limiter",
    metadata,
    # A row is a meter of `core.limiter`; its key: `account+source alice@example.org 192.0.2.7`.
    Column("bucket", String(400), primary_key=True),
    # The TAT (theoretical arrival time).
    Column("arrival_ms", BigInteger, nullable=False, index=True),
    # When it was charged last: after the clock was set back the TAT is as far ahead as it was then.
    Column("drawn_at_ms", BigInteger, nullable=False, server_default="0"),
)

familiar_source = Table(
    "familiar_source",
    metadata,
    Column("account_id", _Id, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("network", String(64), primary_key=True),
    Column("last_passed_at", Moment, nullable=False),
    # The account's epoch then: what was noted in another one is void.
    Column("epoch", BigInteger, nullable=False, server_default="-1"),
    # When both factors were given there last.
    Column("both_at", Moment),
    # 1 where only app passwords were used.
    Column("by_app_password", BigInteger, nullable=False, server_default="0"),
)

login_memory = Table(
    "login_memory",
    metadata,
    Column("id", _Id, primary_key=True),
    _account_id(index=True),
    # Covers account, epoch, class of service, network and the whole presented string.
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    # Covers account, epoch and the whole presented string: accepted once, from wherever.
    Column("string_digest", LargeBinary(32), nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
    Column("last_used_at", Moment, nullable=False),
    Column("uses", BigInteger, nullable=False),
)

portal_session = Table(
    "portal_session",
    metadata,
    Column("id", _Id, primary_key=True),
    _account_id(index=True),
    # Keyed digest of the cookie's value, which is stored nowhere.
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("epoch", BigInteger, nullable=False),
    Column("credential", String(32), nullable=False),
    Column("network", String(64), nullable=False),
    Column("agent", String(100), nullable=False),
    Column("created_at", Moment, nullable=False),
    # When both factors, or all that the account had, were given last.
    Column("proved_at", Moment, nullable=False),
    Column("last_seen_at", Moment, nullable=False),
    # An authenticator that waits for its first code lives and dies with the session that it was begun in.
    Column("pending_seed", LargeBinary(255)),
    Column("pending_key_id", String(KEY_ID_BYTES)),
    Column("pending_at", Moment),
    Column("pending_tries", BigInteger, nullable=False, server_default="0"),
    Column("pending_tried_at", Moment),
    # When its secret was shown: once after each proof of who it is for.
    Column("pending_shown_at", Moment),
    sqlite_autoincrement=True,
)

mail_link = Table(
    "mail_link",
    metadata,
    Column("id", _Id, primary_key=True),
    _account_id(index=True),
    # Keyed digest of the token in the link.
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("purpose", String(32), nullable=False),
    # What it is about, as the purpose needs it: an address, a moment.
    Column("subject", String(NAME_BYTES), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
    Column("used_at", Moment),
    sqlite_autoincrement=True,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _Id, primary_key=True),
    # Mails outlive the accounts that they are about.
    Column("message_id", String(200), nullable=False, unique=True),
    # What may happen once only has a name; a second row of that name is not made.
    Column("once_key", String(200), unique=True),
    Column("recipient", String(NAME_BYTES), nullable=False),
    Column("language", String(8), nullable=False),
    Column("kind", String(40), nullable=False),
    # Sealed facts of the mail; wiped as soon as a server has accepted it, or some time after it was given up.
    Column("content", LargeBinary(16384)),
    Column("key_id", String(KEY_ID_BYTES), nullable=False),
    Column("state", String(10), nullable=False),
    Column("tries", BigInteger, nullable=False, server_default="0"),
    Column("created_at", Moment, nullable=False),
    Column("next_at", Moment, nullable=False, index=True),
    Column("leased_until", Moment),
    Column("ended_at", Moment),
    Column("last_error", String(300), nullable=False, server_default=""),
    # From when its time is counted after which it is given up; where none stands, it is when it was queued.
    Column("tried_since", Moment),
    # Of no account where it was queued before this column was there, or where the account is gone.
    Column("account_id", BigInteger),
    sqlite_autoincrement=True,
)

# One row while the mail server refuses everybody alike.
outbox_pause = Table(
    "outbox_pause",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("reason", String(60), nullable=False),
    Column("error", String(300), nullable=False),
    Column("since", Moment, nullable=False),
    Column("until", Moment, nullable=False),
    Column("wait_s", BigInteger, nullable=False),
)

login_activity = Table(
    "login_activity",
    metadata,
    Column("id", _Id, primary_key=True),
    _account_id(),
    Column("service", String(32), nullable=False),
    Column("network", String(64), nullable=False),
    Column("agent", String(100), nullable=False),
    Column("credential", String(32), nullable=False),
    Column("reason", String(40), nullable=False),
    # 0 where it was none: NULLs are never equal, and this is part of the key.
    Column("app_password_id", BigInteger, nullable=False, server_default="0", index=True),
    Column("count", BigInteger, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False, index=True),
    UniqueConstraint(
        "account_id",
        "service",
        "network",
        "agent",
        "credential",
        "reason",
        "app_password_id",
        name="uq_login_activity_seen",  # by the convention it would be longer than databases take
    ),
)

running_part = Table(
    "running_part",
    metadata,
    # Each part of each process that serves now, or was killed.
    Column("host", String(64), primary_key=True),
    Column("pid", BigInteger, primary_key=True, autoincrement=False),
    Column("part", String(16), primary_key=True),
    Column("version", String(32), nullable=False),
    Column("digest", String(64), nullable=False),
    # The configuration file.
    Column("source", String(400), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
)

clock_mark = Table(
    "clock_mark",
    metadata,
    # `newest`, `jump`, or `passed` with the date that was seen to pass.
    Column("name", String(100), primary_key=True),
    Column("at", Moment, nullable=False),
    # Of a jump: by how much; negative where the clock went back.
    Column("seconds", BigInteger, nullable=False, server_default="0"),
)

key_fingerprint = Table(
    "key_fingerprint",
    metadata,
    # Which keys this database is sealed with: a keyed digest of each, which says nothing of the key.
    Column("key_id", String(KEY_ID_BYTES), primary_key=True),
    Column("fingerprint", LargeBinary(32), nullable=False),
    Column("noted_at", Moment, nullable=False),
)
