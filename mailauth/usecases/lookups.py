"""Whether an account exists: what a mail server asks before it takes a message for somebody.

Nobody has shown a password, so nothing is checked, counted or logged as a login. A disabled account exists, and its
mail arrives; a removed one does not. An alias is answered by the account's own name, so that its mail lies in that
account's mailbox. Whom mailauth does not know yet the password sources are asked about; a source that has no look-up
may know anybody, so that its users are "try again later" until they have logged in once.

Spam asks for names that never were, all day: these are remembered for a minute, and all look-ups have a few threads
of their own, so that no login waits behind them. Must be used from one event loop.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from sqlalchemy import Connection

from mailauth.core import names, service_copy
from mailauth.core.password_chain import NotLookedUp, Unanswered, UnknownUser
from mailauth.core.source_entry import Asked, SourceEntry
from mailauth.effects.pools import BoundedPool
from mailauth.effects.store import accounts, service_copies
from mailauth.effects.store.database import Database
from mailauth.usecases.login.password_check import PasswordCheck
from mailauth.vocabulary.errors import InvalidName, Overloaded, SourceUnavailable, StoreUnavailable
from mailauth.vocabulary.model import AccountName

log = logging.getLogger(__name__)

THREADS = 2
MAX_WAITING = 512
UNKNOWN_FOR_S = 60.0
"""How long a name that does not exist is answered from memory: so late may a new account's mail arrive."""
_SERVICE = "lmtp"
"""For which a site's own look-up is asked."""
MAX_UNKNOWN = 10_000
"""Names: a few megabytes. Beyond, the oldest are asked for again."""


@dataclass(frozen=True, slots=True)
class Exists:
    """There is such an account; `user` is what mail servers call it, `fields` what else its source says for them."""

    user: str
    fields: tuple[tuple[str, str], ...] = ()


class Unknown:
    """There is none, and none may have this name where it is not even a name."""


class LookupUnanswered:
    """Nobody can tell now. Never "unknown": mail would bounce."""


LookupAnswer = Exists | Unknown | LookupUnanswered


class Lookups:
    """Tells whether accounts exist."""

    def __init__(
        self,
        database: Database,
        passwords: PasswordCheck,
        default_domain: str,
        deadline_s: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._default_domain = default_domain
        self._deadline_s = deadline_s
        self._monotonic = monotonic
        self._pool = BoundedPool(THREADS, MAX_WAITING, "look-ups of existence")
        self._unknown: OrderedDict[AccountName, float] = OrderedDict()

    async def find(self, presented: str) -> LookupAnswer:
        """Return whether there is an account of this name, by the deadline; raises nothing."""
        try:
            name = names.read(presented, self._default_domain)
        except InvalidName:
            return Unknown()
        if self._unknown.get(name, 0.0) > self._monotonic():
            return Unknown()
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await self._find(name)
        except (StoreUnavailable, SourceUnavailable, Overloaded, TimeoutError) as error:
            log.error("whether %s exists cannot be said: %s", name, error or "no answer by the deadline")
            return LookupUnanswered()
        if isinstance(answer, Unknown):
            self._remember_unknown(name)
        return answer

    async def _find(self, name: AccountName) -> Exists | Unknown:
        user = await self._pool.run(lambda: self._load(name))
        if user is not None:
            return user
        found = await self._passwords.find(Asked(name, _SERVICE))
        match found:
            case SourceEntry(name=own_name, reply_name=reply_name):
                return Exists(reply_name or own_name, _without_secrets(found.fields))
            case UnknownUser():
                return Unknown()
            case Unanswered(error=error):
                raise error
            case NotLookedUp(source=source):
                raise SourceUnavailable(f"{source} has no look-up, and {name} has not logged in yet")
            case _:
                assert_never(found)

    def close(self) -> None:
        """Let running look-ups end."""
        self._pool.close()

    def _load(self, name: AccountName) -> Exists | None:
        def load(connection: Connection) -> Exists | None:
            user = accounts.user_named(connection, name)
            if user is None:
                return None
            copies = service_copies.of_account(connection, user.id) if user.has_source else ()
            return Exists(user.name, _without_secrets(service_copy.fields(copies, _SERVICE)))

        return self._database.read(load)

    def _remember_unknown(self, name: AccountName) -> None:
        self._unknown[name] = self._monotonic() + UNKNOWN_FOR_S
        self._unknown.move_to_end(name)
        if len(self._unknown) > MAX_UNKNOWN:
            self._unknown.popitem(last=False)


def _without_secrets(fields: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return what is said without a login: not by which password a proxy logs in."""
    return tuple((name, value) for name, value in fields if name not in ("pass", "master"))
