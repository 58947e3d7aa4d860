"""Binding an authenticator to an account, and what comes with it: recovery codes and app passwords.

A new authenticator is pending until its first code was right; the one before it works until then. Every change
raises the account's epoch, which voids what was decided on the older state, and is told to the account's owner by a
mail that is queued in the same transaction. What the portal's own set-up does differently is in `set_up.py`. Works on
threads, not on the event loop.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from sqlalchemy import Connection

from mailauth.core import alphabet, app_password, limiter, otp, recovery, typed
from mailauth.core.clock import Clock
from mailauth.core.services import checked
from mailauth.effects import name_bound
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.store import accounts, app_passwords, factors, familiar_networks, sessions
from mailauth.effects.store.app_passwords import NewAppPassword
from mailauth.effects.store.database import Database
from mailauth.usecases import recovery_address
from mailauth.usecases.accounts import find
from mailauth.usecases.mailed_links import MailedLinks
from mailauth.usecases.notices import Notices
from mailauth.usecases.portal_sessions import Session, account_of
from mailauth.usecases.shutting_out import replace_links
from mailauth.vocabulary.errors import InvalidValue, NotEnrolled, NothingToConfirm, SessionOver, TooMany
from mailauth.vocabulary.model import Account, AccountName, AppPassword, Network
from mailauth.vocabulary.notices import ADMINISTRATOR, NoticeKind, Origin
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
    """Changes to what an account holds as second factors.

    `origin` says to the owner who did it. `in_session`: the session of the portal in which it was done goes on, while
    the account's other sessions end; where that one is over, SessionOver is raised and nothing is done.
    """

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        notices: Notices,
        links: MailedLinks,
        issuer: str,
        default_domain: str,
        clock: Clock,
        zone: tzinfo = UTC,
        draw: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._notices = notices
        self._links = links
        self._issuer = issuer
        self._default_domain = default_domain
        self._clock = clock
        self._zone = zone
        self._draw = draw

    def begin(self, account: str) -> PendingEnrolment:
        """Make a new seed for an account and wait for its first code. What was in force stays in force."""
        seed, now = self._draw(otp.SEED_BYTES), self._clock()

        def begin(connection: Connection) -> PendingEnrolment:
            found = find(connection, account, self._default_domain)
            sealed = self._keyring.seal(Purpose.TOTP_SEED, found.name, seed)
            factors.set_pending(connection, found.id, sealed, now)
            label = otp.label(found.name, now, factors.enrolled_at(connection, found.id), self._zone)
            return PendingEnrolment(found.name, otp.base32(seed), otp.uri(seed, label, self._issuer))

        return self._database.write(begin)

    def confirm(self, account: str, code: Secret, origin: Origin = ADMINISTRATOR) -> Confirmed | WrongCode:
        """Put the pending authenticator in force if a code of it is right. The code is spent with that.

        Spaces in the code don't matter. A wrong code changes nothing. Raises NothingToConfirm.
        """
        digits = typed.code(code.reveal().decode("utf-8", "replace")).encode()
        now = self._clock()

        def confirm(connection: Connection) -> Confirmed | WrongCode:
            found = find(connection, account, self._default_domain)
            pending = factors.pending(connection, found.id)
            if pending is None or now - pending.created_at > PENDING_LIFE:
                raise NothingToConfirm(f"no enrolment of {found.name} waits for a code; begin one first")
            seed = self._keyring.unseal(Purpose.TOTP_SEED, found.name, pending.sealed)
            match = otp.match(seed, digits, now, last_step=0)
            if match is None:
                return WrongCode(found.name, otp.drift(seed, digits, now))
            factors.activate(connection, found.id, pending.id, match.step, now)
            accounts.raise_epoch(connection, found.id)
            if found.totp is None:
                link = self._links.undo_enrolment(connection, found.id, now)
                self._notices.tell(connection, found.id, NoticeKind.AUTHENTICATOR_SET, origin, now, link=link)
            else:
                undoing = replace_links(connection, self._links, found.id, now)
                self._notices.tell(connection, found.id, NoticeKind.AUTHENTICATOR_REPLACED, origin, now, **undoing)
            return Confirmed(found.name)

        return self._database.write(confirm)

    def reset(self, account: str, origin: Origin = ADMINISTRATOR, in_session: Session | None = None) -> AccountName:
        """Take an account's authenticator and recovery codes away, for a fresh enrolment. Raises NotEnrolled.

        And its recovery address: somebody else may have set it, and the next codes would go there.
        """
        now = self._clock()

        def reset(connection: Connection) -> AccountName:
            found = self._found(connection, account, in_session)
            if not factors.remove_totp(connection, found.id):
                raise NotEnrolled(f"{found.name} has no authenticator")
            factors.void_recovery_codes(connection, found.id, now)
            self._links.void_undoing(connection, found.id, now)
            recovery_address.forget(connection, self._notices, found.id, origin, now)
            accounts.raise_epoch(connection, found.id)
            if found.totp is not None:
                self._notices.tell(connection, found.id, NoticeKind.AUTHENTICATOR_REMOVED, origin, now)
            return found.name

        return self._database.write(reset)

    def issue_recovery_codes(
        self, account: str, origin: Origin = ADMINISTRATOR, in_session: Session | None = None
    ) -> tuple[AccountName, tuple[str, ...]]:
        """Make a new set of recovery codes, grouped for people, and void the old set. Raises NotEnrolled."""
        codes = recovery.generate_set(self._draw)
        shown = tuple(alphabet.grouped(code) for code in codes)

        def issue(connection: Connection) -> AccountName:
            found = self._found(connection, account, in_session)
            if found.totp is None:
                raise NotEnrolled(
                    f"{found.name} has no authenticator that a recovery code could stand in for; enrol it first"
                )
            digests = [self._keyring.mac(Purpose.RECOVERY_CODE, found.name, code) for code in codes]
            now = self._clock()
            self._links.void_confirming(connection, found.id, now)
            had_some = factors.recovery_codes_left(connection, found.id) > 0  # a first set shuts nobody out
            undoing = replace_links(connection, self._links, found.id, now) if had_some else {}
            factors.issue_recovery_codes(connection, found.id, self._keyring.current_id, digests, now)
            if in_session is not None and origin.client is not None:
                network = limiter.source_of(origin.client, ()).network
                familiar_networks.carry_over(connection, found.id, found.epoch, network, now)
            accounts.raise_epoch(connection, found.id)
            facts: dict[str, Any] = {"codes": list(shown), "first": False, **undoing}
            self._notices.tell(connection, found.id, NoticeKind.RECOVERY_CODES, origin, now, **facts)
            return found.name

        return self._database.write(issue), shown

    def prove_recovery_code(self, account: str, code: Secret) -> bool:
        """Spend one recovery code of an account, which shows that its owner has kept them; False for a wrong one.

        Nothing is mailed: it is no login, and whoever does it has just been shown the codes.
        """
        folded = alphabet.fold(typed.code(code.reveal().decode("utf-8", "replace")).encode())
        now = self._clock()

        def prove_recovery_code(connection: Connection) -> bool:
            found = find(connection, account, self._default_domain)
            purpose = Purpose.RECOVERY_CODE
            digests = name_bound.digests(self._keyring, purpose, found.name, found.former_names, folded)
            row_id = factors.find_recovery_code(connection, found.id, digests)
            return row_id is not None and factors.spend_recovery_code(connection, found.id, row_id, found.epoch, now)

        return self._database.write(prove_recovery_code)

    def enrolled_at(self, account: str) -> datetime | None:
        """Return since when the account's authenticator is in force; None where it has none."""
        return self._database.read(
            lambda connection: factors.enrolled_at(connection, find(connection, account, self._default_domain).id)
        )

    def recovery_codes_left(self, account: str) -> int:
        """Return how many recovery codes of an account still work."""
        return self._database.read(
            lambda connection: factors.recovery_codes_left(
                connection, find(connection, account, self._default_domain).id
            )
        )

    def add_app_password(
        self,
        account: str,
        name: str,
        services: tuple[str, ...] = (),
        networks: tuple[Network, ...] = (),
        expires_at: datetime | None = None,
        origin: Origin = ADMINISTRATOR,
        in_session: Session | None = None,
    ) -> MadeAppPassword:
        """Make an app password for a device. Raises InvalidValue, or TooMany at the cap."""
        name = name.strip()
        if not name or len(name) > MAX_DEVICE_NAME or not name.isprintable():
            raise InvalidValue(f"a device's name has 1 to {MAX_DEVICE_NAME} printable characters")
        allowed = frozenset(checked(service) for service in services)
        now = self._clock()
        if expires_at is not None and expires_at <= now:
            raise InvalidValue("the expiry lies in the past")

        def add(connection: Connection) -> MadeAppPassword:
            found = self._found_as_seen(connection, account, in_session)
            if app_passwords.count_live(connection, found.id, now) >= app_password.CAP_PER_ACCOUNT:
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
            kind = NoticeKind.APP_PASSWORD_MADE
            self._notices.tell(connection, found.id, kind, origin, now, name=name, services=sorted(allowed))
            return MadeAppPassword(
                id=row_id,
                account=found.name,
                name=name,
                password=token,
                services=tuple(sorted(allowed)),
                networks=tuple(str(network) for network in networks),
                expires_at=expires_at,
            )

        return self._database.write(add)

    def app_passwords(self, account: str) -> tuple[AppPassword, ...]:
        """Return an account's app passwords, revoked ones as well, without their secrets."""
        return self._database.read(
            lambda connection: app_passwords.of_account(connection, find(connection, account, self._default_domain).id)
        )

    def revoke_app_password(
        self,
        account: str,
        app_password_id: int | None,
        origin: Origin = ADMINISTRATOR,
        in_session: Session | None = None,
    ) -> int:
        """Revoke one app password of an account, or (None) all of them. Raises InvalidValue where none is live."""
        now = self._clock()

        def revoke(connection: Connection) -> int:
            found = self._found_as_seen(connection, account, in_session)
            revoked = app_passwords.revoke(connection, found.id, app_password_id, now)
            if revoked:
                names, undoing = list(revoked), replace_links(connection, self._links, found.id, now)
                kind = NoticeKind.APP_PASSWORD_REVOKED
                self._notices.tell(connection, found.id, kind, origin, now, names=names, **undoing)
                return len(revoked)
            which = "no live app password" if app_password_id is None else f"no live app password {app_password_id}"
            raise InvalidValue(f"{found.name} has {which}; see: mailauth app-password list {found.name}")

        return self._database.write(revoke)

    def _found_as_seen(self, connection: Connection, account: str, in_session: Session | None) -> Account:
        """Return an account whose other sessions outlive the change; SessionOver where this one is over."""
        if in_session is None:
            return find(connection, account, self._default_domain)
        return account_of(connection, in_session)

    def _found(self, connection: Connection, account: str, in_session: Session | None) -> Account:
        """Return the account that is about to change, once, and let the session outlive that in which it is done."""
        found = find(connection, account, self._default_domain)
        if in_session is not None and (
            found.id != in_session.account_id
            or not sessions.renew(connection, in_session.digest, in_session.epoch, epoch=in_session.epoch + 1)
        ):
            raise SessionOver(f"a session of {in_session.account} is over")
        return found
