"""App passwords of another system: each belongs to an app password of ours from the day of the import.

So its owner sees and revokes it like the others. Nothing was in the table before this revision.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.BigInteger()  # whole seconds since 1970, UTC
_TABLE = "foreign_app_password"


def upgrade() -> None:
    """Make the table anew."""
    op.drop_table(_TABLE)
    op.create_table(
        _TABLE,
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("app_password_id", ID, nullable=True),
        sa.Column("password_hash", sa.String(512), nullable=False),
        sa.Column("imported_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_foreign_app_password_account_id_account", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["app_password_id"],
            ["app_password.id"],
            name="fk_foreign_app_password_app_password_id_app_password",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_foreign_app_password"),
        sa.UniqueConstraint("account_id", "password_hash", name="uq_foreign_app_password_account_id_password_hash"),
    )


def downgrade() -> None:
    """Undo it."""
    op.drop_table(_TABLE)
    op.create_table(
        _TABLE,
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
