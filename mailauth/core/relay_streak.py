"""Whether the mail server that takes our mails has something against the recipients, or against us.

One recipient may not exist. Where several are refused for one and the same reason, and nobody's mail has been taken in
between, the reason is hardly theirs: a relay whose list of users is empty for an hour says "no such user" to
everybody. Pure; the outbox tells what happened and asks what to make of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

SEVERAL = 3
"""How many recipients that are refused alike are no coincidence."""
_MAX_REASONS = 100


class Refusal(NamedTuple):
    """That a mail was not taken. `reason` is what refusals alike have in common."""

    mail_id: int
    recipient: str
    reason: str


@dataclass(slots=True)
class RelayStreak:
    """What was refused since the relay took a mail."""

    _recipients: dict[str, set[str]] = field(default_factory=dict)
    _held: set[int] = field(default_factory=set)
    _proved: set[int] = field(default_factory=set)

    def note(self, *, accepted: bool, refused: Iterable[Refusal]) -> str | None:
        """Take what one round brought; return the reason for which everybody is refused, or None."""
        if accepted:
            self._recipients.clear()
            self._proved |= self._held
            self._held.clear()
            return None
        for refusal in refused:
            # A mail that is refused again, after others were taken, says nothing about the relay.
            if refusal.mail_id in self._proved or len(self._recipients) >= _MAX_REASONS:
                continue
            of_this_reason = self._recipients.setdefault(refusal.reason, set())
            if len(of_this_reason) < SEVERAL:
                of_this_reason.add(refusal.recipient)
        return next((reason for reason, each in self._recipients.items() if len(each) >= SEVERAL), None)

    def doubts(self, mail_id: int) -> bool:
        """Tell whether a refusal that is about the recipient is to be doubted, since others are refused alike.

        It is believed at a later try, if the relay has taken another mail by then.
        """
        if mail_id in self._proved:
            self._proved.discard(mail_id)
            return False
        self._held.add(mail_id)
        return True
