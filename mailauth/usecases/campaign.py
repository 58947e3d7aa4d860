"""Telling everybody who has no second factor yet that one is required from the cut-over on.

Each account is told once for a cut-over: what was queued is remembered with it, so that a run that was killed half
way is finished by another one, and no run tells anybody twice. Works on threads, not on the event loop.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from sqlalchemy import Connection

from mailauth.core.clock import Clock
from mailauth.core.policy import CutOver
from mailauth.effects.languages import Languages
from mailauth.effects.mails.writing import Mails
from mailauth.effects.store import addressing, outbox
from mailauth.effects.store.addressing import Unenrolled
from mailauth.effects.store.database import Database
from mailauth.usecases.accounts import find
from mailauth.usecases.notices import Notices
from mailauth.vocabulary.errors import InvalidValue, MailauthError
from mailauth.vocabulary.notices import ADMINISTRATOR, Notice, NoticeKind

BATCH = 100
"""How many accounts a transaction takes: the write lock is held for a few hundredths of a second."""


class CannotWriteMails(MailauthError):
    """The mails of a dry run could not be written."""


@dataclass(slots=True)
class Announced:
    """What a run did: mails by language; accounts that had been told before; those whose address takes no mail."""

    by_language: Counter[str] = field(default_factory=Counter)
    told_before: int = 0
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
        cutover: CutOver,
        default_domain: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self._notices = notices
        self._mails = mails
        self._languages = languages
        self._cutover = cutover
        self._default_domain = default_domain
        self._clock = clock

    def chosen(self, names: Sequence[str]) -> tuple[int, ...]:
        """Return the accounts that an administrator names, once each. Raises AccountUnknown, InvalidName."""
        with self._database.reading() as connection:
            return tuple(dict.fromkeys(find(connection, name, self._default_domain).id for name in names))

    def count(self, only: tuple[int, ...] | None = None) -> int:
        """Return how many accounts a run looks at."""
        with self._database.reading() as connection:
            return addressing.count_unenrolled(connection, only)

    def announce(self, only: tuple[int, ...] | None = None, advanced: Callable[[int], object] = _nothing) -> Announced:
        """Queue the announcement to every account that is neither enrolled nor disabled, or to the chosen ones.

        `advanced` is told of how many more accounts are done.
        """
        done = Announced()
        for batch in self._batches(only):
            with self._database.writing() as connection:
                for account in batch:
                    self._queue(connection, account, done)
            advanced(len(batch))
        return done

    def rehearse(
        self,
        folder: Path,
        only: tuple[int, ...] | None = None,
        advanced: Callable[[int], object] = _nothing,
    ) -> Announced:
        """Write the mails that `announce` would queue into a folder, `alice@example.org.eml`, and queue none.

        What is there under these names is replaced. Raises CannotWriteMails.
        """
        done = Announced()
        try:
            with _own_folder(folder) as folder_fd:
                self._write_all(folder_fd, only, done, advanced)
        except OSError as error:
            raise CannotWriteMails(f"cannot write into {folder}: {error.strerror}") from error
        return done

    def _write_all(
        self, folder_fd: int, only: tuple[int, ...] | None, done: Announced, advanced: Callable[[int], object]
    ) -> None:
        for batch in self._batches(only):
            with self._database.reading() as connection:
                due = [each for each in batch if not outbox.is_remembered(connection, self._once_key(each))]
            done.told_before += len(batch) - len(due)
            for account in due:
                language = self._languages.negotiate(None, account.language)
                mail = self._mails.write(self._notice(account), language, account.name, f"<{account.name}>")
                _write_anew(folder_fd, f"{account.name}.eml", mail.as_bytes())
                done.by_language[language] += 1
            advanced(len(batch))

    def _queue(self, connection: Connection, account: Unenrolled, done: Announced) -> None:
        kind, now, key = NoticeKind.ANNOUNCEMENT, self._clock(), self._once_key(account)
        try:
            queued = self._notices.tell(connection, account.id, kind, ADMINISTRATOR, now, once_key=key)
        except InvalidValue:  # one odd name must not keep everybody else from being told
            done.unreachable.append(account.name)
            return
        if queued:
            done.by_language[self._languages.negotiate(None, account.language)] += 1
        else:
            done.told_before += 1

    def _batches(self, only: tuple[int, ...] | None) -> Iterator[tuple[Unenrolled, ...]]:
        """Give the accounts that are concerned, a transaction's worth at a time."""
        last = 0
        while True:
            with self._database.reading() as connection:
                batch = addressing.unenrolled(connection, last, BATCH, only)
            if not batch:
                return
            yield batch
            last = batch[-1].id

    def _notice(self, account: Unenrolled) -> Notice:
        service = ADMINISTRATOR.service
        return Notice(NoticeKind.ANNOUNCEMENT, account.name, self._clock(), service, "", "", {})

    def _once_key(self, account: Unenrolled) -> str:
        # The name, because numbers of accounts that are gone are given again; hashed, because names can be longer.
        cutover = self._cutover.moment.astimezone(UTC).isoformat()
        return f"{NoticeKind.ANNOUNCEMENT} {cutover} {hashlib.sha256(account.name.encode()).hexdigest()}"


@contextmanager
def _own_folder(folder: Path) -> Iterator[int]:
    """Give a folder of this user's, made if need be. Raises CannotWriteMails for somebody else's, and OSError.

    An administrator names one under /tmp, where anybody may have made it, or a link by that name, before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(folder_fd).st_uid != os.geteuid():
            raise CannotWriteMails(f"cannot write into {folder}: it belongs to somebody else; name a new folder")
        yield folder_fd
    finally:
        os.close(folder_fd)


def _write_anew(folder_fd: int, name: str, content: bytes) -> None:
    """Write a file, in place of any by that name and never through a link."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder_fd)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(name, flags, 0o666, dir_fd=folder_fd), "wb") as file:
        file.write(content)
