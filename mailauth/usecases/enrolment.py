"""Binding an authenticator to an account, and what comes with it: recovery codes and app passwords.

A new authenticator is pending until its first code was right; the one before it works until then. Every change
raises the account's epoch, which voids what was decided on the older state. Works on threads, not on the
event loop.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailauth.core import alphabet, app_password, otp, recovery
from mailauth.core.clock import Clock
from mailauth.core.services import checked
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.store import accounts, app_passwords, factors
from mailauth.effects.store.app_passwords import NewAppPassword
from mailauth.effects.store.database import Database
from mailauth.usecases.accounts import find
from mailauth.vocabulary.errors import InvalidValue, NotEnrolled, NothingToConfirm, TooMany
from mailauth.vocabulary.model import AccountName, AppPassword, Network
from mailauth.vocabulary.secret import Secret

PENDING_LIFE = timedelta(hours=1)
"""How long an enrolment waits for its first code; after that its secret may have been seen by anybody."""
MAX_DEVICE_NAME = 100


@dataclass(frozen=True, slots=True)
class PendingEnrolment:
    """What an authenticator app needs: the seed in base32, and the same as a URI to scan."""

    account: AccountName
    secret: str
    uri: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The authenticator is in force; the code that proved it is spent."""

    account: AccountName


@dataclass(frozen=True, slots=True)
class WrongCode:
    """The code proved nothing. `steps_off` says by how much the app's clock is off, where that explains it."""

    account: AccountName
    steps_off: int | None


@dataclass(frozen=True, slots=True)
class MadeAppPassword:
    """A new app password, the only time that it is in the clear; `shown` is grouped for people."""

    id: int
    account: AccountName
    name: str
    password: str
    services: tuple[str, ...]
    networks: tuple[str, ...]
    expires_at: datetime | None

    @property
    def shown(self) -> str:
        """The app password in groups of four; the dashes don't matter when it is typed."""
        return alphabet.grouped(self.password)


