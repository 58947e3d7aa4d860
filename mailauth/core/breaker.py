"""When to stop asking somebody who does not answer. Pure: times are given, in seconds of a clock that is not set."""

FAILURES = 5
OPEN_S = 5.0


class Breaker:
    """Opens after so many failures in a row, for so long; then one is let through, whose answer decides."""

    def __init__(self, failures: int = FAILURES, open_s: float = OPEN_S) -> None:
        self.open_s = open_s
        self._most = failures
        self._failures = 0
        self._opened_at: float | None = None
        self._probed_at: float | None = None

    def lets_through(self, now: float) -> bool:
        """Tell whether to ask now. Where True is said to a probe, the next one has to wait for as long again."""
        if self._opened_at is None:
            return True
        if now - self._opened_at < self.open_s:
            return False
        if self._probed_at is not None and now - self._probed_at < self.open_s:
            return False
        self._probed_at = now
        return True

    def failed(self, now: float) -> bool:
        """Note that there was no answer; tell whether that opened it just now."""
        self._failures += 1
        was_open = self._opened_at is not None
        if self._failures < self._most:
            return False
        self._opened_at, self._probed_at = now, None
        return not was_open

    def answered(self) -> bool:
        """Note an answer; tell whether it was open until now."""
        was_open = self._opened_at is not None
        self._failures, self._opened_at, self._probed_at = 0, None, None
        return was_open

    def unheard(self) -> None:
        """Note that nobody knows whether there was an answer: the next one may ask at once."""
        self._probed_at = None
