"""Run by Alembic for each command, on the connection that `schema.py` hands over."""

from alembic import context

from mailauth.effects.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters tables by copying them
)
with context.begin_transaction():
    context.run_migrations()
