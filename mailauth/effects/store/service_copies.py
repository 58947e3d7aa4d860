"""Statements on what sources said of accounts for a service."""

import json

from sqlalchemy import Connection, delete, select

from mailauth.core.addresses import parse_network
from mailauth.effects.store import dialects
from mailauth.effects.store.tables import service_copy
from mailauth.vocabulary.model import ServiceCopy


def of_account(connection: Connection, account_id: int) -> tuple[ServiceCopy, ...]:
    """Return an account's copies."""
    rows = connection.execute(select(service_copy).where(service_copy.c.account_id == account_id))
    return tuple(
        ServiceCopy(
            row.service,
            bool(row.is_allowed),
            tuple(parse_network(each) for each in row.allow_nets.split()),
            tuple((name, value) for name, value in json.loads(row.fields)),
            row.taken_at,
        )
        for row in rows
    )


def keep(connection: Connection, account_id: int, copy: ServiceCopy) -> None:
    """Store a copy in place of an older one for the same service."""
    said = {
        "is_allowed": int(copy.is_allowed),
        "allow_nets": " ".join(str(network) for network in copy.allow_nets),
        "fields": json.dumps(copy.fields),
        "taken_at": copy.taken_at,
    }
    key = {"account_id": account_id, "service": copy.service}
    statements = dialects.statements(connection)
    connection.execute(statements.upsert(service_copy, ["account_id", "service"], key | said, said))


def drop(connection: Connection, account_id: int, service: str) -> None:
    """Forget what was said for a service."""
    is_it = (service_copy.c.account_id == account_id) & (service_copy.c.service == service)
    connection.execute(delete(service_copy).where(is_it))
