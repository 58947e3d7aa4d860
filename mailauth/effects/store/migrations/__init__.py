"""Alembic's migrations of the tables, in order of revision."""
