"""Login activity: from where, with what and how an account is logged in to, for its owner to recognise.

Logins are counted in memory, on the event loop, at the price of one look-up, and written down in batches a moment
later: a process that is killed loses the last second of it, and nothing is ever decided by it. What looks the same
(service, network, client, credential, reason, app password) is one row with a count. Names that are no account's are
not kept. `flush` and what reads work on threads.

Whoever tries without end fills no list in which somebody else's login would be lost: those that were let in are listed
apart from the others, which are counted together where they are many.
"""

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from mailauth.core import user_agent
from mailauth.core.login_memory import network_of
from mailauth.effects.store import accounts, login_activity
from mailauth.effects.store.database import Database
from mailauth.effects.store.login_activity import LoginKind, StoredActivity
from mailauth.usecases.crowds import Crowds, Seen
from mailauth.vocabulary.model import AccountName, Address, Attempt, Credential, Granted, Verdict
from mailauth.vocabulary.reasons import Reason, WhyGranted, WhyUnavailable

log = logging.getLogger(__name__)

EVERY_S = 1.0
"""How often what was seen is written down."""
MAX_WAITING = 10_000
"""How many different logins may wait for that; more in a second would be a flood, of which nobody wants a list."""
KEPT_FOR = timedelta(days=90)
MAX_ROWS = 200
"""Of an account, for logins that were let in, and again for all others."""
REFUSED_SHOWN = 10
"""Places that refused logins came from; more are counted together."""

Outcome = Literal["granted", "passed-on", "denied", "unavailable"]
"""Passed on: nothing was missing here, and others had still to check the password."""

_PASSED_ON = frozenset({Credential.NOTHING, Credential.CODE_ONLY, Credential.RECOVERY_CODE_ONLY})

_GRANTED = frozenset(WhyGranted)
_UNAVAILABLE = frozenset(WhyUnavailable)


@dataclass(frozen=True, slots=True)
class LoginSeen:
    """Logins that look the same: `count` of them between `first_at` and `last_at`. Empty `network`: not known."""

    service: str
    network: str
    agent: str
    credential: str
    outcome: Outcome
    reason: str
    app_password_id: int | None
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Refusals:
    """Logins that came to nothing: by service and network, the last in front, and how many came from other places."""

    shown: tuple[LoginSeen, ...]
    others: int


_Key = tuple[AccountName, str, Address | None, str, str, Reason, int]
"""Account, service, client, its own words, credential, reason, app password. Bare: one is made at each login."""


class _Times:
    """How often something was seen, and when first and last. Changed in place, at each login."""

    __slots__ = ("first_at", "last_at", "logins")

    def __init__(self, now: datetime) -> None:
        self.logins = 1
        self.first_at = self.last_at = now


