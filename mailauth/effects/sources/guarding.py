"""What stands between logins and a source that may be slow, hung or away: a few threads, a deadline, a breaker.

A source that hangs takes its own threads and nothing else. After some failures in a row it is not asked for a while,
then by one login, whose answer decides. "No answer" is a value (`Unanswered`), never a wrong password.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

from mailauth.core.breaker import Breaker
from mailauth.core.password_chain import Unanswered
from mailauth.effects.pools import BoundedPool
from mailauth.vocabulary.errors import HashUnreadable, MailauthError, Overloaded, SourceUnavailable, StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_WAITING: Final = 512


class SourceGuard:
    """Asks one source, on its threads. `timeout_s`: for one question, the wait for a thread among it."""

    def __init__(
        self, source: str, threads: int, timeout_s: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.source = source
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._pool = BoundedPool(threads, MAX_WAITING, f"questions to {source}")
        self.breaker = Breaker()

    async def ask(self, question: Callable[[], T]) -> T | Unanswered:
        """Return what a question comes to. It says by SourceUnavailable that there is no answer."""
        if not self.breaker.lets_through(self._monotonic()):
            return Unanswered(self.source, SourceUnavailable(f"{self.source} did not answer a moment ago"))
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._pool.run(question)
        except asyncio.CancelledError:
            self.breaker.unheard()
            raise
        except TimeoutError:
            return self._failed(SourceUnavailable(f"{self.source} gave no answer within {self._timeout_s:g} s"))
        except SourceUnavailable as error:
            return self._failed(error)
        except (Overloaded, HashUnreadable, StoreUnavailable) as error:  # not the source's own trouble
            self.breaker.unheard()
            return Unanswered(self.source, error)
        if self.breaker.answered():
            log.info("%s answers again", self.source)
        return answer

    def _failed(self, error: MailauthError) -> Unanswered:
        if self.breaker.failed(self._monotonic()):
            log.error("%s is not asked for %g s: %s", self.source, self.breaker.open_s, error)
        return Unanswered(self.source, error)

    def close(self) -> None:
        """Let running questions end."""
        self._pool.close()
