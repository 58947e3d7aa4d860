"""Authenticators that people already have, put in force for their accounts, so that nobody has to enrol again.

An account that has another one keeps it; the same one again changes nothing. What others have allowed beyond a code of
the moment (a wider window, codes to scratch) is named and never taken. Whoever is taken over is enrolled from then on:
the password alone opens nothing more, remembered logins and sessions of the portal are over. Works on threads, not on
the event loop.
"""

import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from mailauth.core import mail_address, names
from mailauth.core.clock import Clock
from mailauth.effects.imports import Found, Left, Record
from mailauth.effects.keyring import Keyring, Purpose, Sealed
from mailauth.effects.store import accounts
from mailauth.effects.store.database import Database
from mailauth.usecases.authenticators import Authenticators
from mailauth.usecases.giving_way import GivingWay
from mailauth.usecases.recovery_codes import RecoveryCodes
from mailauth.vocabulary.errors import InvalidName, InvalidValue
from mailauth.vocabulary.model import Account
from mailauth.vocabulary.notices import ADMINISTRATOR

TOGETHER: Final = 100
"""Accounts that one transaction changes: logins wait for no longer than that takes."""


class Outcome(StrEnum):
    """What became of one."""

    TAKEN = "taken"
    THERE = "there already"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Row:
    """One record, and what became of it. `account`: whose it is here, or what the other software calls them.

    `what`: it is, for people; `left`: what of it was not taken.
    """

    place: str
    account: str
    outcome: Outcome
    why: str = ""
    what: str = ""
    left: tuple[str, ...] = ()


@dataclass(slots=True)
class TakenOver:
    """How many there were of each outcome."""

    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))


class AuthenticatorImport:
    """Takes authenticators over."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        authenticators: Authenticators,
        recovery_codes: RecoveryCodes,
        default_domain: str,
        clock: Clock,
    ) -> None:
        self._giving_way = GivingWay(database)
        self._keyring = keyring
        self._authenticators = authenticators
        self._recovery_codes = recovery_codes
        self._default_domain = default_domain
        self._clock = clock

    def put_in_force(
        self,
        records: Iterable[Record],
        tell: Callable[[Row], object],
        *,
        domain: str | None = None,
        dry_run: bool = False,
        is_told: bool = False,
        issues_recovery: bool = False,
    ) -> TakenOver:
        """Take over what a reader has found, and tell what becomes of each. Raises StoreUnavailable.

        `domain`: of owners without one, in place of the default. `is_told`: each owner gets the mail about a new
        authenticator, with the link that undoes it; `issues_recovery`: and one with recovery codes.
        """
        report, seen = TakenOver(), iter(records)
        while part := list(islice(seen, TOGETHER)):
            for row in self._write(part, domain, dry_run=dry_run, is_told=is_told, issues_recovery=issues_recovery):
                report.counts[row.outcome] += 1
                tell(row)
        return report

    def _write(
        self, part: Sequence[Record], domain: str | None, *, dry_run: bool, is_told: bool, issues_recovery: bool
    ) -> list[Row]:
        def write(connection: Connection) -> list[Row]:
            return [self._one(connection, each, domain, is_told, issues_recovery) for each in part]

        return self._giving_way.write(write, is_rehearsal=dry_run)

    def _one(
        self, connection: Connection, record: Record, domain: str | None, is_told: bool, issues_recovery: bool
    ) -> Row:
        if isinstance(record, Left):
            return Row(record.place, record.owner, Outcome.REFUSED, record.why)
        try:
            name = names.read(record.owner, domain or self._default_domain)
        except InvalidName as error:
            return Row(record.place, record.owner, Outcome.REFUSED, str(error))
        account = accounts.load(connection, name)
        if account is None:
            why = "there is no such account: mailauth directory sync, or mailauth account import, comes first"
            return Row(record.place, name, Outcome.REFUSED, why)
        described = str(record.parameters)
        if account.totp is not None:
            if self._is_same(account, record):
                return Row(record.place, account.name, Outcome.THERE, what=described)
            return Row(record.place, account.name, Outcome.REFUSED, "it has another authenticator by now")
        if is_told or issues_recovery:
            try:
                mail_address.checked(mail_address.in_ascii(account.name))
            except InvalidValue as error:
                return Row(record.place, account.name, Outcome.REFUSED, str(error))
        self._put_in_force(connection, account, record, is_told=is_told, issues_recovery=issues_recovery)
        return Row(record.place, account.name, Outcome.TAKEN, what=described, left=record.left)

    def _is_same(self, account: Account, found: Found) -> bool:
        totp = account.totp
        if totp is None or totp.parameters != found.parameters:
            return False
        seed = self._keyring.unseal(Purpose.TOTP_SEED, account.name, Sealed(totp.key_id, totp.sealed_seed))
        return hmac.compare_digest(seed, found.seed)

    def _put_in_force(
        self, connection: Connection, account: Account, found: Found, *, is_told: bool, issues_recovery: bool
    ) -> None:
        now = self._clock()
        self._authenticators.take_over(connection, account, found.seed, found.parameters, now, is_told=is_told)
        if issues_recovery:
            self._recovery_codes.put_first_set_in_force(connection, account, ADMINISTRATOR, now)
        accounts.raise_epoch(connection, account.id)
