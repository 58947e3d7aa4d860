"""The limiter's buckets, familiar sources, the login memory."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.BigInteger()  # whole seconds since 1970, UTC


def upgrade() -> None:
    op.create_table(
        "limiter",
        sa.Column("bucket", sa.String(length=400), nullable=False),
        sa.Column("arrival_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", name=op.f("pk_limiter")),
    )
    op.create_index(op.f("ix_limiter_arrival_ms"), "limiter", ["arrival_ms"], unique=False)
    op.create_table(
        "familiar_source",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("last_passed_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_familiar_source_account_id_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "network", name=op.f("pk_familiar_source")),
    )
    op.create_table(
        "login_memory",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("string_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("last_used_at", MOMENT, nullable=False),
        sa.Column("uses", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_login_memory_account_id_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_memory")),
        sa.UniqueConstraint("digest", name=op.f("uq_login_memory_digest")),
    )
    op.create_index(op.f("ix_login_memory_account_id"), "login_memory", ["account_id"], unique=False)
    op.create_index(op.f("ix_login_memory_string_digest"), "login_memory", ["string_digest"], unique=False)
    op.create_index(op.f("ix_login_memory_expires_at"), "login_memory", ["expires_at"], unique=False)


def downgrade() -> None:
    for table in ("login_memory", "familiar_source", "limiter"):
        op.drop_table(table)
