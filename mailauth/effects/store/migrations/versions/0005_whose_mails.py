"""Which account a queued mail is of, so that it follows its account to another name, and goes with it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add it, unknown for the mails that there are: those are found by their recipient."""
    op.add_column("outbox", sa.Column("account_id", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("outbox", "account_id")
