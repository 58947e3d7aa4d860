"""Enrolment on the command line: an authenticator that waits in the account for its first code, and the reset.

The one before it works until then. Every change raises the account's epoch, which voids what was decided on the older
state, and is told to the account's owner by a mail that is queued in the same transaction. The portal's own is
`set_up.py`; what a right code puts in force is `authenticators.py`. Works on threads, not on the event loop.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from sqlalchemy import Connection

from mailauth.core import otp
from mailauth.core.clock import Clock
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.store import accounts, factors
from mailauth.effects.store.database import Database
from mailauth.usecases import authenticators, changing, recovery_address
from mailauth.usecases.accounts import find
from mailauth.usecases.authenticators import Authenticators, WrongCode
from mailauth.usecases.mailed_links import MailedLinks
from mailauth.usecases.notices import Notices
from mailauth.usecases.portal_sessions import Session
from mailauth.vocabulary.errors import NotEnrolled, NothingToConfirm
from mailauth.vocabulary.model import AccountName
from mailauth.vocabulary.notices import ADMINISTRATOR, NoticeKind, Origin
from mailauth.vocabulary.secret import Secret

PENDING_LIFE = timedelta(hours=1)
"""How long an enrolment waits for its first code; after that its secret may have been seen by anybody."""


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


class Enrolment:
    """Binds authenticators to accounts, and takes them away.

    `origin` says to the owner who did it. `in_session`: the session of the portal in which it was done goes on, while
    the account's other sessions end; where that one is over, SessionOver is raised and nothing is done.
    """

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        notices: Notices,
        links: MailedLinks,
        authenticators: Authenticators,
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
        self._authenticators = authenticators
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
        digits = authenticators.digits(code)
        now = self._clock()

        def confirm(connection: Connection) -> Confirmed | WrongCode:
            found = find(connection, account, self._default_domain)
            pending = factors.pending(connection, found.id)
            if pending is None or now - pending.created_at > PENDING_LIFE:
                raise NothingToConfirm(f"no enrolment of {found.name} waits for a code; begin one first")
            seed = self._keyring.unseal(Purpose.TOTP_SEED, found.name, pending.sealed)
            match = authenticators.first_match(seed, digits, now)
            if isinstance(match, WrongCode):
                return match
            self._authenticators.put_in_force(connection, found, seed, match.step, origin, now)
            accounts.raise_epoch(connection, found.id)
            return Confirmed(found.name)

        return self._database.write(confirm)

    def reset(self, account: str, origin: Origin = ADMINISTRATOR, in_session: Session | None = None) -> AccountName:
        """Take an account's authenticator and recovery codes away, for a fresh enrolment. Raises NotEnrolled.

        And its recovery address: somebody else may have set it, and the next codes would go there.
        """
        now = self._clock()

        def reset(connection: Connection) -> AccountName:
            found = changing.whose_state(connection, account, in_session, self._default_domain)
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

    def enrolled_at(self, account: str) -> datetime | None:
        """Return since when the account's authenticator is in force; None where it has none."""
        return self._database.read(
            lambda connection: factors.enrolled_at(connection, find(connection, account, self._default_domain).id)
        )
