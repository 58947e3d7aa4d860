"""The people of a benchmark: accounts with password, authenticator and app password, made in bulk.

Everything is stored as the use cases would store it, by the same keys and tables, but with one password hash for
all (a hash of the real strength is made once, not 10,000 times) and in large transactions. Answers what each of
them types. Holds real secrets of accounts that do not exist.
"""

import base64
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

from sqlalchemy import insert

from mailauth import wiring
from mailauth.core import app_password, otp
from mailauth.effects import keyring
from mailauth.effects.configuration import loading, places
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.passwords import PasswordHasher
from mailauth.effects.store import tables
from tests.transactions import writing
from tests.world import install

PASSWORD = "correct horse battery"
ARGON2 = {"time_cost": 2, "memory_kib": 19456, "parallelism": 1}
"""The default strength, whatever the tests use."""
CHUNK = 5_000
PARAMETERS = (
    "service=imap\tlip=192.0.2.1\trip={rip}\tlport=143\trport={rport}\tsecured=tls\tsession={session}\tnologin"
)
"""What Dovecot and Postfix send along; the same to every server that is compared."""

_connections = itertools.count()


@dataclass(frozen=True)
class Person:
    """One account, and what its user holds."""

    name: str
    app_password: str
    seed: bytes

    def with_app_password(self) -> str:
        return request(self.name, self.app_password)

    def with_code_alone(self, step: int) -> str:
        return request(self.name, otp.code_at(self.seed, step))

    def with_code(self, step: int) -> str:
        return request(self.name, PASSWORD + otp.code_at(self.seed, step))


@dataclass(frozen=True)
class Population:
    """An installation with people in it."""

    directory: Path
    config: Path
    socket: Path
    people: list[Person]


def request(name: str, secret: str) -> str:
    """Return a request as the driver takes it: the mechanism and what follows.

    Each has a port and a session of its own, as every connection of a client has; an account always comes from the
    same address.
    """
    number = next(_connections)
    parameters = PARAMETERS.format(rip=_address(name), rport=1024 + number % 60_000, session=f"Qx0a7zUz{number:07x}")
    response = base64.b64encode(f"\0{name}\0{secret}".encode()).decode()
    return f"PLAIN\t{parameters}\tresp={response}"


def _address(name: str) -> str:
    # Accounts come from networks of their own: what limits guesses by network must not slow the benchmark.
    return f"10.{IPv4Address(int(name[4:11])).exploded.split('.', 1)[1]}"


def make(directory: Path, size: int, kept: int) -> Population:
    """Make an installation with so many accounts, and return `kept` of its people, evenly spread."""
    directory.mkdir()
    directory.chmod(0o755)
    socket = directory / "auth.sock"
    strength = (f"password.argon2.{key}={value}" for key, value in ARGON2.items())
    config = install(directory, f'server.socket=[{{path="{socket}", mode="0666"}}]', *strength)
    configuration = loading.load(config)
    installation = wiring.build(configuration)
    try:
        ring = keyring.read(places.key_file(configuration))
        stored = hasher().hash(PASSWORD.encode())
        every = max(1, size // kept)
        people: list[Person] = []
        taken: set[str] = set()
        numbers = iter(range(1, size + 1))
        while chunk := list(itertools.islice(numbers, CHUNK)):
            made = list(_people(chunk, taken))
            with writing(installation.database) as connection:
                connection.execute(insert(tables.account), list(_accounts(chunk, made, stored)))
                connection.execute(insert(tables.totp), list(_authenticators(chunk, made, ring)))
                connection.execute(insert(tables.app_password), list(_app_passwords(chunk, made, ring)))
            people += [person for number, person in zip(chunk, made, strict=True) if number % every == 0]
    finally:
        installation.close()
    return Population(directory, config, socket, people[:kept])


def hasher() -> PasswordHasher:
    """Return a hasher of the real strength."""
    return PasswordHasher(ARGON2["time_cost"], ARGON2["memory_kib"], ARGON2["parallelism"])


def write_requests(path: Path, requests: Iterable[str]) -> Path:
    """Write requests for the driver."""
    path.write_text("".join(f"{line}\n" for line in requests))
    return path


def current_step() -> int:
    return otp.step_at(datetime.now(UTC))


def _people(numbers: list[int], taken: set[str]) -> Iterator[Person]:
    for number in numbers:
        while (password := app_password.generate(os.urandom))[: app_password.SELECTOR_CHARACTERS] in taken:
            pass
        taken.add(password[: app_password.SELECTOR_CHARACTERS])
        yield Person(f"user{number:07d}@mailitwize.be", password, os.urandom(otp.SEED_BYTES))


def _accounts(numbers: list[int], people: list[Person], stored: str) -> Iterator[dict[str, object]]:
    now = datetime.now(UTC)
    for number, person in zip(numbers, people, strict=True):
        yield {"id": number, "name": person.name, "password_hash": stored, "epoch": 0, "created_at": now}


def _authenticators(numbers: list[int], people: list[Person], ring: Keyring) -> Iterator[dict[str, object]]:
    now = datetime.now(UTC)
    for number, person in zip(numbers, people, strict=True):
        sealed = ring.seal(Purpose.TOTP_SEED, person.name, person.seed)
        yield {
            "account_id": number,
            "state": "active",
            "sealed_seed": sealed.blob,
            "key_id": sealed.key_id,
            "last_step": 0,
            "created_at": now,
            "confirmed_at": now,
        }


def _app_passwords(numbers: list[int], people: list[Person], ring: Keyring) -> Iterator[dict[str, object]]:
    now = datetime.now(UTC)
    for number, person in zip(numbers, people, strict=True):
        token = app_password.recognise(person.app_password.encode())
        assert token is not None
        yield {
            "account_id": number,
            "selector": token.selector,
            "key_id": ring.current_id,
            "digest": ring.mac(Purpose.APP_PASSWORD, person.name, token.selector, token.secret),
            "name": "benchmark",
            "services": "",
            "networks": "",
            "created_at": now,
        }
