"""Accounts in a file of Dovecot's passwd-file format: `user:password:uid:gid:gecos:home:shell:extra fields`.

It is read whole, and again whenever it has changed; a login that comes while it is being replaced waits for it. A line
that cannot be understood is left out and named; a file that cannot be read is no answer.
"""

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from mailauth.core import names
from mailauth.core.password_chain import Answer, Disabled, Right, Unanswered, UnknownUser, Wrong
from mailauth.core.source_entry import Asked, DomainPatterns, Misfit, SourceEntry, chosen
from mailauth.effects import plain_files
from mailauth.effects.sources import Parts
from mailauth.effects.sources.guarding import SourceGuard
from mailauth.effects.sources.rows import Columns, entry_of
from mailauth.effects.sources.stored_hashes import StoredHashes
from mailauth.vocabulary.errors import HashUnreadable, InvalidName, InvalidValue, Overloaded, SourceUnavailable
from mailauth.vocabulary.model import Account, AccountName

if TYPE_CHECKING:
    from mailauth.effects.configuration.source_sections import PasswdFileSection

log = logging.getLogger(__name__)

THREADS: Final = 2
MAX_BYTES: Final = 512 * 1024 * 1024
_FIELDS: Final = 8
_NEVER: Final = frozenset({"nopassword", "user", "proxy_maybe", "noauthenticate"})
"""Extra fields by which a line means something else than its name and its password."""


class _Read(NamedTuple):
    """A file as it was: its state, and its entries by name; several where lines have one canonical name."""

    state: tuple[int, ...]
    entries: dict[AccountName, tuple[SourceEntry, ...]]


class PasswdFile:
    """Looks users up in a file."""

    def __init__(self, section: "PasswdFileSection", parts: Parts) -> None:
        self.name = section.name
        self.is_listed = True
        self.is_by_service = False
        self._path = Path(section.file)
        self._covers = DomainPatterns(section.domains)
        self._columns = Columns(section.name, self._covers.only or parts.default_domain, tuple(section.fields))
        self._hashes = StoredHashes(parts.hasher, parts.hash_pool, section.default_scheme)
        self._guard = SourceGuard(section.name, THREADS, section.timeout_s)
        self._lock = threading.Lock()
        self._read: _Read | None = None

    @property
    def described(self) -> str:
        """Name the file."""
        return f"the file {self._path}"

    async def find(self, asked: Asked, account: Account | None) -> SourceEntry | UnknownUser | Unanswered:
        """Look in the file."""
        found = await self._guard.ask(lambda: self._find(asked.name))
        return UnknownUser(self.name) if found is None else found

    async def check(
        self,
        asked: Asked,
        account: Account | None,
        entry: SourceEntry | None,
        password: bytes,
        readings: Sequence[bytes] = (),
    ) -> Answer:
        """Compare with the stored hash."""
        stored = None if entry is None else entry.stored_hash
        try:
            name = asked.name if entry is None else entry.name
            match = await self._hashes.compare(stored, password, readings, name, asked.service)
        except (HashUnreadable, Overloaded) as error:
            return Unanswered(self.name, error)
        if entry is None:
            return UnknownUser(self.name)
        if not entry.is_active:
            return Disabled(self.name)
        return Wrong(self.name) if match is None or stored is None else Right(self.name, entry)

    def entries(self) -> Iterator[SourceEntry]:
        """Return every line's entry. Raises SourceUnavailable."""
        for found in self._current().entries.values():
            yield from found

    def close(self) -> None:
        """Let running look-ups end."""
        self._guard.close()

    def _find(self, name: AccountName) -> SourceEntry | None:
        found = chosen(self._current().entries.get(name, ()), name, self._covers)
        if not isinstance(found, Misfit):
            return found
        log.error("what stands in %s is not taken: %s", self._path, found.why)
        return None

    def _current(self) -> _Read:
        try:
            with self._lock, plain_files.opened(self._path) as file:
                about = os.fstat(file.fileno())
                state = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
                if self._read is None or self._read.state != state:
                    if about.st_size > MAX_BYTES:
                        raise SourceUnavailable(f"{self._path} has more than {MAX_BYTES // 2**20} MiB")
                    self._read = _Read(state, self._parsed(file.read()))
                return self._read
        except OSError as error:
            raise SourceUnavailable(f"{self._path} cannot be read: {error.strerror}") from error

    def _parsed(self, content: bytes) -> dict[AccountName, tuple[SourceEntry, ...]]:
        entries: dict[AccountName, tuple[SourceEntry, ...]] = {}
        for number, line in enumerate(content.split(b"\n"), 1):
            try:
                entry = self._entry(line.decode())
            except (InvalidValue, UnicodeDecodeError) as error:
                why = error if isinstance(error, InvalidValue) else "it is not UTF-8"
                log.warning("line %d of %s is left out: %s", number, self._path, why)
                continue
            if entry is not None and self._covers.include(entry.name):
                entries[entry.name] = (*entries.get(entry.name, ()), entry)
        return entries

    def _entry(self, line: str) -> SourceEntry | None:
        line = line.rstrip("\r")
        if not line.strip() or line.startswith(("#", ":")):
            return None
        parts = line.split(":", _FIELDS - 1)
        try:
            names.canonicalise(parts[0], self._columns.default_domain)
        except InvalidName as error:  # which may be a hash: it is not repeated
            raise InvalidValue("what stands before its first colon is no name of an account") from error
        extras = _extras(parts[_FIELDS - 1]) if len(parts) == _FIELDS else {}
        odd = sorted(_NEVER & extras.keys())
        if odd:
            raise InvalidValue(f"it has the extra field {odd[0]}, which has no meaning here")
        row = {
            **{each: extras[each] for each in self._columns.fields if each in extras},
            "name": parts[0],
            "hash": parts[1] if len(parts) > 1 else "",
            "active": "nologin" not in extras,
            "allow_nets": extras.get("allow_nets"),
        }
        return entry_of(row, self._columns, {})


def _extras(text: str) -> dict[str, str]:
    """Return the extra fields, which have blanks between; one without a value has an empty one."""
    return {key: value for key, _, value in (each.partition("=") for each in text.split())}


def make(section: "PasswdFileSection", parts: Parts) -> PasswdFile:
    """Return the source. Nothing is read yet."""
    return PasswdFile(section, parts)
