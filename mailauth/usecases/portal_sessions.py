"""The portal's sessions: who sits at a browser, as a cookie says and the database knows.

A cookie's value is 256 random bits; the database keeps a keyed digest of it. A session ends by itself when it is
idle or old, and at once with any change of the account's password, factors or state, but for the session in which
the change was made. It proves who somebody is and decides nothing: what may be changed, and after which proof, is
for the pages that ask for it. Works on threads, not on the event loop, but for the tokens against forged forms.
"""

import base64
import hmac
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from mailauth.core import user_agent
from mailauth.core.clock import Clock
from mailauth.core.login_memory import network_of
from mailauth.effects import session_bound
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.store import accounts, remembered_logins, sessions
from mailauth.effects.store.database import Database
from mailauth.effects.store.sessions import NewSession, StoredSession
from mailauth.vocabulary.errors import AccountUnknown, NotProved, SessionOver
from mailauth.vocabulary.model import Account, AccountName, Credential, Granted
from mailauth.vocabulary.notices import Origin

COOKIE_BYTES = 32
TOUCH_EVERY = timedelta(seconds=30)
"""How old the note of a session's last use has to be before a click renews it: not every page needs a write."""
CLOCK_SLACK = timedelta(minutes=1)
"""How far a clock may be set back without ending the sessions that were opened just before."""

_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")
_BOTH_FACTORS = frozenset({Credential.PASSWORD_AND_CODE, Credential.PASSWORD_AND_RECOVERY_CODE})


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in to the portal, and what their account is and holds at this moment.

    `proved_at`: when `credential` was given last. `id` stays the same where the cookie is renewed; `digest`, the
    cookie's, does not, and is what every change is bound to: a database may give an id again.
    """

    id: int
    digest: bytes
    account_id: int
    account: AccountName
    epoch: int
    language: str | None
    is_enrolled: bool
    is_exempt: bool
    credential: Credential
    proved_at: datetime
    created_at: datetime
    recovery_codes_left: int
    recovery_address: str | None


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One line of the list of an account's sessions."""

    created_at: datetime
    last_seen_at: datetime
    network: str
    agent: str
    is_this: bool


