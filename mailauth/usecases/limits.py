"""What the limiter holds against an account, what of it blocks a login, and its end. For administrators.

Counts nothing: that is the login's part (`login/ledger.py`). Works on threads, not on the event loop.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from mailauth.core import limiter, names
from mailauth.core.clock import Clock
from mailauth.core.limiter import Filling, Kinship, Limits, Tail
from mailauth.effects.store import accounts
from mailauth.effects.store import familiar_networks as networks
from mailauth.effects.store import limiter as buckets
from mailauth.effects.store.database import Database
from mailauth.effects.store.limiter import Reach
from mailauth.vocabulary.model import Account, Address, Network


class AccountLimits:
    """Looks at the limiter's buckets of accounts, and empties them."""

    def __init__(
        self, database: Database, limits: Limits, trusted: Sequence[Network], default_domain: str, clock: Clock
    ) -> None:
        self._database = database
        self._limits = limits
        self._trusted = trusted
        self._default_domain = default_domain
        self._clock = clock

    def fillings(self, name: str) -> tuple[Filling, ...]:
        """Return the buckets of an account, or of a name that is none, that are not empty. Raises InvalidName."""
        return tuple(self._filling(reach) for reach in self.levels(name))

    def levels(self, name: str) -> tuple[Reach, ...]:
        """Return the same as they are stored, by their keys. Raises InvalidName."""
        canonical = names.read(name, self._default_domain)

        def look(connection: Connection) -> tuple[Reach, ...]:
            found = accounts.load(connection, canonical)
            return buckets.levels(connection, canonical if found is None else found.name, self._clock())

        return self._database.read(look)

    def clear(self, name: str) -> int:
        """Forget what was counted against an account; return of how many buckets. Raises InvalidName."""
        keys = [reach.key for reach in self.levels(name)]
        self._database.write(lambda connection: buckets.clear(connection, keys))
        return len(keys)

    def blocking(self, connection: Connection, account: Account, client: Address | None) -> tuple[Filling, ...]:
        """Return the buckets that refuse a new guess now: of the account, or of a login to it from one client."""
        if client is None:
            found = self._fillings(connection, account.name)
        else:
            source, now = limiter.source_of(client, self._trusted), self._clock()
            familiarity = networks.find(connection, account.id, source.network)
            kinship = Kinship.STRANGE if familiarity is None else familiarity.kinship(account.epoch, now)
            by_tail = [
                limiter.draws(self._limits, account.name, account.epoch, source, kinship, tail)
                for tail in (Tail.CODE, Tail.RECOVERY_CODE)
            ]
            concerned = dict.fromkeys(
                bucket for draws in by_tail for bucket in draws.looked_at + draws.codes + draws.factors
            )
            reached = ((bucket, buckets.level(connection, bucket, now)) for bucket in concerned)
            found = tuple(limiter.filling(bucket, reach.until, now) for bucket, reach in reached if reach is not None)
        return tuple(one for one in found if one.blocked_until is not None)

    def _fillings(self, connection: Connection, account: str) -> tuple[Filling, ...]:
        return tuple(self._filling(reach) for reach in buckets.levels(connection, account, self._clock()))

    def _filling(self, reach: Reach) -> Filling:
        return limiter.filling(limiter.bucket_of(reach.key, self._limits, self._trusted), reach.until, self._clock())
