"""Many accounts at once, from a file: added, or brought to what the file says; what it does not say stays.

The same file again changes nothing: that a hash was replaced by one of ours at a login meanwhile is no difference.
Each line stands for itself. Works on threads, not on the event loop.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from mailauth.core import names, new_password
from mailauth.core.clock import Clock
from mailauth.effects import password_schemes
from mailauth.effects.account_files.reading import AccountLine, BadLine
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.store import accounts, source_accounts
from mailauth.effects.store.database import Database
from mailauth.vocabulary.errors import HashUnreadable, InvalidName, InvalidValue
from mailauth.vocabulary.languages import LANGUAGES
from mailauth.vocabulary.model import Account, AccountName

TOGETHER: Final = 200
"""Accounts that one transaction changes: logins wait for no longer than that takes."""
MOST_NAMED: Final = 50


@dataclass(slots=True)
class ImportReport:
    """What became of a file's lines. `problems`: of those that were refused, by number, the first of them."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)

    def refuse(self, number: int, problem: str) -> None:
        """Count a line that was refused."""
        self.refused += 1
        if len(self.problems) < MOST_NAMED:
            self.problems.append(f"line {number}: {problem}")


class AccountImport:
    """Imports accounts into mailauth's own table."""

    def __init__(self, database: Database, keyring: Keyring, default_domain: str, clock: Clock) -> None:
        self._database = database
        self._keyring = keyring
        self._default_domain = default_domain
        self._clock = clock

    def put_in_force(
        self,
        lines: Iterable[AccountLine | BadLine],
        *,
        dry_run: bool = False,
        default_scheme: str = "CRYPT",
        progress: Callable[[int], None] = lambda _lines: None,
    ) -> ImportReport:
        """Take over the lines of a file, and return what became of them. Raises StoreUnavailable.

        `progress` is told of so many lines more.
        """
        report, seen = ImportReport(), iter(lines)
        while part := list(islice(seen, TOGETHER)):
            ready = []
            for line in part:
                if isinstance(line, BadLine):
                    report.refuse(line.number, line.problem)
                    continue
                try:
                    ready.append((line, self._checked(line, default_scheme)))
                except (InvalidName, InvalidValue, HashUnreadable) as error:
                    report.refuse(line.number, str(error).replace("a stored password hash", "the hash"))
            self._write(ready, report, dry_run=dry_run)
            progress(len(part))
        return report

    def _checked(self, line: AccountLine, default_scheme: str) -> "_Wanted":
        name = new_password.require_no_scheme(names.read(line.name, self._default_domain))
        aliases = None
        if line.aliases is not None:
            aliases = frozenset(names.read(each, self._default_domain) for each in line.aliases) - {name}
        if line.language is not None and line.language not in LANGUAGES:
            raise InvalidValue(f"{line.language!a} is no language that there is: {', '.join(LANGUAGES)}")
        address = None if line.recovery_address is None else names.read(line.recovery_address, self._default_domain)
        stored = line.password_hash
        if stored is not None:
            if not stored.isascii() or not stored.isprintable():
                raise InvalidValue("the hash has letters beyond ASCII")
            password_schemes.require_known(stored, default_scheme)
            if not stored.startswith(("{", "$")):
                stored = f"{{{default_scheme}}}{stored}"
        return _Wanted(name, stored, aliases, line.language, address, line.is_disabled)

    def _write(self, ready: Sequence[tuple[AccountLine, "_Wanted"]], report: ImportReport, *, dry_run: bool) -> None:
        done: list[str] = []

        def write(connection: Connection) -> None:
            done.clear()
            done.extend(self._one(connection, wanted) for _, wanted in ready)

        (self._database.rehearse if dry_run else self._database.write)(write)
        for (line, _), what in zip(ready, done, strict=True):
            match what:
                case "added":
                    report.added += 1
                case "changed":
                    report.changed += 1
                case "":
                    report.unchanged += 1
                case problem:
                    report.refuse(line.number, problem)

    def _one(self, connection: Connection, wanted: "_Wanted") -> str:
        """Take over one account; return what that was: added, changed, nothing, or why it was refused."""
        account = accounts.load(connection, wanted.name)
        if account is not None and account.name != wanted.name:
            return f"{wanted.name} is another name of {account.name}"
        if account is not None and account.source:
            return f"{wanted.name} belongs to the source {account.source}"
        taken = self._taken(connection, wanted, account)
        if taken is not None:
            return taken
        before = account
        if account is None:
            accounts.add(connection, wanted.name, wanted.password_hash, self._clock())
            account = accounts.load(connection, wanted.name)
        if account is None:
            return f"{wanted.name} was removed meanwhile"
        has_changed = self._bring(connection, account, wanted, is_new=before is None)
        return "added" if before is None else "changed" if has_changed else ""

    @staticmethod
    def _taken(connection: Connection, wanted: "_Wanted", account: Account | None) -> str | None:
        """Return that another name is in use otherwise; None where none is."""
        others = sorted(wanted.aliases or ())
        owners = source_accounts.owners_of_aliases(connection, others)
        known = source_accounts.named(connection, others)
        own_id = None if account is None else account.id
        for other in others:
            if other in known or owners.get(other, own_id) != own_id:
                return f"its other name {other} is in use otherwise"
        return None

    def _bring(self, connection: Connection, account: Account, wanted: "_Wanted", *, is_new: bool) -> bool:
        has_changed = False
        if wanted.password_hash is not None and not self._is_same_hash(account, wanted.password_hash, is_new=is_new):
            accounts.set_password(connection, account.id, wanted.password_hash)
            has_changed = True
        if wanted.password_hash is not None and (has_changed or is_new):
            source_accounts.set_fingerprint(connection, account.id, self._fingerprint(wanted.password_hash))
        if wanted.aliases is not None:
            there = frozenset(accounts.aliases(connection, account.id))
            for name in there - wanted.aliases:
                accounts.remove_alias(connection, name, account.id)
            for name in wanted.aliases - there:
                accounts.add_alias(connection, name, account.id)
            has_changed |= there != wanted.aliases
        has_changed |= self._bring_the_rest(connection, account, wanted)
        return has_changed

    def _bring_the_rest(self, connection: Connection, account: Account, wanted: "_Wanted") -> bool:
        has_changed = False
        stored = accounts.chosen(connection, account.id)
        if wanted.language is not None and wanted.language != stored.language:
            accounts.set_language(connection, account.id, wanted.language)
            has_changed = True
        if wanted.recovery_address is not None and wanted.recovery_address != stored.recovery_address:
            accounts.set_recovery_address(connection, account.id, wanted.recovery_address)
            has_changed = True
        if wanted.is_disabled is not None and wanted.is_disabled != (stored.disabled_at is not None):
            accounts.set_disabled(connection, account.id, self._clock() if wanted.is_disabled else None)
            has_changed = True
        return has_changed

    def _is_same_hash(self, account: Account, stored: str, *, is_new: bool) -> bool:
        if is_new or account.password_hash == stored:
            return True
        return account.hash_fingerprint is not None and any(
            self._fingerprint(stored, key_id) == account.hash_fingerprint for key_id in self._keyring.ids
        )

    def _fingerprint(self, stored: str, key_id: str | None = None) -> bytes:
        return self._keyring.mac(Purpose.SOURCE_HASH, "", stored, key_id=key_id)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An account as it is to be; None: as it is."""

    name: AccountName
    password_hash: str | None = field(repr=False)
    aliases: frozenset[AccountName] | None
    language: str | None
    recovery_address: str | None
    is_disabled: bool | None
