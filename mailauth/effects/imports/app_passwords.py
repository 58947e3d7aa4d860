"""App passwords of mail panels, by the tables in which they keep them; a database's URL, as for a source."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Row

from mailauth.core.addresses import parse_network
from mailauth.effects.imports import AppPasswordRecord, FoundAppPassword, Left, panels
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import Network

MAILCOW: Final = (
    "SELECT id, mailbox, name, password, active, imap_access, pop3_access, smtp_access, sieve_access "
    "FROM app_passwd ORDER BY mailbox, id"
)
POSTFIXADMIN: Final = "SELECT id, username, description, password_hash FROM mailbox_app_password ORDER BY username, id"
MAILU: Final = "SELECT id, user_email, comment, password, ip FROM token ORDER BY user_email, id"


def read_mailcow(url: str) -> Iterator[AppPasswordRecord]:
    """Yield those of mailcow's mailboxes (`app_passwd`); calendars and ActiveSync are no services of ours."""

    def record(row: Row[Any]) -> AppPasswordRecord:
        place = f"app_passwd {row.id}"
        if not row.active:
            return Left(place, row.mailbox, "it is not switched on there")
        services = frozenset(
            service for service in ("imap", "pop3", "smtp", "sieve") if getattr(row, f"{service}_access")
        )
        if not services:
            return Left(place, row.mailbox, "it opens no mail service")
        return FoundAppPassword(place, row.mailbox, str(row.name or ""), row.password, services)

    return panels.rows(url, MAILCOW, record)


def read_postfixadmin(url: str) -> Iterator[AppPasswordRecord]:
    """Yield those of Postfixadmin's mailboxes (version 4)."""
    return panels.rows(
        url,
        POSTFIXADMIN,
        lambda row: FoundAppPassword(
            f"mailbox_app_password {row.id}", row.username, str(row.description or ""), row.password_hash
        ),
    )


def read_mailu(url: str) -> Iterator[AppPasswordRecord]:
    """Yield Mailu's tokens, for the networks that they are bound to."""

    def record(row: Row[Any]) -> AppPasswordRecord:
        place = f"token {row.id}"
        try:
            networks = _networks(str(row.ip or ""))
        except InvalidValue:
            return Left(place, row.user_email, "its networks cannot be read")
        return FoundAppPassword(place, row.user_email, str(row.comment or ""), row.password, networks=networks)

    return panels.rows(url, MAILU, record)


def _networks(written: str) -> tuple[Network, ...]:
    return tuple(parse_network(each) for each in written.replace(",", " ").split())
