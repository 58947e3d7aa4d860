"""What `config check` and `db check` find out about a configuration's database. Nothing is changed there."""

import contextlib
from pathlib import Path
from typing import NamedTuple

from mailauth import __version__
from mailauth.core.clock import Clock
from mailauth.core.policy import Policy
from mailauth.edges.cli.refusal_floor import Kinds
from mailauth.effects import keyring, passwords
from mailauth.effects.configuration import digest
from mailauth.effects.configuration.places import key_file
from mailauth.effects.configuration.schema import Configuration
from mailauth.effects.store import accounts, schema, source_accounts
from mailauth.effects.store.database import Database
from mailauth.usecases import key_fingerprints
from mailauth.usecases.presence import Presence
from mailauth.usecases.time_watch import TimeWatch
from mailauth.vocabulary.errors import KeyUnusable, Mistake, SchemaMismatch, StoreMissing, StoreUnavailable


class State(NamedTuple):
    """What contradicts the configuration, what is strange but no mistake, and the rules as the database knows them.

    `foreign_hashes`: how many accounts have another system's; `kinds`: of which kinds all are, where there are any.
    """

    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]
    policy: Policy
    foreign_hashes: int = 0
    kinds: Kinds | None = None


def of(configuration: Configuration, source: Path, clock: Clock) -> State:
    """Return the state of a configuration's database; an empty one where it is made, or brought up to date, later."""
    database = Database(configuration.database.url)
    try:
        schema.require_current(database)
        mistakes: tuple[Mistake, ...] = ()
        with contextlib.suppress(KeyUnusable):  # what cannot be read was named before
            mistakes = key_mistakes(configuration, database)
        strange, policy = _time(configuration, database, clock)
        running = _running(configuration, database, source, clock)
        warnings = (*strange, *running, *_lost(configuration, database))
        return State(mistakes, warnings, policy, *_hashes(configuration, database))
    except (SchemaMismatch, StoreMissing):
        return State((), (), configuration.cutover.policy())
    except StoreUnavailable as error:
        return State((Mistake("database.url", str(error)),), (), configuration.cutover.policy())
    finally:
        database.close()


def key_mistakes(configuration: Configuration, database: Database) -> tuple[Mistake, ...]:
    """Return how the key file differs from what the database is sealed with. Raises KeyUnusable.

    A credential of systemd's is not there for commands, and is not looked at.
    """
    path = key_file(configuration)
    if not path.is_absolute():
        return ()
    ring = keyring.read(path)
    return tuple(Mistake("keys.file", f"{path}: {words}") for words in key_fingerprints.mistakes(database, ring))


def clock_warnings(configuration: Configuration, database: Database, clock: Clock) -> tuple[Mistake, ...]:
    """Return what is strange about the time, though no mistake."""
    return _time(configuration, database, clock)[0]


def _running(configuration: Configuration, database: Database, source: Path, clock: Clock) -> tuple[Mistake, ...]:
    presence = Presence(database, __version__, digest.of(configuration), clock)
    return tuple(Mistake("running", sentence) for sentence in presence.warnings(source))


def _hashes(configuration: Configuration, database: Database) -> tuple[int, Kinds]:
    """Return how many accounts have a hash that is not ours, and of which kinds theirs and ours are."""
    kinds = Kinds()
    if not configuration.keeps_passwords():
        return 0, kinds
    count = database.read(lambda connection: accounts.count_hashes_but(connection, passwords.SCHEME))
    if count:
        database.read(lambda connection: kinds.add(accounts.password_hashes(connection)))
    return count, kinds


def _lost(configuration: Configuration, database: Database) -> tuple[Mistake, ...]:
    """Warn of accounts of a source that has another name now, or is gone."""
    there = {each.name for each in configuration.password_sources()}
    counts = database.read(source_accounts.counts)
    return tuple(
        Mistake(
            "sources",
            f"{count} accounts belong to the source {name}, which is not there: their logins are told to try again "
            f"later. Where it has another name now: mailauth account move --all-of {name} NAME",
        )
        for name, count in counts.items()
        if name not in there
    )


def _time(configuration: Configuration, database: Database, clock: Clock) -> tuple[tuple[Mistake, ...], Policy]:
    policy = configuration.cutover.policy()
    watch = TimeWatch(database, policy, configuration.accounts.default_domain, clock, lambda: 0.0)
    watch.load()
    return tuple(Mistake("clock", sentence) for sentence in watch.warnings()), policy
