"""What has to outlive a fault: of the clock, of a relay, of a key file, of a guesser's patience.

Each part of the schema that changes has a function of its own here.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply each part."""
    _add_fingerprints()


def downgrade() -> None:
    """Undo each part, the last one first."""
    op.drop_table("key_fingerprint")


def _add_fingerprints() -> None:
    """Which keys a database is sealed with."""
    op.create_table(
        "key_fingerprint",
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_key_fingerprint"),
    )
