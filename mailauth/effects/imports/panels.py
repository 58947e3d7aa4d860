"""Second factors of mail panels, by the tables in which they keep them; a database's URL, as for a source.

Each query is read only. Columns are: whose it is, the secret, and what else there is to know of it. Seeds that a panel
has encrypted are no base32, and are named as that.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from sqlalchemy import Row, text
from sqlalchemy.exc import SQLAlchemyError

from mailauth.effects.imports import Found, Left, Record, seeds
from mailauth.effects.sources import sql_databases
from mailauth.vocabulary.errors import InvalidValue

R = TypeVar("R")

_TIMEOUT_S: Final = 60.0
_AT_ONCE: Final = 500
_NOT_IN_FORCE: Final = "it is not switched on there"

MAILCOW: Final = "SELECT username, secret, authmech, active FROM tfa WHERE username LIKE '%@%' ORDER BY username, id"
POSTFIXADMIN: Final = (
    "SELECT username, totp_secret FROM mailbox WHERE totp_secret IS NOT NULL AND totp_secret <> '' ORDER BY username"
)
MODOBOA: Final = (
    "SELECT u.username, d.key, d.confirmed, d.step, d.digits, d.t0 FROM otp_totp_totpdevice d "
    "JOIN core_user u ON u.id = d.user_id ORDER BY u.username, d.id"
)
USERLI: Final = (
    "SELECT email, totp_secret, totp_confirmed FROM users "
    "WHERE totp_secret IS NOT NULL AND totp_secret <> '' ORDER BY email"
)
MAIL_IN_A_BOX: Final = (
    "SELECT u.email, m.secret, m.type FROM mfa m JOIN users u ON u.id = m.user_id ORDER BY u.email, m.id"
)


def read_mailcow(url: str) -> Iterator[Record]:
    """Yield those of mailcow's mailboxes (`tfa`); its administrators' have no @ and are none of ours."""

    def record(row: Row[Any]) -> Record:
        if row.authmech != "totp":
            return Left("tfa", row.username, f"it is of the kind {str(row.authmech)[:20]}, and not by time")
        return _in_base32("tfa", row.username, row.secret, is_on=bool(row.active))

    return rows(url, MAILCOW, record)


def read_postfixadmin(url: str) -> Iterator[Record]:
    """Yield those of Postfixadmin's mailboxes (version 4)."""
    return rows(url, POSTFIXADMIN, lambda row: _in_base32("mailbox", row.username, row.totp_secret))


def read_modoboa(url: str) -> Iterator[Record]:
    """Yield those of Modoboa's users: the tables of django-otp, whose hash is SHA-1."""

    def record(row: Row[Any]) -> Record:
        place = "otp_totp_totpdevice"
        if not row.confirmed:
            return Left(place, row.username, _NOT_IN_FORCE)
        if row.t0:
            return Left(place, row.username, "its time does not begin in 1970")
        return _found(place, row.username, lambda: seeds.from_hex(row.key), (row.digits, row.step))

    return rows(url, MODOBOA, record)


def read_userli(url: str) -> Iterator[Record]:
    """Yield those of Userli's users."""
    return rows(
        url, USERLI, lambda row: _in_base32("users", row.email, row.totp_secret, is_on=bool(row.totp_confirmed))
    )


def read_mail_in_a_box(url: str) -> Iterator[Record]:
    """Yield those of Mail-in-a-Box's users (`users.sqlite`)."""

    def record(row: Row[Any]) -> Record:
        if row.type != "totp":
            return Left("mfa", row.email, f"it is of the kind {str(row.type)[:20]}, and not by time")
        return _in_base32("mfa", row.email, row.secret)

    return rows(url, MAIL_IN_A_BOX, record)


def rows(url: str, query: str, record: Callable[[Row[Any]], R]) -> Iterator[R]:
    """Yield a record for each row of a query. Raises InvalidValue where it cannot be asked."""
    engine = sql_databases.engine(url, 1, _TIMEOUT_S)
    try:
        with engine.connect() as connection:
            for row in connection.execution_options(yield_per=_AT_ONCE).execute(text(query)):
                yield record(row)
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        words = " ".join(str(cause).split())[:200]
        raise InvalidValue(f"the database cannot be asked: {type(cause).__name__}: {words}") from error
    finally:
        engine.dispose()


def _in_base32(place: str, owner: str, secret: object, *, is_on: bool = True) -> Record:
    if not is_on:
        return Left(place, owner, _NOT_IN_FORCE)
    return _found(place, owner, lambda: seeds.from_base32(str(secret)))


def _found(place: str, owner: str, seed: Callable[[], bytes], form: tuple[object, object] = (6, 30)) -> Record:
    try:
        return Found(place, owner, seed(), seeds.parameters(str(form[0]), str(form[1])))
    except InvalidValue as error:
        return Left(place, owner, str(error))
