"""Grants that may be taken back: of logins whose password somebody else checks, who may find it wrong.

A code is spent before anybody is told that it was right. Where PAM modules behind ours then refuse the password,
our module says so under the token that it got along with the grant: the code is unspent again, and the wrong password
counts, also where no code was asked for. What is lost on the way leaves the code spent, and the password uncounted.
In this process only, bounded, for a minute.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from mailauth.core.engine import Effect
from mailauth.core.limiter import Familiarity, Meter
from mailauth.vocabulary.model import AccountName

LIFE = timedelta(seconds=60)
"""More than any application lets its user wait for the modules behind ours."""
HELD_FOR = timedelta(seconds=5)
"""How long a password that nothing but others' modules guard is waited for: pam_unix refuses one after 1 to 3 s."""
MAX_ENTRIES = 10_000
TOKEN_BYTES = 16


class Refund(NamedTuple):
    """What giving back undoes: what was spent, if anything, and when; what was remembered, what became familiar.

    `charged` is what a wrong password is charged to: undone with the grant, it is charged again. All but `held`, which
    is undone when nobody has refused the password for a moment: else as many guesses at once as the mail server has
    processes would conform to a limit that has room for one. `refused_digest` is that of a string of which
    nothing but the password was asked: it is no new guess when it is shown again.
    """

    account: AccountName
    account_id: int
    effect: Effect | None
    spent_at: datetime
    charged: tuple[Meter, ...]
    memory_digest: bytes
    noted_network: str | None
    familiarity_before: Familiarity | None
    refused_digest: bytes | None
    held: tuple[Meter, ...] = ()


class Refunds:
    """Tokens and what they give back. Each serves once. Used from several threads."""

    def __init__(self, draw: Callable[[int], bytes], max_entries: int = MAX_ENTRIES) -> None:
        self._draw = draw
        self._max_entries = max_entries
        self._entries: OrderedDict[str, Refund] = OrderedDict()
        self._held: OrderedDict[str, Refund] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self, release: Refund) -> str:
        """Return a new token; the oldest goes beyond the cap."""
        token = self._draw(TOKEN_BYTES).hex()
        with self._lock:
            self._entries[token] = release
            if release.held:
                self._held[token] = release
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
        return token

    def take(self, token: str, now: datetime) -> Refund | None:
        """Return what a token gives back, once; None for one that was used, is too old, or never was.

        What was held until now is not in its `charged`: that charge stands already.
        """
        with self._lock:
            found = self._entries.pop(token, None)
            if found is None or not timedelta(0) <= now - found.spent_at < LIFE:
                return None
            held = () if self._held.pop(token, None) is None else found.held
        return found._replace(charged=tuple(meter for meter in found.charged if meter not in held))

    def no_longer_held(self, now: datetime) -> tuple[Meter, ...]:
        """Return the meters, each once, whose charges were held until now."""
        let_go: list[Meter] = []
        with self._lock:
            while self._held:
                token, oldest = next(iter(self._held.items()))
                if timedelta(0) <= now - oldest.spent_at < HELD_FOR:
                    break
                del self._held[token]
                let_go += oldest.held
        return tuple(let_go)
