"""What has to outlive a fault: of the clock, of a relay, of a key file, of a guesser's patience.

Each part of the schema that changes has a function of its own here.
"""

import sqlalchemy as sa  # noqa: F401
from alembic import op  # noqa: F401

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply each part."""


def downgrade() -> None:
    """Undo each part, the last one first."""
