"""What a source said of an account for a service, kept with the account: whether it may use it, and from where.

An app password and a remembered login ask no source, and must not open what the source has closed. Pure.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from mailauth.vocabulary.model import Address, Network, ServiceCopy
from mailauth.vocabulary.reasons import WhyDenied

LIFE: Final = timedelta(minutes=10)
"""How long a copy for one service serves before the source is asked again: no list of a source has it."""
ANY_SERVICE: Final = ""


def chosen(copies: Iterable[ServiceCopy], service: str) -> ServiceCopy | None:
    """Return the copy for a service, or the one for all; None without one."""
    by_service = {copy.service: copy for copy in copies}
    return by_service.get(service, by_service.get(ANY_SERVICE))


def fields(copies: Iterable[ServiceCopy], service: str) -> tuple[tuple[str, str], ...]:
    """Return what mail servers are told of an account along with a login to a service."""
    copy = chosen(copies, service)
    return () if copy is None else copy.fields


def is_stale(copy: ServiceCopy | None, now: datetime) -> bool:
    """Tell whether the source has to be asked, where it answers for each service apart."""
    return copy is None or copy.service == ANY_SERVICE or not timedelta(0) <= now - copy.taken_at < LIFE


def refusal(copy: ServiceCopy | None, client: Address | None) -> WhyDenied | None:
    """Return why the source does not let this in; None where it does, or has said nothing."""
    if copy is None:
        return None
    return WhyDenied.SERVICE_CLOSED_AT_SOURCE if not copy.is_allowed else refusal_by_network(copy.allow_nets, client)


def refusal_by_network(allow_nets: Sequence[Network], client: Address | None) -> WhyDenied | None:
    """Return that a client's network is none of those allowed; None where it is, or all are."""
    if allow_nets and not (client is not None and any(client in network for network in allow_nets)):
        return WhyDenied.NETWORK_CLOSED_AT_SOURCE
    return None
