"""What owners are told of logins that were refused though the password was right.

Either somebody has the password and lacks the code (requirement FAC2), or a mail app of the owner's still sends the
password alone; the owner is told which, with what to do. Noted on the event loop, told by a thread a moment later:
the time of a reply says nothing of it. Counts are in memory, so that a restart forgets those of the last day.

While the limit of guesses at an account is used up no mail says that one was half right: whoever reads the mailbox by
an app password would learn which of a thousand it was. The log has it, and one line about many wrong codes.

A string that was accepted, and that its own device presents again, alarms nobody: a web mail whose login memory has
run out, a client that stored the code, a device that changes its address between two connections.
"""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection

from mailauth.core.services import PORTAL
from mailauth.effects.store import accounts, outbox
from mailauth.effects.store.database import Database
from mailauth.usecases.notices import Notices
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import AccountName, Ask, Attempt, Denied, Hint, Unavailable, Verdict
from mailauth.vocabulary.notices import NoticeKind, Origin
from mailauth.vocabulary.reasons import Reason, WhyDenied, WhyGranted

log = logging.getLogger(__name__)

WRONG_CODES = 3
"""How many wrong codes with the right password, within `WITHIN`, are no typing mistake any more."""
WITHIN = timedelta(hours=24)
"""Long, since who has the password and patience spreads the tries: two an hour would be 48 a day, never told."""
TOLD_AGAIN_AFTER = timedelta(hours=24)
"""After the last mail about the same: by the calendar, two mails could come within minutes, at midnight."""
SAME_DEVICE_FOR = timedelta(minutes=1)
"""How long after an accepted code its repetition from another address is taken for the same device's: one that has
IPv4 and IPv6, or that leaves a wireless network."""
WITHHELD_CODES = 10
"""How many of them, while the limit of guesses is used up, are a line in the log."""
MAX_ACCOUNTS = 4096
"""How many accounts are counted for at once; those that were quiet longest go first."""
MAX_WAITING = 1000

_ALONE = frozenset({WhyDenied.NOT_ENROLLED, WhyDenied.CODE_MISSING})
_WRONG_CODE = frozenset(
    {WhyDenied.CODE_WRONG, WhyDenied.CODE_NOT_JUDGED, WhyDenied.CODE_REPLAYED, WhyDenied.RECOVERY_CODE_WRONG}
)
_GUESSED_CODE = frozenset({WhyDenied.CODE_WRONG, WhyDenied.CODE_NOT_JUDGED})


class _SeenLogin(NamedTuple):
    account: AccountName
    reason: Reason
    hint: Hint | None
    origin: Origin
    at: datetime


class LoginNotices:
    """Counts refusals with a right password, and queues what their owners are told: each thing once in 24 hours."""

    def __init__(self, database: Database, notices: Notices) -> None:
        self._database = database
        self._notices = notices
        self._waiting: deque[_SeenLogin] = deque(maxlen=MAX_WAITING)
        self._flushing = threading.Lock()
        self._wrong_codes: OrderedDict[AccountName, deque[datetime]] = OrderedDict()
        self._withheld_codes: OrderedDict[AccountName, int] = OrderedDict()
        self._accepted: OrderedDict[AccountName, datetime] = OrderedDict()

    def note(self, attempt: Attempt, verdict: Verdict, now: datetime) -> None:
        """Note a login. Cheap; called on the event loop."""
        # Where others check the password, nobody here knows whether it was right.
        if verdict.account is None or attempt.ask is Ask.SECOND_FACTOR:
            return
        if isinstance(verdict, Denied):
            if verdict.password_was_right or verdict.hint is not None:
                origin = Origin(attempt.service, attempt.client, attempt.agent)
                self._waiting.append(_SeenLogin(verdict.account, verdict.reason, verdict.hint, origin, now))
        elif isinstance(verdict, Unavailable):
            if verdict.withheld is not None and verdict.withheld.reason in _GUESSED_CODE:
                self._log_withheld(verdict.account)
        elif verdict.reason is WhyGranted.SECOND_FACTOR_GIVEN:
            self._accepted[verdict.account] = now
            self._accepted.move_to_end(verdict.account)
            if len(self._accepted) > MAX_ACCOUNTS:
                self._accepted.popitem(last=False)

    def flush(self) -> int:
        """Queue what has to be told of what was noted; return how many mails. Raises StoreUnavailable."""
        count = 0
        with self._flushing:
            while self._waiting:
                seen = self._waiting.popleft()
                try:
                    count += self._told(seen)
                except BaseException:
                    self._waiting.appendleft(seen)
                    raise
        return count

    def _told(self, seen: _SeenLogin) -> int:
        if seen.hint is Hint.CODE_SET_APART and seen.origin.service != PORTAL:
            return self._tell(seen, NoticeKind.CODE_SET_APART, {})
        # In the portal, who forgets the code is not helped by words about mail apps.
        if seen.reason in _ALONE and seen.origin.service != PORTAL:
            is_enrolled = seen.reason is WhyDenied.CODE_MISSING
            return self._tell(seen, NoticeKind.PASSWORD_ALONE_REFUSED, {"is_enrolled": is_enrolled})
        if seen.reason not in _WRONG_CODE | _ALONE or self._is_same_device(seen):
            return 0
        times = self._wrong_codes.setdefault(seen.account, deque(maxlen=WRONG_CODES))
        self._wrong_codes.move_to_end(seen.account)
        if len(self._wrong_codes) > MAX_ACCOUNTS:
            self._wrong_codes.popitem(last=False)
        times.append(seen.at)
        if len(times) < WRONG_CODES or seen.at - times[0] > WITHIN:
            return 0
        facts = {"count": len(times), "since": times[0].astimezone(UTC).isoformat()}
        return self._tell(seen, NoticeKind.RIGHT_PASSWORD_WRONG_CODE, facts)

    def _log_withheld(self, account: AccountName) -> None:
        count = self._withheld_codes.pop(account, 0) + 1
        if count == WITHHELD_CODES:
            log.warning("many wrong codes with a right password while the account is full: %s", account)
        self._withheld_codes[account] = count
        if len(self._withheld_codes) > MAX_ACCOUNTS:
            self._withheld_codes.popitem(last=False)

    def _is_same_device(self, seen: _SeenLogin) -> bool:
        accepted_at = self._accepted.get(seen.account)
        if seen.reason is not WhyDenied.CODE_REPLAYED or accepted_at is None:
            return False
        return abs(seen.at - accepted_at) < SAME_DEVICE_FOR

    def _tell(self, seen: _SeenLogin, kind: NoticeKind, facts: Mapping[str, Any]) -> int:
        def tell(connection: Connection) -> int:
            account = accounts.load(connection, seen.account)
            if account is None:
                return 0
            about = f"{kind} {account.id} "
            if outbox.was_told(connection, about, seen.at - TOLD_AGAIN_AFTER, seen.at + TOLD_AGAIN_AFTER):
                return 0
            once_key = about + seen.at.astimezone(UTC).isoformat()
            try:
                return self._notices.tell(
                    connection, account.id, kind, seen.origin, seen.at, once_key=once_key, **facts
                )
            except InvalidValue as error:
                log.warning("an owner cannot be told of a refused login: %s", error)
                return 0

        return self._database.write(tell)
