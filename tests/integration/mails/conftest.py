"""Worlds with somebody in them to whom mails go, and a look into the outbox."""

import json
from typing import Any

import pytest
from sqlalchemy import select, update

from mailauth.effects import keyring
from mailauth.effects.keyring import Keyring, Purpose, Sealed
from mailauth.effects.store.tables import account, outbox
from mailauth.vocabulary.notices import ADMINISTRATOR, NoticeKind, Origin
from tests.transactions import reading, writing
from tests.world import World, WorldMaker


class Outbox:
    """Queues notices about one account, and reads the rows as they stand."""

    def __init__(self, world: World, name: str = "alice@mailitwize.be") -> None:
        self.world = world
        self.name = name
        world.add(name)
        self.account_id = world.installation.accounts.get(name).id

    def set(self, **columns: object) -> None:
        """Set columns of the account."""
        with writing(self.world.installation.database) as connection:
            connection.execute(update(account).where(account.c.id == self.account_id).values(**columns))

    def tell(self, kind: NoticeKind, origin: Origin = ADMINISTRATOR, **facts: Any) -> int:
        """Queue a notice in a transaction of its own."""
        installation = self.world.installation
        with writing(installation.database) as connection:
            return installation.notices.tell(connection, self.account_id, kind, origin, self.world.clock(), **facts)

    def rows(self) -> list[Any]:
        """Return all rows, the oldest in front."""
        with reading(self.world.installation.database) as connection:
            return list(connection.execute(select(outbox).order_by(outbox.c.id)))

    def keyring(self) -> Keyring:
        """Return the key file's ring."""
        return keyring.read(self.world.directory / "mailauth.key")

    def content(self, row: Any) -> Any:
        """Return what a row's mail says."""
        return json.loads(self.keyring().unseal(Purpose.OUTBOX, row.message_id, Sealed(row.key_id, row.content)))


@pytest.fixture
def box(make_world: WorldMaker) -> Outbox:
    return Outbox(make_world())
