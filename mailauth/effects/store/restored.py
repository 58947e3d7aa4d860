"""Statements that close what a restored database opens again: it does not know what has happened since the backup."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select, update

from mailauth.effects.store.tables import account, login_activity, login_memory, mail_link, portal_session, totp


class Closed(NamedTuple):
    """How many things were open and are not any more."""

    sessions: int
    memories: int
    links: int


class Contents(NamedTuple):
    """What people recognise a database by."""

    accounts: int
    last_login_at: datetime | None


def close(connection: Connection, steps: Mapping[int, int], now: datetime) -> Closed:
    """End sessions, remembered logins and links in mails, and spend every code up to a step.

    `steps`: by the period of the authenticator in seconds.
    A session or link may have been ended or used since, a code may have been spent a moment ago. Recovery codes,
    app passwords and passwords are left as they were when the backup was made: nobody could log in any more.
    """
    for period_s, step in steps.items():
        is_behind = (totp.c.state == "active") & (totp.c.period_s == period_s) & (totp.c.last_step < step)
        connection.execute(update(totp).where(is_behind).values(last_step=step))
    return Closed(
        sessions=connection.execute(delete(portal_session)).rowcount,
        # The rows stay: what was accepted once is refused by them.
        memories=connection.execute(
            update(login_memory).where(login_memory.c.expires_at > now).values(expires_at=now)
        ).rowcount,
        links=connection.execute(
            update(mail_link).where(mail_link.c.used_at.is_(None), mail_link.c.expires_at > now).values(used_at=now)
        ).rowcount,
    )


def contents(connection: Connection) -> Contents:
    """Return what is in a database."""
    return Contents(
        accounts=connection.execute(select(func.count()).select_from(account)).scalar_one(),
        last_login_at=connection.execute(select(func.max(login_activity.c.last_at))).scalar(),
    )
