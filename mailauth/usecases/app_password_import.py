"""App passwords that another system has stored, taken over so that no phone has to be set up again on the day.

Each is an app password of its owner's from the import on: listed, revoked and bound to services and networks as any
other. Until it is used here once it has an end, and its hash is compared (`login/foreign_app_passwords.py`). One that
was imported before is not once more, whatever became of it: what its owner has revoked stays so. Works on threads, not
on the event loop.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from mailauth.core import app_password, mail_address, names, services
from mailauth.core.clock import Clock
from mailauth.effects import password_schemes
from mailauth.effects.imports import AppPasswordRecord, FoundAppPassword, Left
from mailauth.effects.keyring import Keyring
from mailauth.effects.store import accounts, app_passwords, foreign_app_passwords
from mailauth.effects.store.app_passwords import NewAppPassword
from mailauth.effects.store.database import Database
from mailauth.usecases.app_passwords import MAX_DEVICE_NAME, is_device_name, new_token
from mailauth.usecases.authenticator_import import TOGETHER, Outcome, Row, TakenOver
from mailauth.usecases.giving_way import GivingWay
from mailauth.usecases.login.foreign_app_passwords import imported_as
from mailauth.usecases.notices import Notices
from mailauth.vocabulary.errors import HashUnreadable, InvalidName, InvalidValue
from mailauth.vocabulary.model import Account
from mailauth.vocabulary.notices import ADMINISTRATOR, NoticeKind

MAX_PER_ACCOUNT: Final = 8
"""A wrong secret is compared with each: that many hashes for one guess, and no more."""
MAX_HASH_BYTES: Final = 512
"""As many as the table takes."""
_DIGEST_BYTES: Final = 32


class AppPasswordImport:
    """Takes app passwords over. `first_use_within`: how long after the import one may be used for the first time."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        notices: Notices,
        default_domain: str,
        first_use_within: timedelta,
        clock: Clock,
        draw: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._giving_way = GivingWay(database)
        self._keyring = keyring
        self._notices = notices
        self._default_domain = default_domain
        self._first_use_within = first_use_within
        self._clock = clock
        self._draw = draw

    def put_in_force(
        self,
        records: Iterable[AppPasswordRecord],
        tell: Callable[[Row], object],
        *,
        domain: str | None = None,
        dry_run: bool = False,
        is_told: bool = False,
    ) -> TakenOver:
        """Take over what a reader has found, and tell what becomes of each. Raises StoreUnavailable.

        `domain`: of owners without one, in place of the default. `is_told`: each owner gets the mail about a new one.
        """
        report, seen = TakenOver(), iter(records)
        while part := list(islice(seen, TOGETHER)):
            for row in self._write(part, domain, dry_run=dry_run, is_told=is_told):
                report.counts[row.outcome] += 1
                tell(row)
        return report

    def _write(
        self, part: Sequence[AppPasswordRecord], domain: str | None, *, dry_run: bool, is_told: bool
    ) -> list[Row]:
        def write(connection: Connection) -> list[Row]:
            return [self._one(connection, each, domain, is_told=is_told) for each in part]

        return self._giving_way.write(write, is_rehearsal=dry_run)

    def _one(self, connection: Connection, record: AppPasswordRecord, domain: str | None, *, is_told: bool) -> Row:
        if isinstance(record, Left):
            return Row(record.place, record.owner, Outcome.REFUSED, record.why)
        try:
            name = names.read(record.owner, domain or self._default_domain)
            _require_usable(record)
            account = accounts.load(connection, name)
            if account is not None and is_told:
                mail_address.checked(mail_address.in_ascii(account.name))
        except (InvalidName, InvalidValue, HashUnreadable) as error:
            why = str(error).replace("a stored password hash", "its hash")
            return Row(record.place, record.owner, Outcome.REFUSED, why)
        if account is None:
            why = "there is no such account: mailauth directory sync, or mailauth account import, comes first"
            return Row(record.place, name, Outcome.REFUSED, why)
        stored = imported_as(self._keyring, account.id, record.password_hash)
        if foreign_app_passwords.was_imported(connection, account.id, stored):
            return Row(record.place, account.name, Outcome.THERE, what=_described(record))
        now = self._clock()
        if len(foreign_app_passwords.waiting(connection, account.id, now)) >= MAX_PER_ACCOUNT:
            why = f"{MAX_PER_ACCOUNT} of an account are taken at most; make a new one for this device"
            return Row(record.place, account.name, Outcome.REFUSED, why)
        if app_passwords.count_live(connection, account.id, now) >= app_password.CAP_PER_ACCOUNT:
            why = f"the account has {app_password.CAP_PER_ACCOUNT} app passwords, which is the most"
            return Row(record.place, account.name, Outcome.REFUSED, why)
        self._add(connection, account, record, is_told=is_told)
        return Row(record.place, account.name, Outcome.TAKEN, what=_described(record))

    def _add(self, connection: Connection, account: Account, record: FoundAppPassword, *, is_told: bool) -> None:
        now, name = self._clock(), _device(record.name)
        new = NewAppPassword(
            selector=new_token(connection, self._draw)[1].selector,
            key_id=self._keyring.current_id,
            digest=self._draw(_DIGEST_BYTES),  # of nothing that anybody could present
            name=name,
            services=record.services,
            networks=record.networks,
            created_at=now,
            expires_at=now + self._first_use_within,
        )
        row_id = app_passwords.add(connection, account.id, new)
        foreign_app_passwords.add(connection, account.id, row_id, record.password_hash, now)
        if is_told:
            kind = NoticeKind.APP_PASSWORD_MADE
            self._notices.tell(
                connection, account.id, kind, ADMINISTRATOR, now, name=name, services=sorted(record.services)
            )


def _require_usable(record: FoundAppPassword) -> None:
    """Raise for what can't be checked, or would cost too much."""
    stored = record.password_hash
    if not isinstance(stored, str) or not stored.isascii() or not stored.isprintable() or not stored:
        raise InvalidValue("its hash cannot be read")
    if len(stored) > MAX_HASH_BYTES:
        raise InvalidValue(f"its hash has more than {MAX_HASH_BYTES} bytes")
    password_schemes.require_known(stored)
    for service in record.services:
        services.checked(service)


def _device(name: str) -> str:
    """Return a name that can be listed and mailed."""
    printable = "".join(each for each in name if each.isprintable()).strip()[:MAX_DEVICE_NAME].strip()
    return printable if is_device_name(printable) else "imported"


def _described(record: FoundAppPassword) -> str:
    opens = ", ".join(sorted(record.services)) or "all mail services"
    return f"{_device(record.name)}: {opens}" + (" from some networks" if record.networks else "")
