"""What has to outlive a fault: of the clock, of a relay, of a key file, of a guesser's patience.

Each part of the schema that changes has a function of its own here.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.BigInteger()  # whole seconds since 1970, UTC


def upgrade() -> None:
    """Apply each part."""
    _add_fingerprints()
    _add_clock_marks()
    _add_running_parts()
    _keep_mails_through_a_relays_faults()
    _add_showings()
    _add_former_names()
    _limiter_outlives_jumps_of_the_clock()
    _networks_are_familiar_for_an_epoch()


def downgrade() -> None:
    """Undo each part, the last one first."""
    op.drop_column("account", "former_names")
    _drop("familiar_source", "by_app_password", "both_at", "epoch")
    _drop("limiter", "drawn_at_ms")
    op.drop_column("portal_session", "pending_shown_at")
    _give_mails_up_at_once()
    op.drop_table("running_part")
    op.drop_table("clock_mark")
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


def _add_clock_marks() -> None:
    """What was seen of the clock, and the dates that were seen to pass."""
    op.create_table(
        "clock_mark",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("seconds", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_clock_mark"),
    )


def _add_running_parts() -> None:
    """Which parts run, and with which configuration."""
    op.create_table(
        "running_part",
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("pid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("part", sa.String(16), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("source", sa.String(400), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("host", "pid", "part", name="pk_running_part"),
    )


def _keep_mails_through_a_relays_faults() -> None:
    op.add_column("outbox", sa.Column("tried_since", MOMENT, nullable=True))
    op.create_table(
        "outbox_pause",
        sa.Column("id", ID, nullable=False),
        sa.Column("reason", sa.String(length=60), nullable=False),
        sa.Column("error", sa.String(length=300), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("wait_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_pause")),
    )


def _give_mails_up_at_once() -> None:
    op.drop_table("outbox_pause")
    op.drop_column("outbox", "tried_since")


def _add_showings() -> None:
    """When the secret of a set-up that waits was shown: once after each proof."""
    op.add_column("portal_session", sa.Column("pending_shown_at", MOMENT))


def _add_former_names() -> None:
    """What an account was called: digests that were bound to a name are checked under it."""
    op.add_column("account", sa.Column("former_names", sa.Text(), nullable=False, server_default=""))


def _limiter_outlives_jumps_of_the_clock() -> None:
    op.add_column("limiter", sa.Column("drawn_at_ms", sa.BigInteger(), server_default="0", nullable=False))


def _networks_are_familiar_for_an_epoch() -> None:
    # -1 is no account's epoch: what was noted before does not say by what, and counts no more.
    op.add_column("familiar_source", sa.Column("epoch", sa.BigInteger(), server_default="-1", nullable=False))
    op.add_column("familiar_source", sa.Column("both_at", sa.BigInteger(), nullable=True))
    op.add_column("familiar_source", sa.Column("by_app_password", sa.BigInteger(), server_default="0", nullable=False))


def _drop(table: str, *columns: str) -> None:
    with op.batch_alter_table(table) as batch:
        for column in columns:
            batch.drop_column(column)
