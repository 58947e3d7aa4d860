"""What the limiter holds against an account now, and what of it blocks a login. For administrators; counts nothing."""

from collections.abc import Sequence

from sqlalchemy import Connection

from mailauth.core import limiter, names
from mailauth.core.clock import Clock
from mailauth.core.limiter import Filling, Kinship, Limits, Tail
from mailauth.effects.store import accounts
from mailauth.effects.store import familiar_networks as networks
from mailauth.effects.store import limiter as buckets
from mailauth.effects.store.database import Database
from mailauth.vocabulary.model import Account, Address, Network


class Throttle:
    """Looks at the limiter's buckets."""

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
        canonical = names.read(name, self._default_domain)

        def fillings(connection: Connection) -> tuple[Filling, ...]:
            found = accounts.load(connection, canonical)
            return self._fillings(connection, canonical if found is None else found.name)

        return self._database.read(fillings)

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
        now = self._clock()
        return tuple(
            limiter.filling(limiter.bucket_of(reach.key, self._limits, self._trusted), reach.until, now)
            for reach in buckets.levels(connection, account, now)
        )
