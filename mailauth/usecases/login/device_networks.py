"""Networks in which app passwords are used: they are the account's own, as far as its common meter goes.

Whoever uses app passwords as told would else be out of the portal at home as soon as strangers have used up that
limit. Noted on the event loop at the price of a look-up, written down a moment later; nothing is granted by it.
`flush` works on threads.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailauth.core import limiter
from mailauth.effects.store import familiar_networks
from mailauth.effects.store.database import Database
from mailauth.vocabulary.model import Address, Network

AGAIN_AFTER = timedelta(hours=1)
"""How soon a network that was written down is looked at again: another one may have taken its place."""
MAX_ENTRIES = 20_000

_Key = tuple[int, str]
"""App password and network."""


class DeviceNetworks:
    """Notes where app passwords are used."""

    def __init__(self, database: Database, trusted: Sequence[Network]) -> None:
        self._database = database
        self._trusted = trusted
        self._noted: OrderedDict[tuple[int, Address], datetime] = OrderedDict()
        self._waiting: dict[_Key, datetime] = {}
        self._flushing = threading.Lock()

    def note(self, app_password_id: int, client: Address | None, now: datetime) -> None:
        """Note a login by app password. Cheap; called on the event loop for every one."""
        if client is None:
            return
        key = (app_password_id, client)
        noted_at = self._noted.get(key)
        if noted_at is not None and timedelta(0) <= now - noted_at < AGAIN_AFTER:
            return
        self._noted[key] = now
        self._noted.move_to_end(key)
        if len(self._noted) > MAX_ENTRIES:
            self._noted.popitem(last=False)
        source = limiter.source_of(client, self._trusted)
        if not source.is_trusted and len(self._waiting) < MAX_ENTRIES:
            self._waiting[app_password_id, source.network] = now

    def flush(self) -> int:
        """Write down what was noted; return how much. Raises StoreUnavailable; nothing is lost then."""
        with self._flushing:
            batch, self._waiting = self._waiting, {}
            noted = list(batch.items())  # a copy: the event loop may be writing in the old dictionary at this moment
            if not noted:
                return 0

            def note(connection: Connection) -> None:
                for (app_password_id, network), now in noted:
                    familiar_networks.note_app_password(connection, app_password_id, network, now)

            try:
                self._database.write(note, durable=False)
            except BaseException:
                self._waiting = dict(noted) | self._waiting
                raise
            return len(noted)
