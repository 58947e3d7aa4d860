"""Password hashes: making and checking them, in a bounded pool of threads. Other software's: `password_schemes.py`.

New hashes are argon2id (RFC 9106; t=2, m=19 MiB, p=1 as OWASP recommends), written with Dovecot's scheme
prefix, so that a table can be shared with Dovecot. A hash takes some 30 ms and 19 MiB, therefore there are as
many threads as cores and a cap on what may wait for them: a flood of guesses neither takes all memory nor
delays what needs no hash (requirement PW4).
"""

import os
from typing import Final

import argon2

from mailauth.core.services import PORTAL
from mailauth.effects import password_schemes
from mailauth.effects.pools import BoundedPool

SCHEME: Final = "{ARGON2ID}"
MAX_WAITING = 512
"""How many checks may wait: at 30 ms each on two cores, the last of these waits about 8 s, just in time."""


class PasswordHasher:
    """Makes and checks password hashes of one configured strength."""

    def __init__(self, time_cost: int, memory_kib: int, parallelism: int) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism, type=argon2.Type.ID
        )
        self._dummy = self.hash(os.urandom(16))

    def hash(self, password: bytes) -> str:
        """Return a new salted hash, with its scheme."""
        return SCHEME + self._argon2.hash(password)

    def verify(self, stored: str | None, password: bytes, name: str = "", default_scheme: str = "CRYPT") -> bool:
        """Tell whether a password is right; exactly one hash is computed, whatever the answer.

        None, for an account that is unknown or has no password, costs as much as a hash of ours and is never right.
        `name`: the account's, which one scheme hashes along. `default_scheme`: of what does not say its own. Raises
        HashUnreadable for what this installation cannot check.
        """
        is_right = password_schemes.matches(self._dummy if stored is None else stored, password, name, default_scheme)
        return is_right and stored is not None

    def is_ours(self, stored: str) -> bool:
        """Tell whether a stored hash is of the scheme that new ones have."""
        return stored.startswith(SCHEME)


NICER_BY = 5
"""A third of what others get of a busy core: what needs no hash, and the portal, are not to wait for those that do."""


class HashPool(BoundedPool):
    """Runs password checks beside the event loop, as many at once as there are cores; one more for the portal.

    On the day when tens of thousands of mail programs are refused, who sets up a second factor does not wait behind.
    """

    def __init__(self, threads: int | None = None, max_waiting: int = MAX_WAITING) -> None:
        super().__init__(threads or os.cpu_count() or 1, max_waiting, "password checks", nicer_by=NICER_BY)
        self._portal = BoundedPool(1, max_waiting, "password checks of the portal")

    def lane(self, service: str) -> BoundedPool:
        """Return where the checks for a service wait."""
        return self._portal if service == PORTAL else self

    def close(self, *, finish: bool = False) -> None:
        """Let running checks end, and those that wait as well if `finish`."""
        super().close(finish=finish)
        self._portal.close(finish=finish)
