"""Telling everybody who has no second factor yet that one is required from the cut-over on.

Each account is told once for a cut-over: what was queued is remembered with it, so that a run that was killed half
way is finished by another one, and no run tells anybody twice. Told is who has a mail that a server accepted; who has
one that was given up is written to again. Works on threads, not on the event loop.

A run gives way to logins (`giving_way.py`).
"""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from mailauth.core import mail_address
from mailauth.core.clock import Clock
from mailauth.core.policy import Policy
from mailauth.effects.languages import Languages
from mailauth.effects.mails.writing import Mails
from mailauth.effects.store import addressing, outbox
from mailauth.effects.store.addressing import Unenrolled
from mailauth.effects.store.database import Database
from mailauth.effects.store.outbox import ACCEPTED, GIVEN_UP, WAITING, Addressee, NewMail
from mailauth.usecases.accounts import find
from mailauth.usecases.giving_way import GivingWay
from mailauth.usecases.notices import Notices
from mailauth.vocabulary.errors import InvalidValue, MailauthError
from mailauth.vocabulary.notices import ADMINISTRATOR, Notice, NoticeKind

BATCH = 100
"""How many accounts a transaction takes: the write lock is held for a few thousandths of a second."""
_PAUSE_FOR_EACH_SECOND = 3.0
"""How long the database is left alone: nobody waits for a run, and everybody logs in."""
_MAX_FILE_NAME_BYTES = 255
"""NAME_MAX of the file systems that servers have (limits.h)."""
_SUFFIX = ".eml"


class CannotWriteMails(MailauthError):
    """The mails of a dry run could not be written."""


@dataclass(slots=True)
class CampaignRun:
    """What a run did: mails by language; accounts told before, waiting for their mail, or whose address takes none."""

    by_language: Counter[str] = field(default_factory=Counter)
    told_before: int = 0
    waiting: int = 0
    unreachable: list[str] = field(default_factory=list)

    @property
    def queued(self) -> int:
        """How many mails there are."""
        return self.by_language.total()


def _nothing(_count: int) -> None:
    pass


