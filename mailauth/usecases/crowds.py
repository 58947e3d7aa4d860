"""Addresses that many accounts come from, said in the log: a gateway, a web mail host, a whole office.

All who sit behind one address share the limits by address, so that one device with an old password keeps everybody
there out; and a web mail host on the usual login memory ends its users' sessions after ten minutes. Both are mended by
a line of the configuration, which is named.

Fed with what login activity writes down each second, on its thread: a login costs nothing more. In memory, bounded; a
restart forgets.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from mailauth.core.login_memory import network_of
from mailauth.effects.log_lines import FIELDS
from mailauth.vocabulary.model import AccountName, Address, Network
from mailauth.vocabulary.reasons import Reason, WhyDenied, WhyUnavailable

log = logging.getLogger(__name__)

MANY = 10
"""So many accounts that were let in from one address are no household."""
FEW = 3
"""So many are enough where several of its accounts are kept waiting: that is the limit they share."""
RAN_OUT = 5
"""So many accounts whose login memory ran out at one address are no forgetful clients, but a web mail."""
WITHIN = timedelta(days=1)
SAID_AGAIN_AFTER = timedelta(days=1)
MAX_ADDRESSES = 4096
"""How many addresses are watched at once; those that were quiet longest go first."""


class Seen(NamedTuple):
    """A login of an account, from where, and what came of it."""

    account: AccountName
    client: Address
    reason: Reason
    was_let_in: bool
    at: datetime


@dataclass
class _Crowd:
    """When each account was last let in, kept waiting, or without its memory; none of them holds more than MANY."""

    let_in: dict[AccountName, datetime] = field(default_factory=dict)
    throttled: dict[AccountName, datetime] = field(default_factory=dict)
    ran_out: dict[AccountName, datetime] = field(default_factory=dict)
    said_at: dict[str, datetime] = field(default_factory=dict)


class Crowds:
    """Counts accounts by address, and says where they are many. `trusted`: networks that are known to be so."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted
        self._crowds: OrderedDict[str, _Crowd] = OrderedDict()

    def look(self, logins: Iterable[Seen]) -> None:
        """Count logins in, and log what follows."""
        for login in logins:
            network = network_of(login.client)
            crowd = self._crowds.setdefault(network, _Crowd())
            self._crowds.move_to_end(network)
            if len(self._crowds) > MAX_ADDRESSES:
                self._crowds.popitem(last=False)
            if login.was_let_in:
                _note(crowd.let_in, login)
            elif login.reason is WhyUnavailable.THROTTLED:
                _note(crowd.throttled, login)
            elif login.reason is WhyDenied.CODE_REPLAYED_BY_SAME_CLIENT:
                _note(crowd.ran_out, login)
            else:
                continue
            self._say(network, crowd, login)

    def _say(self, network: str, crowd: _Crowd, login: Seen) -> None:
        count, is_waiting = len(crowd.let_in), len(crowd.throttled) > 1
        if (count >= MANY or (count >= FEW and is_waiting)) and not any(
            login.client in each for each in self._trusted
        ):
            words = "many accounts share the limits of one address" + ", and are throttled" * is_waiting
            hint = (
                f'if it speaks for many people (a gateway, a web mail host): limits.trusted_networks = ["{network}"]'
            )
            _say_once_a_day(crowd, login.at, words, {"client": network, "accounts": count, "hint": hint})
        if len(crowd.ran_out) >= RAN_OUT:
            words = "the login memory ran out for many accounts of one address"
            hint = f'if it is a web mail host: [[login_memory.profile]] with networks = ["{network}"]'
            _say_once_a_day(crowd, login.at, words, {"client": network, "accounts": len(crowd.ran_out), "hint": hint})


def _note(accounts: dict[AccountName, datetime], login: Seen) -> None:
    accounts[login.account] = login.at
    if len(accounts) > 1:
        for name in [name for name, at in accounts.items() if abs(login.at - at) > WITHIN]:
            del accounts[name]
        if len(accounts) > MANY:
            del accounts[min(accounts, key=lambda name: accounts[name])]


def _say_once_a_day(crowd: _Crowd, now: datetime, words: str, fields: dict[str, object]) -> None:
    said_at = crowd.said_at.get(words)
    if said_at is None or abs(now - said_at) >= SAID_AGAIN_AFTER:
        crowd.said_at[words] = now
        log.warning(words, extra={FIELDS: fields})
