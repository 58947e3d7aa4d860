"""The directory: keeping accounts as the password sources list them, without a login.

Who is listed has an account, and its other names; who is not, or is marked inactive, is disabled within one interval,
app passwords and sessions included; who comes back is let in again, and is the same person only if the source says so.
What was never a listing (an error, an empty one) changes nothing, and a brake holds back what would take away too many
at once (`core.directory_brake`). What a person has disabled by hand stays so, and what they have typed in belongs to
no source. What has not changed costs no write.

A source is listed into a scratch file, and compared from there (`directory_comparison.py`); a million lines need no
more memory than a thousand. Works on threads, not on the event loop.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from mailauth.core import listing
from mailauth.core.clock import Clock
from mailauth.core.listing import ListedUser
from mailauth.core.source_entry import SourceEntry
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.scratch import Listed, Scratch
from mailauth.effects.sources import ListedSource
from mailauth.effects.store import directory_runs
from mailauth.effects.store.directory_runs import DirectoryRun, HeldBack
from mailauth.usecases.directory_comparison import AcceptedRemovals, Comparison, Report, Tools
from mailauth.vocabulary.errors import InvalidValue, SourceUnavailable

_SAID_EVERY: Final = 1000
"""Lines, between two words of progress."""


class Status(NamedTuple):
    """How each source was listed last, and what is held back."""

    runs: tuple[DirectoryRun, ...]
    held: tuple[HeldBack, ...]


class Directory:
    """Keeps accounts in step with what sources list. `sources`: those that can be listed, by name."""

    def __init__(self, tools: Tools, keyring: Keyring, sources: Mapping[str, ListedSource], clock: Clock) -> None:
        self._tools = tools
        self._keyring = keyring
        self.sources = sources
        self._clock = clock

    def status(self) -> Status:
        """Return how each source was listed last, and what is held back."""
        return self._tools.database.read(
            lambda connection: Status(directory_runs.of_runs(connection), directory_runs.of_held(connection))
        )

    def is_due(self, source: str, every: timedelta) -> bool:
        """Note that a source is about to be listed, unless somebody did so within an interval."""
        now = self._clock()
        return self._tools.database.write(
            lambda connection: directory_runs.begin(connection, source, now, every), durable=False
        )

    def sync(
        self,
        source: str,
        *,
        dry_run: bool = False,
        accepted: AcceptedRemovals | None = None,
        progress: Callable[[int], None] = lambda _listed: None,
    ) -> Report:
        """List a source and put into force what it says; return what that was.

        `progress` is told how many lines were read so far. Raises InvalidValue for a source that is not there or
        cannot be listed, and for an acceptance of what is not held back; SourceUnavailable for a listing that failed:
        nobody is disabled then; StoreUnavailable.
        """
        lister = self.sources.get(source)
        if lister is None:
            there = ", ".join(self.sources) or "none"
            raise InvalidValue(f"there is no source {source} that can be listed; there are: {there}")
        now, report = self._clock(), Report(source, dry_run)
        if not dry_run:
            self._begin(source)
        try:
            with Scratch() as scratch:
                report.listed = scratch.put(_counted(self._lines(lister), progress))
                if report.listed == 0:
                    raise SourceUnavailable(f"{source} lists nobody, which is taken for a fault: nobody is disabled")
                Comparison(self._tools, source, scratch, report, now).put_in_force(accepted)
        except SourceUnavailable as error:
            if not dry_run:
                self._fail(source, str(error))
            raise
        return report

    def _begin(self, source: str) -> None:
        now = self._clock()
        self._tools.database.write(
            lambda connection: directory_runs.begin(connection, source, now, timedelta(0)), durable=False
        )

    def _fail(self, source: str, why: str) -> None:
        self._tools.database.write(lambda connection: directory_runs.fail(connection, source, why), durable=False)

    def _lines(self, lister: ListedSource) -> Iterator[Listed]:
        for entry in lister.entries():
            text = listing.written(ListedUser(entry, self._fingerprints(entry)))
            digest = self._keyring.mac(Purpose.DIRECTORY_ROW, text)
            yield Listed(entry.name, entry.uid or "", digest, entry.is_active, text)

    def _fingerprints(self, entry: SourceEntry) -> tuple[bytes, ...]:
        stored, purpose = entry.stored_hash, Purpose.SOURCE_HASH
        if stored is None:
            return ()
        return tuple(self._keyring.mac(purpose, entry.source, stored, key_id=key_id) for key_id in self._keyring.ids)


def _counted(lines: Iterable[Listed], progress: Callable[[int], None]) -> Iterator[Listed]:
    count = 0
    for count, line in enumerate(lines, 1):
        if count % _SAID_EVERY == 0:
            progress(count)
        yield line
    progress(count)
