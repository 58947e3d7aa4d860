"""App passwords: one for each device, made, listed and revoked, on the command line as in the portal.

Each change is told to the account's owner by a mail that is queued in the same transaction. They raise no epoch: what
one device may do says nothing of the others. Verifies nothing; that is `login/verifier.py`. Works on threads, not on
the event loop.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailauth.core import alphabet, app_password
from mailauth.core.clock import Clock
from mailauth.core.services import checked
from mailauth.effects.keyring import Keyring, Purpose
from mailauth.effects.store import app_passwords
from mailauth.effects.store.app_passwords import NewAppPassword
from mailauth.effects.store.database import Database
from mailauth.usecases import changing
from mailauth.usecases.accounts import find
from mailauth.usecases.mailed_links import MailedLinks
from mailauth.usecases.notices import Notices
from mailauth.usecases.portal_sessions import Session
from mailauth.usecases.shutting_out import replace_links
from mailauth.vocabulary.errors import InvalidValue, TooMany, TooManyToday
from mailauth.vocabulary.model import AccountName, AppPassword, Network
from mailauth.vocabulary.notices import ADMINISTRATOR, NoticeKind, Origin

MAX_DEVICE_NAME = 100
MAX_MADE_A_DAY = 50
"""In the portal: its owner is mailed about each, made or revoked, and no script is to fill their mailbox."""
_A_DAY = timedelta(days=1)


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


class AppPasswords:
    """Makes, lists and revokes app passwords.

    `origin` says to the owner who did it. `in_session`: the session of the portal in which it was done; where that one
    is over, SessionOver is raised and nothing is done.
    """

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        notices: Notices,
        links: MailedLinks,
        default_domain: str,
        clock: Clock,
        draw: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._notices = notices
        self._links = links
        self._default_domain = default_domain
        self._clock = clock
        self._draw = draw

    def make(
        self,
        account: str,
        name: str,
        services: tuple[str, ...] = (),
        networks: tuple[Network, ...] = (),
        expires_at: datetime | None = None,
        origin: Origin = ADMINISTRATOR,
        in_session: Session | None = None,
    ) -> MadeAppPassword:
        """Make an app password for a device. Raises InvalidValue; TooMany at the cap; in a session TooManyToday."""
        name = name.strip()
        if not is_device_name(name):
            raise InvalidValue(
                f"a device's name has 1 to {MAX_DEVICE_NAME} printable characters, a letter or digit among them"
            )
        allowed = frozenset(checked(service) for service in services)
        now = self._clock()
        if expires_at is not None and expires_at <= now:
            raise InvalidValue("the expiry lies in the past")

        def add(connection: Connection) -> MadeAppPassword:
            found = changing.whose(connection, account, in_session, self._default_domain)
            if app_passwords.count_live(connection, found.id, now) >= app_password.CAP_PER_ACCOUNT:
                raise TooMany(
                    f"{found.name} has {app_password.CAP_PER_ACCOUNT} app passwords, which is the most; "
                    "revoke one that is not used any more"
                )
            if (
                in_session is not None
                and app_passwords.count_made(connection, found.id, now - _A_DAY) >= MAX_MADE_A_DAY
            ):
                raise TooManyToday(f"{found.name} has made {MAX_MADE_A_DAY} app passwords within a day")
            token, parts = new_token(connection, self._draw)
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

    def all(self, account: str) -> tuple[AppPassword, ...]:
        """Return an account's app passwords, revoked ones as well, without their secrets."""
        return self._database.read(
            lambda connection: app_passwords.of_account(connection, find(connection, account, self._default_domain).id)
        )

    def revoke(
        self,
        account: str,
        app_password_id: int | None,
        origin: Origin = ADMINISTRATOR,
        in_session: Session | None = None,
    ) -> int:
        """Revoke one app password of an account, or (None) all of them. Raises InvalidValue where none is live."""
        now = self._clock()

        def revoke(connection: Connection) -> int:
            found = changing.whose(connection, account, in_session, self._default_domain)
            revoked = app_passwords.revoke(connection, found.id, app_password_id, now)
            if revoked:
                names, undoing = list(revoked), replace_links(connection, self._links, found.id, origin, now)
                kind = NoticeKind.APP_PASSWORD_REVOKED
                self._notices.tell(connection, found.id, kind, origin, now, names=names, **undoing)
                return len(revoked)
            which = "no live app password" if app_password_id is None else f"no live app password {app_password_id}"
            raise InvalidValue(f"{found.name} has {which}; see: mailauth app-password list {found.name}")

        return self._database.write(revoke)


def is_device_name(name: str) -> bool:
    """Tell whether a name can be listed and mailed: accents and signs alone, on nothing, are not seen there."""
    return len(name) <= MAX_DEVICE_NAME and name.isprintable() and any(each.isalnum() for each in name)


def new_token(connection: Connection, draw: Callable[[int], bytes]) -> tuple[str, app_password.Token]:
    """Return a new app password and its parts, under a selector that nobody has."""
    while True:
        token = app_password.generate(draw)
        parts = app_password.recognise(token.encode("ascii"))
        if parts is not None and not app_passwords.selector_is_taken(connection, parts.selector):
            return token, parts
