"""Whether an account may log in at all, in one place for every statement that has to know."""

from typing import Any

from mailauth.effects.store.tables import account

STATE_COLUMNS = (account.c.disabled_at, account.c.source_disabled_at)
"""The administrator's word, and the source's."""
IS_ENABLED = account.c.disabled_at.is_(None) & account.c.source_disabled_at.is_(None)


def is_disabled(row: Any) -> bool:
    """Tell it of a row that has the columns."""
    return row.disabled_at is not None or row.source_disabled_at is not None
