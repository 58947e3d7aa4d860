"""Statements on what was seen of the clock: the newest moment, the last jump, and dates that were seen to pass."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select, update

from mailauth.core.clock_watch import Jump
from mailauth.effects.store import dialects
from mailauth.effects.store.tables import app_password, clock_mark, exemption, login_activity, mail_link, totp

_NEWEST, _JUMP = "newest", "jump"
_PASSED = "passed "
"""What stands before the date that was seen to pass."""


def newest(connection: Connection) -> datetime | None:
    """Return when somebody looked at the clock last; where nobody ever did, when the last login was."""
    noted = _at(connection, _NEWEST)
    if noted is not None:
        return noted  # logins of a time when the clock was ahead are known by then
    login: datetime | None = connection.execute(select(func.max(login_activity.c.last_at))).scalar()
    return login


def note_newest(connection: Connection, now: datetime) -> None:
    """Note what time it is."""
    _set(connection, _NEWEST, now)


def last_jump(connection: Connection) -> Jump | None:
    """Return the last jump that any process noticed."""
    row = connection.execute(
        select(clock_mark.c.at, clock_mark.c.seconds).where(clock_mark.c.name == _JUMP)
    ).one_or_none()
    return None if row is None else Jump(row.at, timedelta(seconds=row.seconds))


def note_jump(connection: Connection, jump: Jump) -> None:
    """Note a jump, in place of the one before."""
    _set(connection, _JUMP, jump.at, round(jump.by.total_seconds()))


def seen_to_pass(connection: Connection, rule: str) -> datetime | None:
    """Return when a date was seen to have passed; None where it was not."""
    return _at(connection, _PASSED + rule)


def note_passed(connection: Connection, rule: str, now: datetime) -> None:
    """Note that a date was seen to pass."""
    _set(connection, _PASSED + rule, now)


def forget_other_dates(connection: Connection, rules: Collection[str]) -> None:
    """Forget what was seen of dates that are no rules any more."""
    kept = [_PASSED + rule for rule in rules]
    connection.execute(delete(clock_mark).where(clock_mark.c.name.startswith(_PASSED), clock_mark.c.name.not_in(kept)))


def end(connection: Connection, before: datetime) -> int:
    """Make sure that no clock brings back what ended before a moment; return how many things that were.

    Exemptions go. An app password counts as revoked when it expired, which tells it from those that somebody revoked;
    a link in a mail as used.
    """
    expired = (app_password.c.expires_at <= before) & app_password.c.revoked_at.is_(None)
    unused = (mail_link.c.expires_at <= before) & mail_link.c.used_at.is_(None)
    statements = (
        delete(exemption).where(exemption.c.until <= before),
        update(app_password).where(expired).values(revoked_at=app_password.c.expires_at),
        update(mail_link).where(unused).values(used_at=mail_link.c.expires_at),
    )
    return sum(connection.execute(statement).rowcount for statement in statements)


def set_steps_back(connection: Connection, steps: Mapping[int, int], account_id: int | None) -> int:
    """Let these be the last steps that were spent where later ones were; return of how many authenticators.

    `steps`: by the period of the authenticator in seconds.
    """
    count = 0
    for period_s, step in steps.items():
        is_ahead = (totp.c.state == "active") & (totp.c.period_s == period_s) & (totp.c.last_step > step)
        if account_id is not None:
            is_ahead &= totp.c.account_id == account_id
        count += connection.execute(update(totp).where(is_ahead).values(last_step=step)).rowcount
    return count


def _at(connection: Connection, name: str) -> datetime | None:
    found: datetime | None = connection.execute(select(clock_mark.c.at).where(clock_mark.c.name == name)).scalar()
    return found


def _set(connection: Connection, name: str, at: datetime, seconds: int = 0) -> None:
    new = {"at": at, "seconds": seconds}
    connection.execute(dialects.statements(connection).upsert(clock_mark, ["name"], {"name": name, **new}, new))