class Activity:
    """Counts logins, and tells what was seen."""

    def __init__(self, database: Database, crowds: Crowds) -> None:
        self._database = database
        self._crowds = crowds
        self._waiting: dict[_Key, _Times] = {}
        self._lost = 0
        self._flushing = threading.Lock()

    def note(self, attempt: Attempt, verdict: Verdict, now: datetime) -> None:
        """Count a login in. Cheap; called on the event loop for every one."""
        account = verdict.account
        if account is None:
            return
        credential: str
        if isinstance(verdict, Granted):
            credential, app_password_id = verdict.credential, verdict.app_password_id or 0
        else:
            credential, app_password_id = "", 0
        key = (account, attempt.service, attempt.client, attempt.agent, credential, verdict.reason, app_password_id)
        times = self._waiting.get(key)
        if times is not None:
            times.logins += 1
            times.last_at = now
        elif len(self._waiting) < MAX_WAITING or isinstance(verdict, Granted):
            self._waiting[key] = _Times(now)
        else:
            self._lost += 1

    def flush(self) -> int:
        """Write down what was counted, and return how much. Raises StoreUnavailable; nothing is lost then."""
        with self._flushing:
            batch, self._waiting = self._waiting, {}
            lost, self._lost = self._lost, 0
            if lost:
                log.warning("login activity: more was seen than is kept; %d logins are in no list", lost)
            # A copy: the event loop may be counting in the old dictionary at this very moment.
            seen = list(batch.items())
            if not seen:
                return 0
            self._crowds.look(
                Seen(key[0], key[2], key[5], key[5] in _GRANTED, times.last_at)
                for key, times in seen
                if key[2] is not None
            )
            try:
                self._write_down(seen)
            except BaseException:
                for key, times in seen:
                    later = self._waiting.get(key)
                    if later is not None:
                        times.logins += later.logins
                        times.last_at = later.last_at
                    self._waiting[key] = times
                raise
            return len(seen)

    def _write_down(self, seen: Sequence[tuple[_Key, _Times]]) -> None:
        # Apart: names that are no account's must not keep writers waiting.
        ids = self._database.read(lambda connection: _ids(connection, {key[0] for key, _ in seen}))
        known = [(ids[key[0]], _stored(key, times)) for key, times in seen if key[0] in ids]
        if not known:
            return

        def write(connection: Connection) -> None:
            added = [login_activity.add(connection, account_id, activity) for account_id, activity in known]
            for account_id in {account_id for (account_id, _), is_new in zip(known, added, strict=True) if is_new}:
                login_activity.trim(connection, account_id, _GRANTED, MAX_ROWS)

        self._database.write(write, durable=False)

    def recent(self, account_id: int, limit: int) -> tuple[LoginSeen, ...]:
        """Return an account's logins, those seen last in front, refused ones as well."""
        found = self._database.read(lambda connection: login_activity.recent(connection, account_id, limit))
        return tuple(_seen(each) for each in found)

    def let_in(self, account_id: int, limit: int) -> tuple[LoginSeen, ...]:
        """Return an account's logins that were let in, or passed on, those seen last in front."""
        found = self._database.read(
            lambda connection: login_activity.recent(connection, account_id, limit, among=_GRANTED)
        )
        return tuple(_seen(each) for each in found)

    def refusals(self, account_id: int) -> Refusals:
        """Return an account's other logins, those that differ by client or reason alone counted together."""
        found = self._database.read(
            lambda connection: login_activity.recent(connection, account_id, 2 * MAX_ROWS, without=_GRANTED)
        )
        places: dict[tuple[str, str, str], LoginSeen] = {}
        others = 0
        for each in map(_seen, found):
            place = (each.service, each.network, each.outcome)
            if each.network == login_activity.ELSEWHERE or (place not in places and len(places) >= REFUSED_SHOWN):
                others += each.count
            elif place in places:
                last = places[place]
                agent = last.agent if last.agent == each.agent else ""
                first_at, count = min(last.first_at, each.first_at), last.count + each.count
                places[place] = replace(last, agent=agent, first_at=first_at, count=count)
            else:
                places[place] = each
        return Refusals(tuple(places.values()), others)

    def last_use(self, app_password_ids: Sequence[int]) -> dict[int, LoginSeen]:
        """Return the last login that each app password opened, by its id; those that opened none are not in it."""
        if not app_password_ids:
            return {}
        opened = {str(WhyGranted.APP_PASSWORD_GIVEN)}
        found = self._database.read(
            lambda connection: login_activity.of_app_passwords(connection, app_password_ids, opened)
        )
        last: dict[int, LoginSeen] = {}
        for each in found:
            last.setdefault(each.kind.app_password_id, _seen(each))
        return last


def _ids(connection: Connection, names: Iterable[AccountName]) -> dict[AccountName, int]:
    found = ((name, accounts.load(connection, name)) for name in names)
    return {name: account.id for name, account in found if account is not None}


def _stored(key: _Key, times: _Times) -> StoredActivity:
    _, service, client, words, credential, reason, app_password_id = key
    network = "" if client is None else network_of(client)
    kind = LoginKind(
        user_agent.words(service)[:32], network, user_agent.words(words), credential, reason, app_password_id
    )
    return StoredActivity(kind, times.logins, times.first_at, times.last_at)


def _seen(stored: StoredActivity) -> LoginSeen:
    kind = stored.kind
    outcome: Outcome = "denied"
    if kind.credential in _PASSED_ON:
        outcome = "passed-on"
    elif kind.reason in _GRANTED:
        outcome = "granted"
    elif kind.reason in _UNAVAILABLE:
        outcome = "unavailable"
    return LoginSeen(
        service=kind.service,
        network=kind.network,
        agent=kind.agent,
        credential=kind.credential,
        outcome=outcome,
        reason=kind.reason,
        app_password_id=kind.app_password_id or None,
        count=stored.logins,
        first_at=stored.first_at,
        last_at=stored.last_at,
    )
