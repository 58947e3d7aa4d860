"""When a refusal may be told, so that its time says nothing of what was computed for it. Pure.

Where passwords are checked in several ways, one check takes longer than another. A floor under the time of each
refusal hides that of a single one. Of many at once the sum shows, since they wait for the same cores; therefore
refusals to one client, and those of one name, leave a floor apart, however soon they are ready.
"""

from collections import OrderedDict
from collections.abc import Iterable

MAX_KEYS = 8192
"""Of how many clients and names the last refusal is remembered; the oldest go first."""


class RefusalTimes:
    """The moments at which refusals leave, in seconds of a monotonic clock.

    `floor_s`: how soon after its receipt one may leave, and how far they are apart; 0 hides and delays nothing.
    `longest_s`: how long one is kept back at most.
    """

    def __init__(self, floor_s: float, longest_s: float) -> None:
        self._floor_s = floor_s
        self._longest_s = max(floor_s, longest_s)
        self._last: OrderedDict[str, float] = OrderedDict()

    def alone(self, received_at: float) -> float:
        """Return when one may leave for which nothing was computed."""
        return received_at + self._floor_s

    def next(self, received_at: float, keys: Iterable[str]) -> float:
        """Return when one may leave, and keep the next ones of these keys away from it.

        `keys`: of whom others would show how long this one took, as its client and the name that was presented.
        """
        if not self._floor_s:
            return received_at
        keys = tuple(keys)
        due = max(received_at, *(self._last.get(key, received_at) for key in keys)) + self._floor_s
        due = min(due, received_at + self._longest_s)
        for key in keys:
            self._last[key] = max(due, self._last.get(key, due))
            self._last.move_to_end(key)
        while len(self._last) > MAX_KEYS:
            self._last.popitem(last=False)
        return due
