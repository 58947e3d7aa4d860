"""What owners are told of logins that were refused though the password was right.

Either somebody has the password and lacks the code (requirement FAC2), or a mail app of the owner's still sends the
password alone; the owner is told which, with what to do. Noted on the event loop, told by a thread a moment later:
the time of a reply says nothing of it. Counts are in memory, so that a restart forgets those of the last day.
"""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from mailauth.core.services import PORTAL
from mailauth.effects.store import accounts
from mailauth.effects.store.database import Database
from mailauth.usecases.notices import Notices
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import AccountName, Attempt, Denied, Reason
from mailauth.vocabulary.notices import NoticeKind, Origin

log = logging.getLogger(__name__)

WRONG_CODES = 3
"""How many wrong codes with the right password, within `WITHIN`, are no typing mistake any more."""
WITHIN = timedelta(hours=24)
"""Long, since who has the password and patience spreads the tries: two an hour would be 48 a day, never told."""
MAX_ACCOUNTS = 4096
"""How many accounts are counted for at once; those that were quiet longest go first."""
MAX_WAITING = 1000

_ALONE = frozenset({Reason.NOT_ENROLLED, Reason.CODE_MISSING})
_WRONG_CODE = frozenset(
    {Reason.CODE_WRONG, Reason.CODE_REPLAYED, Reason.CODE_REPLAYED_BY_SAME_CLIENT, Reason.RECOVERY_CODE_WRONG}
)


class _Seen(NamedTuple):
    account: AccountName
    reason: Reason
    origin: Origin
    at: datetime


class LoginNotices:
    """Counts refusals with a right password, and queues what their owners are told: each thing once a day at most."""

    def __init__(self, database: Database, notices: Notices) -> None:
        self._database = database
        self._notices = notices
        self._waiting: deque[_Seen] = deque(maxlen=MAX_WAITING)
        self._flushing = threading.Lock()
        self._wrong_codes: OrderedDict[AccountName, deque[datetime]] = OrderedDict()

    def note(self, attempt: Attempt, denied: Denied, now: datetime) -> None:
        """Note a refusal. Cheap; called on the event loop."""
        # Where others check the password, nobody here knows whether it was right.
        if denied.password_was_right and denied.account is not None and not attempt.second_factor_only:
            origin = Origin(attempt.service, attempt.client, attempt.agent)
            self._waiting.append(_Seen(denied.account, denied.reason, origin, now))

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

    def _told(self, seen: _Seen) -> int:
        # In the portal, who forgets the code is not helped by words about mail apps.
        if seen.reason in _ALONE and seen.origin.service != PORTAL:
            is_enrolled = seen.reason is Reason.CODE_MISSING
            return self._tell(seen, NoticeKind.PASSWORD_ALONE_REFUSED, {"is_enrolled": is_enrolled})
        if seen.reason not in _WRONG_CODE | _ALONE:
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

    def _tell(self, seen: _Seen, kind: NoticeKind, facts: Mapping[str, Any]) -> int:
        with self._database.writing() as connection:
            account = accounts.load(connection, seen.account)
            if account is None:
                return 0
            once_key = f"{kind} {account.id} {seen.at.astimezone(UTC).date().isoformat()}"
            try:
                return self._notices.tell(
                    connection, account.id, kind, seen.origin, seen.at, once_key=once_key, **facts
                )
            except InvalidValue as error:
                log.warning("an owner cannot be told of a refused login: %s", error)
                return 0
