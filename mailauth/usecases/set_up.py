"""Enrolment in the portal: a seed that waits in the session for its first code, and what belongs to a right one.

Until then nothing of the account has changed: the authenticator before it works, and leaving half way leaves nothing
behind. The seed is sealed to its session, is the same in every tab of it, lives no longer than ten minutes, and is
not replaced by an error. After each proof of who it is for it is shown once: who comes to a browser that was left in
the middle finds no secret there. Works on threads, not on the event loop.
"""

import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from sqlalchemy import Connection

from mailauth.core import limiter, otp
from mailauth.core.clock import Clock
from mailauth.effects.keyring import Keyring, Purpose, Sealed
from mailauth.effects.store import accounts, factors, familiar_networks, sessions
from mailauth.effects.store.database import Database
from mailauth.effects.store.sessions import Pending
from mailauth.usecases import authenticators
from mailauth.usecases.authenticators import Authenticators, WrongCode
from mailauth.usecases.portal_sessions import PortalSessions, Session, account_of
from mailauth.usecases.recovery_codes import RecoveryCodes
from mailauth.vocabulary.errors import NothingToConfirm, SessionOver
from mailauth.vocabulary.model import Account, Credential
from mailauth.vocabulary.notices import Origin
from mailauth.vocabulary.secret import Secret

PENDING_LIFE = timedelta(minutes=10)
"""Requirement WEB4: a QR code that was left on a screen is nobody's any more."""
MAX_TRIES = 10
TRIES_PAUSE = timedelta(minutes=1)
"""After so many wrong codes, and for so long, none is looked at."""


@dataclass(frozen=True, slots=True)
class PendingSetUp:
    """What an authenticator app needs: the seed in base32, and the same as a URI to scan. Until when it waits.

    `label`: what the app will call it. `sight`: what a page that shows it brings along with its form, to show it again
    beside a mistake.
    """

    secret: str
    uri: str
    expires_at: datetime
    sight: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class ShownBefore:
    """An authenticator waits for a code until a moment, and has been shown; to see it again takes a new proof."""

    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SetUpDone:
    """The authenticator is in force; the code that proved it is spent.

    `cookie`: the session's new one. `codes`: recovery codes, grouped for people, after a first enrolment. Where an
    authenticator was replaced there are none: the ones that the user has keep working.
    """

    cookie: str
    codes: tuple[str, ...]
    is_replacement: bool


@dataclass(frozen=True, slots=True)
class CodeUsed:
    """The code has put the authenticator in force already: the form was sent twice."""


@dataclass(frozen=True, slots=True)
class TooManyTries:
    """So many codes were wrong that none is looked at until a moment."""

    until: datetime


