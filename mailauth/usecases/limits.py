"""What the limiter has counted against an account, what of it blocks a login, and how to clear it. For administrators.

Counts nothing: that is the login's part (`login/reservation.py`). Works on threads, not on the event loop.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from mailauth.core import limiter, names
from mailauth.core.clock import Clock
from mailauth.core.limiter import Kinship, Limits, Tail, Usage
from mailauth.effects.store import accounts, familiar_networks, meters
from mailauth.effects.store.database import Database
from mailauth.effects.store.meters import StoredTat
from mailauth.vocabulary.model import Account, Address, Network


class AccountLimits:
    """Shows and clears the limiter's meters of accounts."""

    def __init__(
        self, database: Database, limits: Limits, trusted: Sequence[Network], default_domain: str, clock: Clock
    ) -> None:
        self._database = database
        self._limits = limits
        self._trusted = trusted
        self._default_domain = default_domain
        self._clock = clock

    def usages(self, name: str) -> tuple[Usage, ...]:
        """Return how much is used of an account's limits; only those that are used. Raises InvalidName.

        Also for a name without an account: wrong logins to it count too.
        """
        return tuple(self._usage(stored) for stored in self.tats(name))

    def tats(self, name: str) -> tuple[StoredTat, ...]:
        """Return the same as it is stored: keys and TATs. Raises InvalidName."""
        canonical = names.read(name, self._default_domain)

        def look(connection: Connection) -> tuple[StoredTat, ...]:
            found = accounts.load(connection, canonical)
            return meters.tats(connection, canonical if found is None else found.name, self._clock())

        return self._database.read(look)

    def clear(self, name: str) -> int:
        """Forget what was counted against an account; return of how many meters. Raises InvalidName."""
        keys = [stored.key for stored in self.tats(name)]
        self._database.write(lambda connection: meters.clear(connection, keys))
        return len(keys)

    def blocking(self, connection: Connection, account: Account, client: Address | None) -> tuple[Usage, ...]:
        """Return the limits that refuse a new guess now: of the account, or of a login to it from one client."""
        if client is None:
            found = self._usages(connection, account.name)
        else:
            source, now = limiter.source_of(client, self._trusted), self._clock()
            familiarity = familiar_networks.find(connection, account.id, source.network)
            kinship = Kinship.STRANGE if familiarity is None else familiarity.kinship(account.epoch, now)
            by_tail = [
                limiter.attempt_meters(self._limits, account.name, account.epoch, source, kinship, tail)
                for tail in (Tail.CODE, Tail.RECOVERY_CODE)
            ]
            concerned = dict.fromkeys(
                meter for meters_of in by_tail for meter in meters_of.visible + meters_of.codes + meters_of.factors
            )
            stored = ((meter, meters.tat(connection, meter, now)) for meter in concerned)
            found = tuple(limiter.usage(meter, tat, now) for meter, tat in stored if tat is not None)
        return tuple(one for one in found if one.blocked_until is not None)

    def _usages(self, connection: Connection, account: str) -> tuple[Usage, ...]:
        return tuple(self._usage(stored) for stored in meters.tats(connection, account, self._clock()))

    def _usage(self, stored: StoredTat) -> Usage:
        return limiter.usage(limiter.meter_of(stored.key, self._limits, self._trusted), stored.tat, self._clock())
