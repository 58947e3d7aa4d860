"""One listing of one source, compared with the accounts, and its difference put into force. See `directory.py`.

What is counted comes before what is changed, since the brake has to know how much would be taken away. Changes are
written a few accounts at a time; one that cannot be made is named, and the others are made all the same.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import Connection

from mailauth.core import directory_brake, listing
from mailauth.core.directory_brake import WHOLE_SOURCE, Tally
from mailauth.core.listing import ListedUser
from mailauth.core.service_copy import ANY_SERVICE
from mailauth.effects.scratch import Listed, Scratch
from mailauth.effects.store import accounts, directory_runs, outbox, source_accounts
from mailauth.effects.store.database import Database
from mailauth.effects.store.directory_runs import HeldBack
from mailauth.effects.store.source_accounts import Known, SourceFacts
from mailauth.usecases.giving_way import GivingWay
from mailauth.usecases.mailed_links import MailedLinks
from mailauth.usecases.notices import Notices
from mailauth.usecases.renaming import Renaming
from mailauth.usecases.source_accounts import copy_of, keep_copy, replace_person
from mailauth.vocabulary.errors import InvalidValue, MailauthError, StoreUnavailable
from mailauth.vocabulary.model import AccountName
from mailauth.vocabulary.notices import NoticeKind

log = logging.getLogger(__name__)

T = TypeVar("T")

TOGETHER: Final = 100
"""Accounts that one transaction changes: others who write wait for no longer than that takes."""
MOST_NAMED: Final = 20
"""Names that a report has of each kind; of the others it has the number."""
ABSENT_PART: Final = 10
INACTIVE_PART: Final = 3
SAME_PERSON_FOR: Final = timedelta(days=1)
"""Without a uid, whoever is not listed for longer and then again is somebody else."""


@dataclass(frozen=True, slots=True)
class AcceptedRemovals:
    """That so many accounts of a domain are meant to be taken away. Another number is not what somebody has seen."""

    domain: str
    count: int


@dataclass(slots=True)
class Report:
    """What a listing came to, and what was done. `refused`: lines and names that are not taken, each with its reason.

    `absent`: were disabled since they are not listed; `inactive`: since they are marked so. `held`: are not disabled.
    `replaced`: names that are another person's now. `removed`: after their time as absent.
    """

    source: str
    is_dry_run: bool = False
    listed: int = 0
    unchanged: int = 0
    added: int = 0
    updated: int = 0
    renamed: int = 0
    replaced: int = 0
    returned: int = 0
    inactive: int = 0
    absent: int = 0
    removed: int = 0
    refused: int = 0
    held: tuple[HeldBack, ...] = ()
    examples: dict[str, list[str]] = field(default_factory=dict)

    def note(self, what: str, words: str) -> None:
        """Count one of a kind, and name it while there are few."""
        setattr(self, what, getattr(self, what) + 1)
        named = self.examples.setdefault(what, [])
        if len(named) < MOST_NAMED:
            named.append(words)


class Tools(NamedTuple):
    """What changes are made with. `keep`: how long who is not listed any more is kept, disabled.

    `mail_to`: who is told that removals are held back; nobody where it is empty.
    """

    database: Database
    renaming: Renaming
    links: MailedLinks
    notices: Notices
    keep: timedelta
    mail_to: str = ""


class _Change(NamedTuple):
    known: Known
    line: Listed


class Comparison:
    """Compares, counts, changes."""

    def __init__(self, tools: Tools, source: str, scratch: Scratch, report: Report, now: datetime) -> None:
        self._tools = tools
        self._giving_way = GivingWay(tools.database)
        self._source = source
        self._scratch = scratch
        self._report = report
        self._now = now
        self._accounts: Counter[str] = Counter()
        self._absent: Counter[str] = Counter()
        self._inactive: Counter[str] = Counter()
        self._replaced: Counter[str] = Counter()
        self._refusals: list[str] = []

    def put_in_force(self, accepted: AcceptedRemovals | None) -> None:
        """Do all of it. Raises InvalidValue where what is accepted is not what is held back, and StoreUnavailable."""
        for name in self._scratch.several_times():
            self._report.note("refused", f"{name}: several lines are this one account")
        for chunk in self._known():
            self._count(chunk)
        held_inactive = self._held(self._inactive, INACTIVE_PART, absent=False)
        held_replaced = self._held(self._replaced, ABSENT_PART, absent=False)
        for chunk in self._known():
            self._change(chunk, held_inactive, held_replaced)
        for lines in self._scratch.rest():
            self._write(lines, self._add, lambda line: line.name)
        held_absent = self._disable_absent(accepted)
        self._report.held = (
            *self._told(held_absent, self._absent, "absent"),
            *self._told(held_inactive, self._inactive, "inactive"),
            *self._told(held_replaced, self._replaced, "replaced"),
        )
        if not self._report.is_dry_run:
            self._finish()

    def _known(self) -> Iterator[tuple[Known, ...]]:
        after = 0
        while chunk := self._of_source(after):
            after = chunk[-1].id
            yield chunk

    def _of_source(self, after: int) -> tuple[Known, ...]:
        return self._tools.database.read(
            lambda connection: source_accounts.of_source(connection, self._source, after, TOGETHER)
        )

    def _count(self, chunk: Sequence[Known]) -> None:
        """Count accounts by domain, and who would be disabled; note who is not listed."""
        lines = self._scratch.meet([known.name for known in chunk])
        for known in chunk:
            line, is_gone = lines.get(known.name), known.is_gone
            self._accounts[_domain(known.name)] += not is_gone
            if line is None and not is_gone:
                self._scratch.note_absent(known.name, known.uid or "", known.id)
            elif line is not None and not line.is_active and known.source_disabled_at is None:
                self._inactive[_domain(known.name)] += 1
            if line is not None and self._is_another_person(known, line.uid or None):
                self._replaced[_domain(known.name)] += 1

    def _change(self, chunk: Sequence[Known], held_inactive: frozenset[str], held_replaced: frozenset[str]) -> None:
        lines = self._scratch.meet([known.name for known in chunk])
        changes = []
        for known in chunk:
            line = lines.get(known.name)
            if line is None or line.times > 1:
                continue
            if _is_held(known.name, held_replaced) and self._is_another_person(known, line.uid or None):
                continue
            is_as_listed = line.is_active == (known.source_disabled_at is None) and known.absent_since is None
            if line.digest == known.directory_digest and is_as_listed:
                self._report.unchanged += 1
            else:
                changes.append(_Change(known, line))
        self._write(
            changes,
            lambda connection, change: self._apply(connection, change, held_inactive),
            lambda change: change.known.name,
        )

    def _apply(self, connection: Connection, change: _Change, held_inactive: frozenset[str]) -> str:
        known, line = change
        user = listing.read(line.payload, self._source)
        entry, facts = user.entry, _facts(user)
        if self._is_another_person(known, entry.uid):
            account_id = replace_person(connection, known.id, known.name, facts, self._now)
            if account_id is not None:
                self._follow(connection, account_id, user, line)
            return "replaced"
        voids = _has_changed(known.hash_fingerprint, user.fingerprints)
        source_accounts.note(connection, known.id, facts._replace(uid=entry.uid or known.uid), voids=voids)
        what = "updated"
        if entry.is_active and (known.source_disabled_at is not None or known.absent_since is not None):
            source_accounts.set_source_disabled(connection, known.id, None, None)
            what = "returned"
        elif not entry.is_active and (known.source_disabled_at is None or known.absent_since is not None):
            if _is_held(known.name, held_inactive):
                return "unchanged"
            self._disable(connection, known.id, None)
            what = "inactive"
        self._follow(connection, known.id, user, line)
        return what

    def _is_another_person(self, known: Known, uid: str | None) -> bool:
        if known.uid is not None and uid is not None:
            return known.uid != uid
        return known.absent_since is not None and self._now - known.absent_since > SAME_PERSON_FOR

    def _disable(self, connection: Connection, account_id: int, absent_since: datetime | None) -> None:
        source_accounts.set_source_disabled(connection, account_id, self._now, absent_since)
        self._tools.links.void_undoing(connection, account_id, self._now)
        self._tools.links.void_confirming(connection, account_id, self._now)

    def _follow(self, connection: Connection, account_id: int, user: ListedUser, line: Listed) -> None:
        """Take over what else is listed: other names, and language and address where their owner has chosen none."""
        entry = user.entry
        before = source_accounts.aliases_of_source(connection, account_id, self._source)
        for name in before - entry.aliases:
            source_accounts.remove_alias(connection, name, self._source)
        for name in sorted(entry.aliases - before):
            is_free = not accounts.exists(connection, name)
            if not is_free or not source_accounts.add_alias(connection, name, account_id, self._source):
                self._refusals.append(f"{name}: as another name of {entry.name}, it is in use otherwise")
        if entry.language is not None:
            accounts.suggest_language(connection, account_id, entry.language)
        if entry.recovery_address and accounts.recovery_address(connection, account_id) is None:
            accounts.set_recovery_address(connection, account_id, entry.recovery_address)
        keep_copy(connection, account_id, copy_of(entry, ANY_SERVICE, self._now))
        source_accounts.set_directory_digest(connection, account_id, line.digest)

    def _add(self, connection: Connection, line: Listed) -> str:
        user = listing.read(line.payload, self._source)
        entry, facts = user.entry, _facts(user)
        found = source_accounts.named(connection, [entry.name]).get(entry.name)
        if found is not None and found.source == self._source:
            return "unchanged"  # made meanwhile, by a login or by another look at the directory
        if found is not None:
            if found.source or found.has_password or not source_accounts.bind(connection, found.id, facts):
                whose = found.source or "mailauth's own table"
                self._refusals.append(f"{entry.name}: it is an account of {whose}; see: mailauth account move")
                return ""
            self._follow(connection, found.id, user, line)
            return "updated"
        source_accounts.remove_alias(connection, entry.name, self._source)  # a name that is an account is no alias
        if accounts.exists(connection, entry.name):
            self._refusals.append(f"{entry.name}: it is another name of an account already")
            return ""
        account_id = self._renamed(connection, entry.uid or "", entry.name)
        what = "added" if account_id is None else "renamed"
        if account_id is None:
            account_id = source_accounts.add(connection, entry.name, facts, self._now)
        if account_id is None:
            return ""
        if what == "renamed":
            source_accounts.note(connection, account_id, facts, voids=False)
        if not entry.is_active:
            self._disable(connection, account_id, None)
        self._follow(connection, account_id, user, line)
        return what

    def _renamed(self, connection: Connection, uid: str, name: AccountName) -> int | None:
        """Give the account of somebody who is listed by another name that name; None for a new person."""
        before = self._scratch.absent_by_uid(uid) if uid else None
        account = None if before is None else accounts.load(connection, AccountName(before))
        if account is None or account.name != before:
            return None
        self._tools.renaming.rename_within(connection, account, name, keep_alias=False)
        return account.id

    def _disable_absent(self, accepted: AcceptedRemovals | None) -> frozenset[str]:
        """Disable who is not listed any more, as far as the brake lets it; return the domains that it holds."""
        for chunk in self._scratch.absent():
            self._absent.update(_domain(name) for name, _ in chunk)
        held = self._held(self._absent, ABSENT_PART, absent=True)
        if accepted is not None:
            held = self._released(held, accepted)

        def take_away(connection: Connection, one: tuple[str, int]) -> str:
            self._disable(connection, one[1], self._now)
            return "absent"

        for chunk in self._scratch.absent():
            self._write([one for one in chunk if not _is_held(one[0], held)], take_away, lambda one: one[0])
        return held

    def _released(self, held: frozenset[str], accepted: AcceptedRemovals) -> frozenset[str]:
        count, is_held = self._absent[accepted.domain], _is_held(f"x@{accepted.domain}", held)
        if not count or not is_held or count != accepted.count:
            besides = "" if is_held or not count else ", and nothing holds them back"
            raise InvalidValue(
                f"{count} accounts of {accepted.domain} are not listed any more{besides}: not {accepted.count}. "
                "None was disabled; see: mailauth directory status"
            )
        others = self._absent.keys() if WHOLE_SOURCE in held else frozenset[str]()
        return (held | others) - {accepted.domain, WHOLE_SOURCE}

    def _held(self, wanted: Mapping[str, int], part: int, *, absent: bool) -> frozenset[str]:
        since = self._now - directory_brake.OVER
        recently = self._tools.database.read(
            lambda connection: source_accounts.recently_disabled(connection, self._source, since, absent=absent)
        )

        def tally(domain: str) -> Tally:
            gone = recently.get(domain, 0)
            # Who is gone since yesterday was there then; who is inactive is there still.
            return Tally(self._accounts[domain] + (gone if absent else 0), wanted.get(domain, 0), gone)

        domains = {*self._accounts, *wanted, *recently}
        return directory_brake.held({domain: tally(domain) for domain in domains}, part, all_are_held=absent)

    def _told(self, held: frozenset[str], wanted: Mapping[str, int], kind: str) -> Iterator[HeldBack]:
        for domain in sorted(held):
            is_whole = domain == WHOLE_SOURCE
            count = sum(wanted.values()) if is_whole else wanted[domain]
            of = sum(self._accounts.values()) if is_whole else self._accounts[domain]
            if count:
                yield HeldBack(self._source, domain, kind, count, of, self._now)

    def _tell(self, connection: Connection, new: Sequence[HeldBack]) -> None:
        """Mail that removals are held back, once each time that they begin to be."""
        held = [
            {
                "domain": "" if each.domain == WHOLE_SOURCE else each.domain,
                "kind": each.kind,
                "number": each.number,
                "of": each.of,
            }
            for each in new
        ]
        once = f"removals-held {self._source} {self._now.isoformat()}"
        kind, to = NoticeKind.REMOVALS_HELD, self._tools.mail_to
        self._tools.notices.tell_administrators(connection, to, kind, self._now, once, source=self._source, held=held)

    def _finish(self) -> None:
        """Remove who has been absent for long, and note how this went."""
        before = self._now - self._tools.keep

        def remove(connection: Connection) -> int:
            gone = source_accounts.long_absent(connection, self._source, before, TOGETHER)
            for account_id, name in gone:
                outbox.withdraw_all(connection, account_id, name)
                accounts.remove(connection, account_id)
            return len(gone)

        while count := self._giving_way.write(remove):
            self._report.removed += count
        listed, held = self._report.listed, self._report.held

        def succeed(connection: Connection) -> None:
            new = directory_runs.succeed(connection, self._source, listed, held, self._now)
            if new and self._tools.mail_to:
                self._tell(connection, new)

        self._tools.database.write(
            succeed,
            durable=False,
        )
        for each in held:
            log.error(
                "%d of %d accounts of %s are %s at %s, too many at once: not disabled until somebody says so",
                *(each.number, each.of, each.domain or "all domains", each.kind, each.source),
            )

    def _write(self, items: Sequence[T], change: Callable[[Connection, T], str], name_of: Callable[[T], str]) -> None:
        """Make changes, few in a transaction; where one of them can't be made, each by itself."""
        for start in range(0, len(items), TOGETHER):
            part = items[start : start + TOGETHER]
            try:
                self._together(part, change, name_of)
            except StoreUnavailable:
                raise
            except MailauthError:
                for item in part:
                    self._alone(item, change, name_of)

    def _alone(self, item: T, change: Callable[[Connection, T], str], name_of: Callable[[T], str]) -> None:
        try:
            self._together([item], change, name_of)
        except StoreUnavailable:
            raise
        except MailauthError as error:
            self._report.note("refused", f"{name_of(item)}: {error}")

    def _together(
        self, items: Sequence[T], change: Callable[[Connection, T], str], name_of: Callable[[T], str]
    ) -> None:
        done: list[str] = []

        def make(connection: Connection) -> None:
            done.clear()
            self._refusals.clear()
            done.extend(change(connection, item) for item in items)

        self._giving_way.write(make, is_rehearsal=self._report.is_dry_run)
        for item, what in zip(items, done, strict=True):
            if what == "renamed":
                self._scratch.forget_absent(listing.read(_payload(item), self._source).entry.uid or "")
            if what == "unchanged":
                self._report.unchanged += 1
            elif what:
                self._report.note(what, name_of(item))
        for words in self._refusals:
            self._report.note("refused", words)


def _payload(item: object) -> str:
    return item.payload if isinstance(item, Listed) else ""


def _facts(user: ListedUser) -> SourceFacts:
    entry = user.entry
    return SourceFacts(entry.source, entry.uid, entry.reply_name or None, next(iter(user.fingerprints), None))


def _has_changed(fingerprint: bytes | None, listed: Sequence[bytes]) -> bool:
    return fingerprint is not None and bool(listed) and fingerprint not in listed


def _is_held(name: str, held: frozenset[str]) -> bool:
    return WHOLE_SOURCE in held or _domain(name) in held


def _domain(name: str) -> str:
    return name.rpartition("@")[2]