class SetUp:
    """Binds authenticators in sessions."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        sessions: PortalSessions,
        authenticators: Authenticators,
        recovery_codes: RecoveryCodes,
        issuer: str,
        clock: Clock,
        zone: tzinfo = UTC,
        draw: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._sessions = sessions
        self._authenticators = authenticators
        self._recovery_codes = recovery_codes
        self._issuer = issuer
        self._clock = clock
        self._zone = zone
        self._draw = draw

    def begin(self, session: Session) -> PendingSetUp:
        """Return what waits in the session; a new seed where nothing does, or what did has waited too long.

        For who has just proved who they are: it may be shown once. Raises SessionOver.
        """
        now = self._clock()

        def begin(connection: Connection) -> PendingSetUp:
            account_of(connection, session)
            before = sessions.pending(connection, session.digest)
            if before is None or _is_over(before, now):
                sealed = self._keyring.seal(Purpose.PENDING_SEED, _place(session), self._draw(otp.SEED_BYTES))
                old = None if before is None else before.sealed
                # Where another tab was quicker, its seed is the one that waits.
                sessions.set_pending(connection, session.digest, sealed, now, instead_of=old)
                before = sessions.pending(connection, session.digest)
            sessions.let_show(connection, session.digest)
            if before is None:
                raise SessionOver(f"a session of {session.account} is over")
            return self._shown(connection, session, before)

        return self._database.write(begin)

    def pending(self, session: Session) -> PendingSetUp | None:
        """Return what waits in the session for a code, or None."""

        def pending(connection: Connection) -> PendingSetUp | None:
            found = sessions.pending(connection, session.digest)
            if found is None or _is_over(found, self._clock()):
                return None
            return self._shown(connection, session, found)

        return self._database.read(pending)

    def show(self, session: Session) -> PendingSetUp | ShownBefore | None:
        """Return what waits in the session for a code, for a page: with its secret once after each proof."""
        now = self._clock()

        def show(connection: Connection) -> PendingSetUp | ShownBefore | None:
            found = sessions.pending(connection, session.digest)
            if found is None or _is_over(found, now):
                return None
            if not sessions.show(connection, session.digest, found.sealed, now):
                return ShownBefore(found.begun_at + PENDING_LIFE)
            return self._shown(connection, session, found)

        return self._database.write(show)

    def show_again(self, session: Session, sight: str) -> PendingSetUp | ShownBefore | None:
        """Return the same for a page that comes back with a mistake: with its secret if the page had it before."""
        found = self.pending(session)
        if found is None or hmac.compare_digest(found.sight.encode(), sight.encode("utf-8", "replace")):
            return found
        return ShownBefore(found.expires_at)

    def cancel(self, session: Session) -> None:
        """Forget what waits in the session, if anything does."""

        def cancel(connection: Connection) -> None:
            found = sessions.pending(connection, session.digest)
            if found is not None:
                sessions.take_pending(connection, session.digest, found.sealed)

        self._database.write(cancel)

    def confirm(
        self, session: Session, code: Secret, origin: Origin
    ) -> SetUpDone | WrongCode | CodeUsed | TooManyTries:
        """Put what waits in force if a code of it is right, in one transaction with all that belongs to it.

        The code is spent; a first enrolment issues recovery codes; every other session ends, and this one goes on
        under a new cookie; the owner is told. A wrong code is counted, and changes nothing else. Spaces and dashes in
        it don't matter. Raises NothingToConfirm, SessionOver.
        """
        digits, now = authenticators.digits(code), self._clock()

        def confirm(connection: Connection) -> SetUpDone | WrongCode | CodeUsed | TooManyTries:
            try:
                account = account_of(connection, session)
            except SessionOver:
                if self._was_spent(connection, session, digits, now):
                    return CodeUsed()
                raise
            waiting = sessions.pending(connection, session.digest)
            if waiting is None or _is_over(waiting, now):
                raise NothingToConfirm(f"no set-up of {session.account} waits for a code; begin one first")
            tries = _tries(waiting, now)
            if tries >= MAX_TRIES and waiting.tried_at is not None:
                return TooManyTries(waiting.tried_at + TRIES_PAUSE)
            seed = self._keyring.unseal(Purpose.PENDING_SEED, _place(session), waiting.sealed)
            match = authenticators.first_match(seed, digits, now)
            if isinstance(match, WrongCode):
                sessions.count_try(connection, session.digest, tries + 1, now)
                return match
            if not sessions.take_pending(connection, session.digest, waiting.sealed):
                return CodeUsed()
            return self._put_in_force(connection, session, account, seed, match.step, origin, now)

        return self._database.write(confirm)

    def _put_in_force(
        self,
        connection: Connection,
        session: Session,
        account: Account,
        seed: bytes,
        step: int,
        origin: Origin,
        now: datetime,
    ) -> SetUpDone:
        is_replacement = account.totp is not None
        cookie = self._sessions.carry_over(connection, session, now, Credential.PASSWORD_AND_CODE)
        if not accounts.raise_epoch_from(connection, account.id, session.epoch):
            raise SessionOver(f"{session.account} was changed while its set-up was confirmed")
        if origin.client is not None:  # both factors were right here: strangers elsewhere are not to lock it out
            network = limiter.source_of(origin.client, ()).network
            familiar_networks.note(connection, account.id, session.epoch + 1, network, now, by_both=True)
        self._authenticators.put_in_force(connection, account, seed, step, origin, now)
        codes = () if is_replacement else self._recovery_codes.put_first_set_in_force(connection, account, origin, now)
        return SetUpDone(cookie, codes, is_replacement)

    def _was_spent(self, connection: Connection, session: Session, code: bytes, now: datetime) -> bool:
        """Tell whether a code is the one that the authenticator in force was proved with, or an older one of it."""
        found = accounts.load(connection, session.account)
        if found is None or found.totp is None or found.id != session.account_id:
            return False
        sealed = Sealed(found.totp.key_id, found.totp.sealed_seed)
        seed = self._keyring.unseal(Purpose.TOTP_SEED, found.name, sealed)
        match = otp.match(seed, code, now, found.totp.last_step, found.totp.parameters)
        return match is not None and not match.unspent

    def _shown(self, connection: Connection, session: Session, pending: Pending) -> PendingSetUp:
        seed = self._keyring.unseal(Purpose.PENDING_SEED, _place(session), pending.sealed)
        in_force_since = factors.enrolled_at(connection, session.account_id)
        label = otp.label(session.account, pending.begun_at, in_force_since, self._zone)
        uri = otp.uri(seed, label, self._issuer)
        sight = self._keyring.mac(Purpose.CSRF, "sight", _place(session), pending.sealed.blob).hex()
        return PendingSetUp(otp.base32(seed), uri, pending.begun_at + PENDING_LIFE, sight, label)


def _place(session: Session) -> str:
    """Return what a waiting seed is bound to: in another row, or with another account, it doesn't open."""
    return f"{session.account} {session.id}"  # no account's name has a space


def _is_over(pending: Pending, now: datetime) -> bool:
    return not -PENDING_LIFE < now - pending.begun_at < PENDING_LIFE


def _tries(pending: Pending, now: datetime) -> int:
    """Return how many wrong codes of this session count by now: none once the pause, or long, has passed."""
    if pending.tried_at is None:
        return 0
    counts_for = TRIES_PAUSE if pending.tries >= MAX_TRIES else PENDING_LIFE
    return pending.tries if now - pending.tried_at < counts_for else 0
