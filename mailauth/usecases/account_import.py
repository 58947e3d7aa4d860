"""Many accounts at once, from a file: added, or brought to what the file says; what it does not say stays.

The same file again changes nothing: that a hash was replaced by one of ours at a login meanwhile is no difference.
Language and recovery address are taken where the account has none: what its owner has chosen stays, and recovery codes
go to no address that its owner has not confirmed. Lines that have one name are refused but for the first. Works on
threads, not on the event loop.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from mailauth.core import names, new_password
from mailauth.core.clock import Clock
from mailauth.core.pam_users import PamUsers
from mailauth.effects import password_schemes
from mailauth.effects.account_files.reading import AccountLine, BadLine
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.scratch import LinesOfNames
from mailauth.effects.store import accounts, meters, source_accounts
from mailauth.effects.store.database import Database
from mailauth.usecases import recovery_address
from mailauth.usecases.giving_way import GivingWay
from mailauth.usecases.mailed_links import MailedLinks
from mailauth.usecases.notices import Notices
from mailauth.usecases.own_account import checked_address
from mailauth.usecases.shutting_out import mail_new_link
from mailauth.vocabulary.errors import HashUnreadable, InvalidName, InvalidValue
from mailauth.vocabulary.languages import LANGUAGES
from mailauth.vocabulary.model import Account, AccountName
from mailauth.vocabulary.notices import ADMINISTRATOR

TOGETHER: Final = 100
"""Accounts that one transaction changes: logins wait for no longer than that takes."""
MAX_HASH_BYTES: Final = 512
"""As many as the table takes."""


@dataclass(slots=True)
class ImportReport:
    """What became of a file's lines. `tell` is told of each that was refused, by number, with the reason."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    tell: Callable[[str], object] = field(default=lambda _words: None, repr=False)

    def refuse(self, number: int, problem: str) -> None:
        """Count a line that was refused."""
        self.refused += 1
        self.tell(f"line {number}: {problem}")