class Campaign:
    """Writes to all accounts that are not enrolled."""

    def __init__(
        self,
        database: Database,
        notices: Notices,
        mails: Mails,
        languages: Languages,
        policy: Policy,
        default_domain: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._giving_way = GivingWay(database, _PAUSE_FOR_EACH_SECOND)
        self._notices = notices
        self._mails = mails
        self._languages = languages
        self._policy = policy
        self._default_domain = default_domain
        self._clock = clock

    def chosen(self, names: Sequence[str]) -> tuple[int, ...]:
        """Return the accounts that an administrator names, once each. Raises AccountUnknown, InvalidName."""

        def look(connection: Connection) -> tuple[int, ...]:
            return tuple(dict.fromkeys(find(connection, name, self._default_domain).id for name in names))

        return self._database.read(look)

    def count(self, only: tuple[int, ...] | None = None) -> int:
        """Return how many accounts a run looks at."""
        return self._database.read(lambda connection: addressing.count_unenrolled(connection, only))

    def announce(
        self, only: tuple[int, ...] | None = None, advanced: Callable[[int], object] = _nothing
    ) -> CampaignRun:
        """Queue the announcement to every account that is neither enrolled nor disabled, or to the chosen ones.

        `advanced` is told of how many more accounts are done.
        """
        done = CampaignRun()
        for batch in self._batches(only):
            mails = self._written(self._due(batch, done), done)
            if mails:
                self._queue(mails)
            advanced(len(batch))
        return done

    def rehearse(
        self,
        folder: Path,
        only: tuple[int, ...] | None = None,
        advanced: Callable[[int], object] = _nothing,
    ) -> CampaignRun:
        """Write the mails that `announce` would queue into a folder, `alice@example.org.eml`, and queue none.

        What is there under these names is replaced. Raises CannotWriteMails.
        """
        done = CampaignRun()
        try:
            with _own_folder(folder) as folder_fd:
                self._write_all(folder_fd, only, done, advanced)
        except OSError as error:
            raise CannotWriteMails(f"cannot write into {folder}: {error.strerror}") from error
        return done

    def _write_all(
        self, folder_fd: int, only: tuple[int, ...] | None, done: CampaignRun, advanced: Callable[[int], object]
    ) -> None:
        for batch in self._batches(only):
            for account in self._reachable(self._due(batch, done), done):
                language = self._languages.negotiate(None, account.language)
                message_id = f"<{_digest(account.name)}@dry-run>"
                mail = self._mails.write(self._notice(account), language, account.name, message_id)
                _write_anew(folder_fd, _file_name(account.name), mail.as_bytes())
                done.by_language[language] += 1
            advanced(len(batch))

    def _due(self, batch: tuple[Unenrolled, ...], done: CampaignRun) -> list[Unenrolled]:
        """Return who of a batch is to be written to; count the others."""
        keys = {self._once_key(account): account for account in batch}
        known = self._database.read(lambda connection: outbox.states(connection, keys))
        done.told_before += sum(state == ACCEPTED for state in known.values())
        done.waiting += sum(state == WAITING for state in known.values())
        return [account for key, account in keys.items() if known.get(key, GIVEN_UP) == GIVEN_UP]

    def _reachable(self, due: list[Unenrolled], done: CampaignRun) -> Iterator[Unenrolled]:
        """Give those whose name is an address: one odd name must not keep everybody else from being told."""
        for account in due:
            try:
                mail_address.checked(mail_address.in_ascii(account.name))
            except InvalidValue:
                done.unreachable.append(account.name)
            else:
                yield account

    def _written(self, due: list[Unenrolled], done: CampaignRun) -> list[NewMail]:
        """Return the mails to be queued, sealed; that is done before the write lock is taken."""
        mails = []
        for account in self._reachable(due, done):
            to = Addressee(account.name, account.language, None, account.id)
            mails.append(self._notices.announcement(to, ADMINISTRATOR, self._clock(), self._once_key(account)))
            done.by_language[self._languages.negotiate(None, account.language)] += 1
        return mails

    def _queue(self, mails: list[NewMail]) -> None:
        # Not durable: a run that a power failure undoes in part is finished by the next one.
        self._giving_way.write(lambda connection: outbox.enqueue_all(connection, mails), durable=False)

    def _batches(self, only: tuple[int, ...] | None) -> Iterator[tuple[Unenrolled, ...]]:
        """Give the accounts that are concerned, a transaction's worth at a time."""
        last = 0
        while batch := self._database.read(partial(addressing.unenrolled, after=last, limit=BATCH, only=only)):
            yield batch
            last = batch[-1].id

    def _notice(self, account: Unenrolled) -> Notice:
        service = ADMINISTRATOR.service
        return Notice(NoticeKind.ANNOUNCEMENT, account.name, self._clock(), service, "", "", {})

    def _once_key(self, account: Unenrolled) -> str:
        # The name, because numbers of accounts that are gone are given again; hashed, because names can be longer.
        announced = self._policy.announced(account.name.rpartition("@")[2], self._clock())
        date = announced.moment.astimezone(UTC).isoformat()
        return f"{NoticeKind.ANNOUNCEMENT} {date} {_digest(account.name)}"


@contextmanager
def _own_folder(folder: Path) -> Iterator[int]:
    """Give a folder of this user's alone, made if need be. Raises CannotWriteMails for any other, and OSError.

    An administrator names one under /tmp, where anybody may have made it, or a link by that name, before. What it
    holds is a list of who has no second factor.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(folder_fd)
        if status.st_uid != os.geteuid():
            raise CannotWriteMails(f"cannot write into {folder}: it belongs to somebody else; name a new folder")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise CannotWriteMails(
                f"cannot write into {folder}: others can look into it, and would see who has no second factor; "
                f"name a new folder, or run: chmod 0700 {folder}"
            )
        yield folder_fd
    finally:
        os.close(folder_fd)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _file_name(name: str) -> str:
    """Return the file for an account's mail: its name, or what of a long one fits, with a digest of the whole."""
    if len(name.encode()) + len(_SUFFIX) <= _MAX_FILE_NAME_BYTES:
        return name + _SUFFIX
    digest = f"~{_digest(name)[:16]}{_SUFFIX}"
    return name.encode()[: _MAX_FILE_NAME_BYTES - len(digest)].decode("utf-8", "ignore") + digest


def _write_anew(folder_fd: int, name: str, content: bytes) -> None:
    """Write a file, in place of any by that name and never through a link."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder_fd)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(name, flags, 0o600, dir_fd=folder_fd), "wb") as file:
        file.write(content)
