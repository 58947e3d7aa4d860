"""The portal's sessions, links in mails, the outbox, login activity; an account's language and second address."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.BigInteger()  # whole seconds since 1970, UTC


def _owned(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_account_id_account")
    return sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=name, ondelete="CASCADE")


def upgrade() -> None:
    op.add_column("account", sa.Column("language", sa.String(length=8), nullable=True))
    op.add_column("account", sa.Column("recovery_address", sa.String(length=254), nullable=True))
    op.create_table(
        "portal_session",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("credential", sa.String(length=32), nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=100), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("proved_at", MOMENT, nullable=False),
        sa.Column("last_seen_at", MOMENT, nullable=False),
        sa.Column("pending_seed", sa.LargeBinary(length=255), nullable=True),
        sa.Column("pending_key_id", sa.String(length=32), nullable=True),
        sa.Column("pending_at", MOMENT, nullable=True),
        sa.Column("pending_tries", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("pending_tried_at", MOMENT, nullable=True),
        _owned("portal_session"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_portal_session")),
        sa.UniqueConstraint("digest", name=op.f("uq_portal_session_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_portal_session_account_id"), "portal_session", ["account_id"], unique=False)
    op.create_table(
        "mail_link",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=254), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        _owned("mail_link"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_link")),
        sa.UniqueConstraint("digest", name=op.f("uq_mail_link_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_mail_link_account_id"), "mail_link", ["account_id"], unique=False)
    op.create_index(op.f("ix_mail_link_expires_at"), "mail_link", ["expires_at"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", ID, nullable=False),
        sa.Column("message_id", sa.String(length=200), nullable=False),
        sa.Column("once_key", sa.String(length=200), nullable=True),
        sa.Column("recipient", sa.String(length=254), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("content", sa.LargeBinary(length=16384), nullable=True),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("tries", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("leased_until", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("last_error", sa.String(length=300), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("message_id", name=op.f("uq_outbox_message_id")),
        sa.UniqueConstraint("once_key", name=op.f("uq_outbox_once_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_outbox_next_at"), "outbox", ["next_at"], unique=False)
    op.create_table(
        "login_activity",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("service", sa.String(length=32), nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=100), nullable=False),
        sa.Column("credential", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("app_password_id", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", MOMENT, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        _owned("login_activity"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_activity")),
        sa.UniqueConstraint(
            "account_id", "service", "network", "agent", "credential", "reason", "app_password_id",
            name=op.f("uq_login_activity_seen"),
        ),
    )  # fmt: skip
    op.create_index(op.f("ix_login_activity_app_password_id"), "login_activity", ["app_password_id"], unique=False)
    op.create_index(op.f("ix_login_activity_last_at"), "login_activity", ["last_at"], unique=False)


def downgrade() -> None:
    for table in ("login_activity", "outbox", "mail_link", "portal_session"):
        op.drop_table(table)
    for column in ("recovery_address", "language"):
        op.drop_column("account", column)