class AccountImport:
    """Imports accounts. `keeps_passwords`: whether mailauth's own table is among the password sources."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        notices: Notices,
        links: MailedLinks,
        pam_users: PamUsers,
        default_domain: str,
        clock: Clock,
        *,
        keeps_passwords: bool,
    ) -> None:
        self._keeps_passwords = keeps_passwords
        self._giving_way = GivingWay(database)
        self._keyring = keyring
        self._notices = notices
        self._links = links
        self._pam_users = pam_users
        self._default_domain = default_domain
        self._clock = clock

    def put_in_force(
        self,
        lines: Iterable[AccountLine | BadLine],
        *,
        dry_run: bool = False,
        default_scheme: str = "CRYPT",
        progress: Callable[[int], None] = lambda _lines: None,
        refused: Callable[[str], object] = lambda _words: None,
    ) -> ImportReport:
        """Take over the lines of a file, and return what became of them. Raises StoreUnavailable.

        `progress` is told of so many lines more, `refused` of each line that is not taken, and why.
        """
        report, seen = ImportReport(tell=refused), iter(lines)
        with LinesOfNames() as names_before:
            while part := list(islice(seen, TOGETHER)):
                ready = []
                for line in part:
                    if isinstance(line, BadLine):
                        report.refuse(line.number, line.problem)
                        continue
                    try:
                        wanted = self._checked(line, default_scheme)
                    except (InvalidName, InvalidValue, HashUnreadable) as error:
                        report.refuse(line.number, str(error).replace("a stored password hash", "the hash"))
                        continue
                    before = names_before.put(wanted.name, line.number)
                    if before is None:
                        ready.append((line, wanted))
                    else:
                        report.refuse(line.number, f"{wanted.name} stands on line {before} already")
                self._write(ready, report, dry_run=dry_run)
                progress(len(part))
        return report

    def _checked(self, line: AccountLine, default_scheme: str) -> "_Wanted":
        name = new_password.require_no_scheme(names.read(line.name, self._default_domain))
        aliases = None
        if line.aliases is not None:
            others = (new_password.require_no_scheme(names.read(each, self._default_domain)) for each in line.aliases)
            aliases = frozenset(others) - {name}
        if line.language is not None and line.language not in LANGUAGES:
            raise InvalidValue(f"{line.language!a} is no language that there is: {', '.join(LANGUAGES)}")
        address = None if line.recovery_address is None else checked_address(line.recovery_address)
        stored = line.password_hash
        if stored is not None:
            if not stored.isascii() or not stored.isprintable():
                raise InvalidValue("the hash has letters beyond ASCII")
            password_schemes.require_known(stored, default_scheme)
            if not stored.startswith(("{", "$")):
                stored = f"{{{default_scheme}}}{stored}"
            if len(stored) > MAX_HASH_BYTES:
                raise InvalidValue(f"the hash has more than {MAX_HASH_BYTES} bytes")
        return _Wanted(name, stored, aliases, line.language, address, line.is_disabled)

    def _write(self, ready: Sequence[tuple[AccountLine, "_Wanted"]], report: ImportReport, *, dry_run: bool) -> None:
        done: list[str] = []

        def write(connection: Connection) -> None:
            done.clear()
            done.extend(self._one(connection, wanted) for _, wanted in ready)

        self._giving_way.write(write, is_rehearsal=dry_run)
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
        has_hash = wanted.password_hash is not None and (
            account is None or account.password_hash != wanted.password_hash
        )
        if has_hash and not self._keeps_passwords:
            return (
                f"{wanted.name}: passwords are not mailauth's here ([[sources]], password.source); leave the hash out"
            )
        if account is not None and account.source and has_hash:
            return f"the password of {wanted.name} is kept by {account.source}: leave the hash out"
        taken = self._taken(connection, wanted, account)
        if taken is not None:
            return taken
        address = wanted.recovery_address
        is_own = address is not None and _is_of(wanted, address)
        if is_own or (address and account and recovery_address.is_own(connection, account.id, address)):
            return f"{wanted.name}: its recovery address leads to its own mailbox"
        if account is None:
            return self._add(connection, wanted)
        return "changed" if self._bring(connection, account, wanted) else ""

    def _add(self, connection: Connection, wanted: "_Wanted") -> str:
        """Add an account, by as few statements as there can be: it may be one of a million."""
        rivals = accounts.of_names(connection, self._pam_users.rivals(wanted.name))
        if rivals:
            return f"{wanted.name} would be the same PAM user as {rivals[0]}"
        now, stored = self._clock(), wanted.password_hash
        facts = {
            "language": wanted.language,
            "recovery_address": wanted.recovery_address,
            "disabled_at": now if wanted.is_disabled else None,
            "hash_fingerprint": None if stored is None else self._fingerprint(stored),
        }
        if not accounts.add(connection, wanted.name, stored, now, **facts):
            return f"{wanted.name} was added by somebody else meanwhile"
        if wanted.aliases:
            account_id = source_accounts.named(connection, [wanted.name])[wanted.name].id
            for name in wanted.aliases:
                accounts.add_alias(connection, name, account_id)
        return "added"

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

    def _bring(self, connection: Connection, account: Account, wanted: "_Wanted") -> bool:
        has_changed = False
        if wanted.password_hash is not None and not self._is_same_hash(account, wanted.password_hash):
            accounts.set_password(connection, account.id, wanted.password_hash)
            meters.clear_codes(connection, account.name)
            mail_new_link(connection, self._links, self._notices, account.id, ADMINISTRATOR, self._clock())
            source_accounts.set_fingerprint(connection, account.id, self._fingerprint(wanted.password_hash))
            has_changed = True
        if wanted.aliases is not None:
            there = frozenset(accounts.aliases(connection, account.id))
            for name in () if account.source else there - wanted.aliases:  # what a source says is the source's
                accounts.remove_alias(connection, name, account.id)
            for name in wanted.aliases - there:
                accounts.add_alias(connection, name, account.id)
            has_changed |= not wanted.aliases <= there if account.source else there != wanted.aliases
        has_changed |= self._bring_the_rest(connection, account, wanted)
        return has_changed

    def _bring_the_rest(self, connection: Connection, account: Account, wanted: "_Wanted") -> bool:
        has_changed = False
        stored = accounts.chosen(connection, account.id)
        if wanted.language is not None and stored.language is None:
            accounts.set_language(connection, account.id, wanted.language)
            has_changed = True
        if wanted.recovery_address is not None and stored.recovery_address is None:
            accounts.set_recovery_address(connection, account.id, wanted.recovery_address)
            has_changed = True
        if wanted.is_disabled is not None and wanted.is_disabled != (stored.disabled_at is not None):
            now = self._clock()
            accounts.set_disabled(connection, account.id, now if wanted.is_disabled else None)
            if wanted.is_disabled:
                self._links.void_undoing(connection, account.id, now)
                self._links.void_confirming(connection, account.id, now)
            has_changed = True
        return has_changed

    def _is_same_hash(self, account: Account, stored: str) -> bool:
        if account.password_hash == stored:
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


def _is_of(wanted: _Wanted, address: str) -> bool:
    """Tell whether an address is one of the names that the account is to have, or one of them with a detail."""
    local, _, domain = address.lower().rpartition("@")
    bases = [local, *(local[:end] for end, each in enumerate(local) if each in recovery_address.DELIMITERS)]
    return any(f"{base}@{domain}" in {wanted.name, *(wanted.aliases or ())} for base in bases)
