"""Accounts that other systems keep: whose they are, what those systems say of them, and what people bring along.

Each part of the schema that changes has a function of its own here.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.BigInteger()  # whole seconds since 1970, UTC


def upgrade() -> None:
    """Apply each part."""
    _accounts_belong_to_sources()
    _add_service_copies()
    _add_directory_runs()
    _authenticators_have_parameters()
    _add_foreign_app_passwords()


def downgrade() -> None:
    """Undo each part, the last one first."""
    op.drop_table("foreign_app_password")
    _drop("totp", "algorithm", "period_s", "digits")
    op.drop_table("directory_held")
    op.drop_table("directory_run")
    op.drop_table("service_copy")
    op.drop_column("alias", "source")
    op.drop_index("ix_account_source", "account")
    _drop(
        "account",
        *("directory_digest", "hash_fingerprint", "reply_name", "absent_since", "source_disabled_at", "uid", "source"),
    )


def _accounts_belong_to_sources() -> None:
    for column in (
        sa.Column("source", sa.String(32), server_default="", nullable=False),
        sa.Column("uid", sa.String(128), nullable=True),
        sa.Column("source_disabled_at", MOMENT, nullable=True),
        sa.Column("absent_since", MOMENT, nullable=True),
        sa.Column("reply_name", sa.String(254), nullable=True),
        sa.Column("hash_fingerprint", sa.LargeBinary(32), nullable=True),
        sa.Column("directory_digest", sa.LargeBinary(32), nullable=True),
    ):
        op.add_column("account", column)
    op.create_index("ix_account_source", "account", ["source"])
    op.add_column("alias", sa.Column("source", sa.String(32), server_default="", nullable=False))


def _add_service_copies() -> None:
    """What a source said of an account for a service, so that app passwords need not wait for the source."""
    op.create_table(
        "service_copy",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("service", sa.String(32), nullable=False),
        sa.Column("is_allowed", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("allow_nets", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("taken_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_service_copy_account_id_account", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "service", name="pk_service_copy"),
    )


def _add_directory_runs() -> None:
    """How the last listing of each source went, and which removals are held back."""
    op.create_table(
        "directory_run",
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("tried_at", MOMENT, nullable=False),
        sa.Column("succeeded_at", MOMENT, nullable=True),
        sa.Column("error", sa.String(300), server_default="", nullable=False),
        sa.Column("listed", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_directory_run"),
    )
    op.create_table(
        "directory_held",
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("domain", sa.String(254), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("of", sa.BigInteger(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("source", "domain", "kind", name="pk_directory_held"),
    )


def _authenticators_have_parameters() -> None:
    """Those that mailauth makes have the defaults of the Key URI format; those that people bring may have others."""
    op.add_column("totp", sa.Column("digits", sa.BigInteger(), server_default="6", nullable=False))
    op.add_column("totp", sa.Column("period_s", sa.BigInteger(), server_default="30", nullable=False))
    op.add_column("totp", sa.Column("algorithm", sa.String(8), server_default="SHA1", nullable=False))


def _add_foreign_app_passwords() -> None:
    """App passwords as another system has stored them, until each is used once or its time is over."""
    op.create_table(
        "foreign_app_password",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("password_hash", sa.String(512), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("services", sa.Text(), nullable=False),
        sa.Column("networks", sa.Text(), nullable=False),
        sa.Column("imported_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_foreign_app_password_account_id_account", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_foreign_app_password"),
        sa.UniqueConstraint("account_id", "password_hash", name="uq_foreign_app_password_account_id_password_hash"),
    )


def _drop(table: str, *columns: str) -> None:
    for column in columns:
        op.drop_column(table, column)
