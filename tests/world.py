"""What tests start from: a whole installation in a temporary directory, a clock that tests set, and people in it.

Holds no tests. Uses the same wiring as the command line; only the clock and the strength of hashes differ.
"""

import base64
import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import tomlkit
from sqlalchemy import make_url

from mailauth import wiring
from mailauth.core import otp
from mailauth.effects import keyring
from mailauth.effects.configuration import loading, reference
from mailauth.effects.sources.own import OwnTable
from mailauth.effects.store import schema, upkeep
from mailauth.effects.store.database import Database
from mailauth.usecases.enrolment import Confirmed
from mailauth.vocabulary.model import AccountName, Attempt, Verdict
from mailauth.vocabulary.secret import Secret

CUTOVER = datetime(2025, 5, 4, 22, 0, tzinfo=UTC)
"""2025-05-05T00:00 in Brussels."""
CHEAP_HASHES = ("password.argon2.time_cost=1", "password.argon2.memory_kib=64")

SHORT_PASSWORDS = ("password.min_characters=1",)
"""What tests call people's passwords is short; the floor has tests of its own."""

PROVIDER = {
    "provider.name": "Mail-IT-Wize",
    "provider.support": "support@mailitwize.be",
    "provider.url": "https://www.mailitwize.be/2fa",
    "mail.sender": "support@mailitwize.be",
    "cutover.date": "2025-05-05T00:00 Europe/Brussels",
}
"""What has no default, by its key."""

UNLIMITED = tuple(
    f"limits.{kind}_burst=1000000"
    for kind in ("source", "site", "account_and_source", "account", "factor", "code", "code_and_source", "repeat")
)
FORGETFUL = ("login_memory.life_s=0",)
"""Worlds neither throttle nor remember unless a test says so: limiter and login memory have tests of their own."""


def completed(text: str) -> str:
    """Return a configuration's text with what has no default, as far as it does not say it; the date is its own."""
    document = tomlkit.parse(text)
    for place, value in PROVIDER.items():
        section, _, key = place.partition(".")
        if place != "cutover.date" and key not in document.setdefault(section, {}):
            document[section][key] = value
    return tomlkit.dumps(document)


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.up = timedelta(days=1)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> None:
        """Let time go by."""
        self.now += timedelta(**delta)
        self.up += timedelta(**delta)

    def jump(self, **delta: float) -> None:
        """Set the clock, while no time goes by."""
        self.now += timedelta(**delta)

    def steady(self) -> float:
        """Return the time since the machine's start, which nobody sets."""
        return self.up.total_seconds()


@dataclass
class Person:
    """A user, with what that user knows and holds. `name` in its canonical form."""

    name: AccountName
    password: str
    seed: bytes = b""

    def code(self, now: datetime, steps: int = 0) -> str:
        """Return what the authenticator shows `steps` steps from now."""
        return otp.code_at(self.seed, otp.step_at(now) + steps)


def enrol(installation: wiring.Installation, name: str, password: str = "correct horse", *, steps: int = -1) -> Person:
    """Add an account and enrol it, proving it by the code of `steps` steps from now; later steps are unspent."""
    account = installation.accounts.add(name, Secret(password.encode()))
    return enrol_account(installation, account, password, steps=steps)


def enrol_account(
    installation: wiring.Installation, account: AccountName, password: str = "correct horse", *, steps: int = -1
) -> Person:
    """Enrol an account that is there already."""
    begun = installation.enrolment.begin(account)
    person = Person(account, password, base64.b32decode(begun.secret))
    code = person.code(installation.clock(), steps)
    result = installation.enrolment.confirm(account, Secret(code.encode()))
    assert isinstance(result, Confirmed), result
    return person


def configuration_text(directory: Path, *settings: str) -> str:
    """Return a configuration whose files are all in a directory, with settings applied."""
    return _configuration_text(settings).replace(_SOMEWHERE, str(directory))


_SOMEWHERE = "/the-directory-of-a-world"


@functools.cache
def _configuration_text(settings: tuple[str, ...]) -> str:
    ours = (
        f"database.url=sqlite:///{_SOMEWHERE}/mailauth.db",
        f"keys.file={_SOMEWHERE}/mailauth.key",
        f'server.socket=[{{path="{_SOMEWHERE}/auth.sock"}}]',
        *CHEAP_HASHES,
        *SHORT_PASSWORDS,
        *UNLIMITED,
        *FORGETFUL,
        *settings,
    )
    return loading.with_settings(reference.first_file(PROVIDER), ours, "test")


@functools.cache
def _migrated_database() -> bytes:
    """Return a new database's file; most tests start with one, and migrating takes longer than most tests."""
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/mailauth.db"
        upkeep.create(url)
        database = Database(url)
        schema.upgrade(database)
        database.close()
        return Path(directory, "mailauth.db").read_bytes()


def install(directory: Path, *settings: str) -> Path:
    """Make configuration file, key and database as `mailauth init` does; return the configuration's path."""
    path = directory / "mailauth.toml"
    path.write_text(configuration_text(directory, *settings))
    configuration = loading.load(path)
    keyring.create(Path(configuration.keys.file), "1")
    upkeep.create(configuration.database.url)
    Path(make_url(configuration.database.url).database or "").write_bytes(_migrated_database())
    return path


class World:
    """An installation under a clock of its own, after the cut-over by default."""

    def __init__(self, directory: Path, *settings: str, now: datetime = CUTOVER + timedelta(days=30)) -> None:
        self.directory = directory
        self.clock = FakeClock(now)
        self.config_path = install(directory, *settings)
        self.installation = wiring.build(loading.load(self.config_path), self.clock, self.clock.steady)

    def add(self, name: str, password: str = "correct horse") -> Person:
        """Add an account without a second factor."""
        return Person(self.installation.accounts.add(name, Secret(password.encode())), password)

    def enrol(self, name: str, password: str = "correct horse") -> Person:
        """Add an enrolled account. The codes of this step and the next are unspent."""
        return enrol(self.installation, name, password)

    async def login(
        self, name: str, secret: str | bytes, service: str = "imap", client: str | None = "192.0.2.7"
    ) -> Verdict:
        """Return the verdict on a login."""
        value = secret.encode() if isinstance(secret, str) else secret
        address = None if client is None else ip_address(client)
        return await self.installation.verifier.verify(Attempt(name, Secret(value), service, address))

    @property
    def own_table(self) -> OwnTable:
        """Give the source that checks passwords by mailauth's own table."""
        (source,) = self.installation.passwords.sources
        assert isinstance(source, OwnTable)
        return source

    def close(self) -> None:
        self.installation.close()


WorldMaker = Callable[..., World]
