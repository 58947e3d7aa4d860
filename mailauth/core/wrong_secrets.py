"""Wrong passwords that a source was asked about: of which it need not be asked again, and when it must not be.

A directory locks an account after so many wrong passwords, and a phone with an old one sends it every few minutes: the
same secret is not passed on twice from one network. And a guesser must not lock an account there: only so many wrong
ones are passed on in half an hour, the last few of them from networks alone that the account has logged in from. Pure:
times are given, in seconds of a clock that is not set. What is kept is bounded; the oldest accounts are forgotten
first.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

SAME_FOR_S: Final = 600.0
COUNTED_FOR_S: Final = 1800.0
FOR_THE_FAMILIAR: Final = 2
MAX_ACCOUNTS: Final = 20_000
MAX_SECRETS: Final = 64
"""Of one account; more guesses than that are asked again."""


@dataclass(slots=True)
class _Wrong:
    """Of one account at one source: when secrets were wrong, and which, by digest."""

    at: deque[float] = field(default_factory=deque)
    digests: OrderedDict[bytes, float] = field(default_factory=OrderedDict)


class WrongSecrets:
    """Remembers them by source and account; either is part of `whose`."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[tuple[str, str], _Wrong] = OrderedDict()

    def note(self, whose: tuple[str, str], digest: bytes, now: float) -> None:
        """Note that a source has just called a secret wrong."""
        wrong = self._wrong.setdefault(whose, _Wrong())
        self._wrong.move_to_end(whose)
        wrong.at.append(now)
        wrong.digests[digest] = now
        wrong.digests.move_to_end(digest)
        while len(wrong.digests) > MAX_SECRETS:
            wrong.digests.popitem(last=False)
        while len(self._wrong) > MAX_ACCOUNTS:
            self._wrong.popitem(last=False)

    def is_known(self, whose: tuple[str, str], digest: bytes, now: float) -> bool:
        """Tell whether the source has called this secret wrong in the last ten minutes."""
        wrong = self._wrong.get(whose)
        at = None if wrong is None else wrong.digests.get(digest)
        return at is not None and now - at < SAME_FOR_S

    def may_ask(self, whose: tuple[str, str], limit: int, now: float, *, is_familiar: bool) -> bool:
        """Tell whether one more may be wrong; with a limit of 0 any number may."""
        wrong = self._wrong.get(whose)
        if limit == 0 or wrong is None:
            return True
        while wrong.at and now - wrong.at[0] >= COUNTED_FOR_S:
            wrong.at.popleft()
        return len(wrong.at) < (limit if is_familiar else max(1, limit - FOR_THE_FAMILIAR))

    def forget(self, whose: tuple[str, str]) -> None:
        """Forget what was wrong before a right one: the source counts anew as well."""
        self._wrong.pop(whose, None)