class Enrolment:
    """Changes to what an account holds as second factors."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        issuer: str,
        default_domain: str,
        clock: Clock,
        draw: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._issuer = issuer
        self._default_domain = default_domain
        self._clock = clock
        self._draw = draw

    def begin(self, account: str) -> PendingEnrolment:
        """Make a new seed for an account and wait for its first code. What was in force stays in force."""
        seed = self._draw(otp.SEED_BYTES)
        with self._database.writing() as connection:
            found = find(connection, account, self._default_domain)
            sealed = self._keyring.seal(Purpose.TOTP_SEED, found.name, seed)
            factors.set_pending(connection, found.id, sealed, self._clock())
        return PendingEnrolment(found.name, otp.base32(seed), otp.uri(seed, found.name, self._issuer))

    def confirm(self, account: str, code: Secret) -> Confirmed | WrongCode:
        """Put the pending authenticator in force if a code of it is right. The code is spent with that.

        Spaces in the code don't matter. A wrong code changes nothing. Raises NothingToConfirm.
        """
        typed = code.reveal().replace(b" ", b"").replace(b"-", b"").strip()
        now = self._clock()
        with self._database.writing() as connection:
            found = find(connection, account, self._default_domain)
            pending = factors.pending(connection, found.id)
            if pending is None or now - pending.created_at > PENDING_LIFE:
                raise NothingToConfirm(f"no enrolment of {found.name} waits for a code; begin one first")
            seed = self._keyring.unseal(Purpose.TOTP_SEED, found.name, pending.sealed)
            match = otp.match(seed, typed, now, last_step=0)
            if match is None:
                return WrongCode(found.name, otp.drift(seed, typed, now))
            factors.activate(connection, found.id, pending.id, match.step, now)
            accounts.raise_epoch(connection, found.id)
        return Confirmed(found.name)

    def reset(self, account: str) -> AccountName:
        """Take an account's authenticator and recovery codes away, for a fresh enrolment. Raises NotEnrolled."""
        with self._database.writing() as connection:
            found = find(connection, account, self._default_domain)
            if not factors.remove_totp(connection, found.id):
                raise NotEnrolled(f"{found.name} has no authenticator")
            factors.void_recovery_codes(connection, found.id, self._clock())
            accounts.raise_epoch(connection, found.id)
        return found.name

    def issue_recovery_codes(self, account: str) -> tuple[AccountName, tuple[str, ...]]:
        """Make a new set of recovery codes, grouped for people, and void the old set. Raises NotEnrolled."""
        codes = recovery.generate_set(self._draw)
        with self._database.writing() as connection:
            found = find(connection, account, self._default_domain)
            if found.totp is None:
                raise NotEnrolled(
                    f"{found.name} has no authenticator that a recovery code could stand in for; enrol it first"
                )
            digests = [self._keyring.mac(Purpose.RECOVERY_CODE, found.name, code) for code in codes]
            now = self._clock()
            factors.issue_recovery_codes(connection, found.id, self._keyring.current_id, digests, now)
            accounts.raise_epoch(connection, found.id)
        return found.name, tuple(alphabet.grouped(code) for code in codes)

    def recovery_codes_left(self, account: str) -> int:
        """Return how many recovery codes of an account still work."""
        with self._database.reading() as connection:
            return factors.recovery_codes_left(connection, find(connection, account, self._default_domain).id)

    def add_app_password(
        self,
        account: str,
        name: str,
        services: tuple[str, ...] = (),
        networks: tuple[Network, ...] = (),
        expires_at: datetime | None = None,
    ) -> MadeAppPassword:
        """Make an app password for a device. Raises InvalidValue, or TooMany at the cap."""
        name = name.strip()
        if not name or len(name) > MAX_DEVICE_NAME or not name.isprintable():
            raise InvalidValue(f"a device's name has 1 to {MAX_DEVICE_NAME} printable characters")
        allowed = frozenset(checked(service) for service in services)
        now = self._clock()
        if expires_at is not None and expires_at <= now:
            raise InvalidValue("the expiry lies in the past")
        with self._database.writing() as connection:
            found = find(connection, account, self._default_domain)
            if app_passwords.count_live(connection, found.id) >= app_password.CAP_PER_ACCOUNT:
                raise TooMany(
                    f"{found.name} has {app_password.CAP_PER_ACCOUNT} app passwords, which is the most; "
                    "revoke one that is not used any more"
                )
            while True:
                token = app_password.generate(self._draw)
                parts = app_password.recognise(token.encode("ascii"))
                if parts is not None and not app_passwords.selector_is_taken(connection, parts.selector):
                    break
            digest = self._keyring.mac(Purpose.APP_PASSWORD, found.name, parts.selector, parts.secret)
            new = NewAppPassword(
                selector=parts.selector,
                key_id=self._keyring.current_id,
                digest=digest,
                name=name,
                services=allowed,
                networks=networks,
                created_at=now,
                expires_at=expires_at,
            )
            row_id = app_passwords.add(connection, found.id, new)
        return MadeAppPassword(
            id=row_id,
            account=found.name,
            name=name,
            password=token,
            services=tuple(sorted(allowed)),
            networks=tuple(str(network) for network in networks),
            expires_at=expires_at,
        )

    def app_passwords(self, account: str) -> tuple[AppPassword, ...]:
        """Return an account's app passwords, revoked ones as well, without their secrets."""
        with self._database.reading() as connection:
            return app_passwords.of_account(connection, find(connection, account, self._default_domain).id)

    def revoke_app_password(self, account: str, app_password_id: int | None) -> int:
        """Revoke one app password of an account, or (None) all of them. Raises InvalidValue where none is live."""
        with self._database.writing() as connection:
            found = find(connection, account, self._default_domain)
            count = app_passwords.revoke(connection, found.id, app_password_id, self._clock())
        if count == 0:
            which = "no live app password" if app_password_id is None else f"no live app password {app_password_id}"
            raise InvalidValue(f"{found.name} has {which}; see: mailauth app-password list {found.name}")
        return count