class PortalSessions:
    """Opens, finds, renews and ends sessions."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        idle: timedelta,
        life: timedelta,
        clock: Clock,
        draw: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._idle = idle
        self._life = life
        self._clock = clock
        self._draw = draw

    def open(self, granted: Granted, origin: Origin, language: str | None = None) -> str:
        """Open a session for who has just logged in; return its cookie's value.

        `granted`: the verdict on that login. `language`: of the page that they logged in on. Their mails are in it,
        until they choose one.
        Raises AccountUnknown where the account is gone or disabled by now, and NotProved where what was given does
        not suffice for it: an enrolled account takes both factors (requirement WEB5), and nothing but the password
        stands in for them elsewhere. Nor does a verdict suffice that the account has changed since: the session
        would be good for hours by a password, or without a factor, that has been replaced in between.
        """
        account, credential = granted.account, granted.credential
        cookie, now = self.new_cookie(self._draw), self._clock()

        def add(connection: Connection) -> None:
            found = accounts.load(connection, account)
            if found is None or found.disabled:
                raise AccountUnknown(f"there is no account {account} that could log in")
            if credential not in _BOTH_FACTORS and (found.totp is not None or credential is not Credential.PASSWORD):
                raise NotProved(f"{credential} does not open a session of {account}")
            if found.epoch != granted.epoch:
                raise NotProved(f"{account} has changed since the verdict that was to open a session of it")
            new = NewSession(
                account_id=found.id,
                digest=self._digest(cookie),
                epoch=found.epoch,
                credential=credential,
                **_where(origin),
                created_at=now,
                proved_at=now,
                last_seen_at=now,
            )
            session_id = sessions.add(connection, new)
            if granted.remembered_as is not None:
                ours = session_bound.digest(self._keyring, granted.remembered_as, session_id)
                remembered_logins.copy(connection, granted.remembered_as, ours)
            if language is not None:
                accounts.suggest_language(connection, found.id, language)

        self._database.write(add)
        return cookie

    def load(self, cookie: str) -> Session | None:
        """Return the session of a cookie; None where there is none (any more).

        It is over when it was idle or is old, and when the account was changed, disabled or removed.
        """
        if not _COOKIE.fullmatch(cookie):
            return None
        now = self._clock()
        found = self._database.read(lambda connection: sessions.find(connection, self._digests(cookie)))
        if found is None or not self._is_live(found, now):
            return None
        if now - found.last_seen_at >= TOUCH_EVERY:
            digest = found.digest
            self._database.write(lambda connection: sessions.touch(connection, digest, now), durable=False)
        return _session(found, now)

    def renew(self, session: Session, granted: Granted, origin: Origin) -> str:
        """Give a session a new cookie, after something was proved in it again; the old one serves no more.

        A password alone proves no factor: where the account is enrolled, what was proved, and when, stays as it was.
        Raises SessionOver, also where the verdict is on another state of the account than the session.
        """
        if (granted.account, granted.epoch) != (session.account, session.epoch):
            raise SessionOver(f"{session.account} has changed between its session and the verdict that renews it")
        credential = granted.credential
        cookie, now = self.new_cookie(self._draw), self._clock()
        values: dict[str, Any] = {"digest": self._digest(cookie), "last_seen_at": now, **_where(origin)}
        if credential in _BOTH_FACTORS or not session.is_enrolled:
            values |= {"credential": credential, "proved_at": now}
        if not self._database.write(
            lambda connection: sessions.renew(connection, session.digest, session.epoch, **values)
        ):
            raise SessionOver(f"a session of {session.account} is over")
        return cookie

    def carry_over(
        self, connection: Connection, session: Session, now: datetime, credential: Credential | None = None
    ) -> str:
        """Let a session, and no other of its account, outlive a change that is being made in it.

        To be called in the change's own transaction, before it raises the epoch, which it has to do once. Returns
        the session's new cookie. `credential`: what the change itself has proved. Raises SessionOver.
        """
        cookie = self.new_cookie(self._draw)
        values: dict[str, Any] = {"digest": self._digest(cookie), "epoch": session.epoch + 1, "last_seen_at": now}
        if credential is not None:
            values |= {"credential": credential, "proved_at": now}
        if not sessions.renew(connection, session.digest, session.epoch, **values):
            raise SessionOver(f"a session of {session.account} is over")
        sessions.remove_all(connection, session.account_id, but=session.id)
        return cookie

    def close(self, cookie: str) -> None:
        """End the session of a cookie, if there is one."""
        if _COOKIE.fullmatch(cookie):
            self._database.write(lambda connection: sessions.remove(connection, self._digests(cookie)))

    def all(self, session: Session) -> tuple[SessionSummary, ...]:
        """Return the account's sessions that are not over, those used last in front."""
        now = self._clock()
        found = self._database.read(lambda connection: sessions.of_account(connection, session.account_id))
        return tuple(
            SessionSummary(each.created_at, each.last_seen_at, each.network, each.agent, each.id == session.id)
            for each in found
            if self._is_live(each, now)
        )

    def csrf_token(self, cookie: str) -> str:
        """Return what a form has to bring along with a cookie (requirement WEB1). Touches no database."""
        return _written(self._keyring.mac(Purpose.CSRF, cookie))

    def csrf_is_right(self, cookie: str, token: str) -> bool:
        """Tell whether a form's token belongs to a cookie, by any key in the ring. Touches no database."""
        given = token.encode("utf-8", "replace")
        ring = self._keyring
        expected = [_written(ring.mac(Purpose.CSRF, cookie, key_id=key_id)).encode() for key_id in ring.ids]
        return any(hmac.compare_digest(given, each) for each in expected)

    @staticmethod
    def new_cookie(draw: Callable[[int], bytes] = os.urandom) -> str:
        """Return a cookie's value for who is not logged in; no row stands behind it."""
        return _written(draw(COOKIE_BYTES))

    def _is_live(self, found: StoredSession, now: datetime) -> bool:
        age, silence = now - found.created_at, now - found.last_seen_at
        return -CLOCK_SLACK <= age < self._life and -CLOCK_SLACK <= silence < self._idle

    def _digest(self, cookie: str) -> bytes:
        return self._keyring.mac(Purpose.PORTAL_SESSION, cookie)

    def _digests(self, cookie: str) -> list[bytes]:
        ring = self._keyring
        return [ring.mac(Purpose.PORTAL_SESSION, cookie, key_id=key_id) for key_id in ring.ids]


def account_of(connection: Connection, session: Session) -> Account:
    """Return a session's account, for a change that is being made in it.

    Raises SessionOver where the account is not what it was when the session was loaded: undone, disabled, removed.
    """
    found = accounts.load(connection, session.account)
    if found is None or found.disabled or (found.id, found.epoch) != (session.account_id, session.epoch):
        raise SessionOver(f"{session.account} has changed since this session was loaded")
    return found


def _session(found: StoredSession, now: datetime) -> Session:
    return Session(
        id=found.id,
        digest=found.digest,
        account_id=found.account_id,
        account=found.account,
        epoch=found.epoch,
        language=found.language,
        is_enrolled=found.is_enrolled,
        is_exempt=not found.is_enrolled and found.exempt_until is not None and now < found.exempt_until,
        credential=found.credential,
        proved_at=found.proved_at,
        created_at=found.created_at,
        recovery_codes_left=found.recovery_codes_left,
        recovery_address=found.recovery_address,
    )


def _where(origin: Origin) -> dict[str, str]:
    network = "" if origin.client is None else network_of(origin.client)
    return {"network": network, "agent": user_agent.words(origin.agent)}


def _written(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
