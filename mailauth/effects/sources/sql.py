"""Accounts in a database of another system, by the site's own queries or by those for a known system.

A query is the site's text with bound parameters; nothing of a request ever becomes a part of it. Each question has a
connection of a small pool; a connection that failed is thrown away.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.exc import DBAPIError, ResourceClosedError, SQLAlchemyError

from mailauth.core.password_chain import Answer, Disabled, Expired, Right, Unanswered, UnknownUser, Wrong
from mailauth.core.source_entry import Asked, DomainPatterns, Misfit, SourceEntry, chosen, covered
from mailauth.effects import plain_files
from mailauth.effects.sources import Parts, sql_databases, sql_presets
from mailauth.effects.sources.guarding import SourceGuard
from mailauth.effects.sources.rows import Columns, entry_of
from mailauth.effects.sources.sql_presets import Queries
from mailauth.effects.sources.stored_hashes import StoredHashes
from mailauth.vocabulary.errors import HashUnreadable, InvalidValue, Overloaded, SourceUnavailable
from mailauth.vocabulary.model import Account, AccountName

if TYPE_CHECKING:
    from mailauth.effects.configuration.source_sections import SqlSection

log = logging.getLogger(__name__)

THREADS: Final = 4
PARAMETERS: Final = frozenset({"user", "local", "domain", "service", "secured", "client"})
UPGRADE_PARAMETERS: Final = frozenset({"user", "hash", "seen"})
CHUNK: Final = 1000
"""How many rows of a list are fetched at once."""
LIST_TIMEOUT_S: Final = 60.0
"""Without a word from the server, while all users are listed: the first of them may take a while to be found."""
MAX_ROWS: Final = 16
"""Of one look-up: what answers with more is a query that forgot its condition."""


class Sql:
    """Asks a database. `connect` makes its engine, by the number of connections and the seconds of a deadline."""

    def __init__(self, section: "SqlSection", parts: Parts, url: str) -> None:
        self.name = section.name
        queries = sql_presets.of(section.preset) if section.preset else Queries(section.lookup, section.list)
        self._lookup = statement(queries.lookup, PARAMETERS) if queries.lookup else None
        by_service = section.lookup_by_service or queries.by_service
        self._by_service = {service: statement(query, PARAMETERS) for service, query in by_service.items()}
        asks_by_service = {"service", "secured"} & set(() if self._lookup is None else _parameters(self._lookup))
        self.is_by_service = bool(self._by_service or asks_by_service)
        self._list = statement(section.list or queries.list, frozenset())
        self._alias_domains = statement(section.alias_domains or queries.alias_domains, frozenset())
        self.can_renew = bool(section.upgrade)
        self._upgrade = statement(section.upgrade, UPGRADE_PARAMETERS)
        self._columns = Columns(section.name, parts.default_domain, tuple(section.fields))
        self._covers = DomainPatterns(section.domains)
        self._hashes = StoredHashes(parts.hasher, parts.hash_pool, section.default_scheme)
        self._guard = SourceGuard(section.name, THREADS, section.timeout_s)
        self._timeout_s = section.timeout_s
        self._url = url
        self._engine = sql_databases.engine(url, THREADS, section.timeout_s)

    @property
    def described(self) -> str:
        """Name the database, without its password."""
        return f"the database {self._engine.url.render_as_string(hide_password=True)}"

    async def find(self, asked: Asked, account: Account | None) -> SourceEntry | UnknownUser | Unanswered:
        """Run the look-up."""
        found = await self._guard.ask(lambda: self._find(asked))
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
            if entry is None:
                return UnknownUser(self.name)
            if not entry.is_active:
                return Disabled(self.name)
            if match is None or stored is None:
                return Wrong(self.name)
            if entry.must_change:
                return Expired(self.name)
            hasher = self._hashes.hasher
            if not self.can_renew or hasher.is_ours(stored) or not match.settles:
                return Right(self.name, entry)
            renewed = await self._hashes.pool.run(lambda: hasher.hash(match.form))
            return Right(self.name, entry, renewed_hash=renewed)
        except (HashUnreadable, Overloaded) as error:
            return Unanswered(self.name, error)

    async def renew(self, entry: SourceEntry, password_hash: str) -> bool:
        """Run the site's UPDATE."""
        answer = await self._guard.ask(lambda: self._renew(entry, password_hash))
        return answer is True

    def entries(self) -> Iterator[SourceEntry]:
        """Run the list; blocks. Raises SourceUnavailable."""
        if self._list is None:
            return
        engine = sql_databases.engine(self._url, 1, LIST_TIMEOUT_S)
        try:
            with engine.connect() as connection:
                by_target: dict[str, list[str]] = defaultdict(list)
                if self._alias_domains is not None:
                    for other, target in connection.execute(self._alias_domains):
                        by_target[str(target).lower()].append(str(other))
                # Rows that come as they are fetched need a transaction, where there is none otherwise.
                level = connection.default_isolation_level
                connection.rollback()
                streaming = connection.execution_options(isolation_level=level, stream_results=True)
                rows = streaming.execute(self._list).mappings()
                for chunk in rows.partitions(CHUNK):
                    for row in chunk:
                        yield from self._listed(row, by_target)
        except SQLAlchemyError as error:
            raise self._away(error) from error
        finally:
            engine.dispose()

    @property
    def is_listed(self) -> bool:
        """Whether there is a query for all users."""
        return self._list is not None

    def close(self) -> None:
        """Let running questions end."""
        self._guard.close()
        self._engine.dispose()

    def _listed(self, row: RowMapping, by_target: Mapping[str, list[str]]) -> Iterator[SourceEntry]:
        try:
            entry = entry_of(dict(row), self._columns, by_target)
        except InvalidValue as error:
            log.warning("a row of %s is left out: %s", self.name, error)
            return
        if (ours := covered(entry, self._covers)) is not None:
            yield ours

    def _find(self, asked: Asked) -> SourceEntry | None:
        query = self._by_service.get(asked.service, self._lookup)
        if query is None:
            return None
        values = {
            "user": asked.name,
            "local": asked.local_part,
            "domain": asked.domain,
            "service": asked.service,
            "secured": int(asked.is_secured),
            "client": "" if asked.client is None else str(asked.client),
        }
        rows = self._once_more(lambda: self._rows(query, _wanted(query, values)))
        return self._chosen([self._read(row) for row in rows], asked.name)

    def _rows(self, query: TextClause, values: Mapping[str, Any]) -> Sequence[RowMapping]:
        with self._engine.connect() as connection:
            return connection.execute(query, values).mappings().fetchmany(MAX_ROWS)

    def _once_more(self, ask: Callable[[], Sequence[RowMapping]]) -> Sequence[RowMapping]:
        """Return what is asked for; where a kept connection proves to be at an end, by a new one."""
        began = time.monotonic()
        for is_last in (False, True):
            try:
                return ask()
            except SQLAlchemyError as error:
                was_ended = isinstance(error, DBAPIError) and error.connection_invalidated
                is_late = time.monotonic() - began > self._timeout_s / 2  # it hangs, and would again
                if is_last or is_late or not was_ended:
                    raise self._away(error) from error
        raise AssertionError("unreachable")

    def _read(self, row: RowMapping) -> SourceEntry:
        try:
            return entry_of(dict(row), self._columns, {})
        except InvalidValue as error:
            raise SourceUnavailable(f"{self.name} answered what cannot be understood: {error}") from error

    def _chosen(self, entries: list[SourceEntry], name: AccountName) -> SourceEntry | None:
        found = chosen(entries, name, self._covers)
        if not isinstance(found, Misfit):
            return found
        log.error("what %s answers is not taken: %s", self.name, found.why)
        return None

    def _renew(self, entry: SourceEntry, password_hash: str) -> bool:
        if self._upgrade is None:
            return False
        values = {"user": entry.reply_name, "hash": password_hash, "seen": entry.stored_hash}
        try:
            with self._engine.begin() as connection:
                return connection.execute(self._upgrade, _wanted(self._upgrade, values)).rowcount == 1
        except SQLAlchemyError as error:
            raise self._away(error) from error

    def _away(self, error: SQLAlchemyError) -> SourceUnavailable:
        if isinstance(error, ResourceClosedError):
            return SourceUnavailable(f"the query of {self.name} returns no rows")
        cause = getattr(error, "orig", None) or error
        return SourceUnavailable(f"{self.name} cannot be asked: {type(cause).__name__}: {_line(cause)}")


def statement(query: str, known: frozenset[str]) -> TextClause | None:
    """Return a query with its parameters; None without one. Raises InvalidValue for parameters that are not known."""
    if not query.strip():
        return None
    made = text(query.strip().rstrip(";"))
    others = set(_parameters(made)) - known
    if others:
        offered = ", ".join(f":{name}" for name in sorted(known)) or "none"
        raise InvalidValue(f"the query has :{min(others)}, and what it may have is {offered}")
    return made


def _parameters(query: TextClause) -> tuple[str, ...]:
    return tuple(query.compile().params)


def _wanted(query: TextClause, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in _parameters(query)}


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def url_of(section: "SqlSection", read: Callable[[Path], str] = plain_files.text_of) -> str:
    """Return the database's URL. Raises InvalidValue for a file that cannot be read."""
    if section.url:
        return section.url
    try:
        return read(Path(section.url_file)).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"{section.url_file} cannot be read: {error}") from error


def make(section: "SqlSection", parts: Parts) -> Sql:
    """Return the source. Raises InvalidValue for a query, URL or preset that cannot be used."""
    return Sql(section, parts, url_of(section))
