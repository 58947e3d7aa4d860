"""Whether an account exists: what a mail server asks before it takes a message for somebody.

Nobody has shown a password, so nothing is checked, counted or logged as a login. A disabled account exists, and its
mail arrives; a removed one does not. An alias is answered by the account's own name, so that its mail lies in that
account's mailbox.

Spam asks for names that never were, all day: these are remembered for a minute, and all look-ups have a few threads
of their own, so that no login waits behind them. Must be used from one event loop.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from mailauth.core import names
from mailauth.effects.pools import BoundedPool
from mailauth.effects.store import accounts
from mailauth.effects.store.database import Database
from mailauth.vocabulary.errors import InvalidName, Overloaded, StoreUnavailable
from mailauth.vocabulary.model import AccountName

log = logging.getLogger(__name__)

THREADS = 2
MAX_WAITING = 512
UNKNOWN_FOR_S = 60.0
"""How long a name that does not exist is answered from memory: so late may a new account's mail arrive."""
MAX_UNKNOWN = 10_000
"""Names: a few megabytes. Beyond, the oldest are asked for again."""


@dataclass(frozen=True, slots=True)
class Exists:
    """There is such an account, and this is its name."""

    account: AccountName


class Unknown:
    """There is none, and none may have this name where it is not even a name."""


class LookupUnanswered:
    """Nobody can tell now. Never "unknown": mail would bounce."""


LookupAnswer = Exists | Unknown | LookupUnanswered


class Lookups:
    """Tells whether accounts exist."""

    def __init__(
        self, database: Database, default_domain: str, deadline_s: float, monotonic: Callable[[], float]
    ) -> None:
        self._database = database
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
                account = await self._pool.run(lambda: self._load(name))
        except (StoreUnavailable, Overloaded, TimeoutError) as error:
            log.error("whether %s exists cannot be said: %s", name, error or "no answer by the deadline")
            return LookupUnanswered()
        if account is None:
            self._remember_unknown(name)
            return Unknown()
        return Exists(account)

    def close(self) -> None:
        """Let running look-ups end."""
        self._pool.close()

    def _load(self, name: AccountName) -> AccountName | None:
        return self._database.read(lambda connection: accounts.named(connection, name))

    def _remember_unknown(self, name: AccountName) -> None:
        self._unknown[name] = self._monotonic() + UNKNOWN_FOR_S
        self._unknown.move_to_end(name)
        if len(self._unknown) > MAX_UNKNOWN:
            self._unknown.popitem(last=False)
