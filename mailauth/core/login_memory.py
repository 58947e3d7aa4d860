"""The login memory: for how long an accepted password + code serves the further connections of one client.

RFC 6238 s5.2 lets a code pass once. A mail client opens three to six connections with one typed string, and a web
mail logs in at every click; so an accepted string is remembered, bound to account, epoch, class of service and
the client's network, and serves that client for a while. Nothing else is: no recovery code, no other network, no
other part of the string. Pure; the store holds the memory.

A memory that serves no more says something all the same: this very string was accepted once. A client that has
stored its password with a code sends it for ever, and is no guesser; it is refused whatever the code may be by
then, and counted as the repetition that it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_network

from mailauth.core.services import PORTAL
from mailauth.vocabulary.model import Address, Network

MAX_ROWS_PER_ACCOUNT = 64
"""How many strings of one account are remembered at once; the oldest go first."""
KEPT_AFTER = timedelta(days=30)
"""How long a memory that serves no more is kept: clients send what they have stored for weeks."""


@dataclass(frozen=True, slots=True)
class Profile:
    """For how long (`life`, from the first login), how soon again (`idle`, None: at any time), and how often."""

    life: timedelta
    idle: timedelta | None
    max_uses: int


NONE = Profile(timedelta(0), None, 0)
"""Where nothing is remembered."""


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profile of everybody, and those of particular networks, the first that fits counting."""

    default: Profile
    by_network: Sequence[tuple[Network, Profile]] = ()

    def of(self, client: Address) -> Profile:
        """Return a client's profile."""
        for network, profile in self.by_network:
            if client in network:
                return profile
        return self.default


def service_class(service: str) -> str:
    """Return the class in which a memory serves: one device reads and sends mail, the portal is apart."""
    return PORTAL if service == PORTAL else "mail"


def network_of(client: Address) -> str:
    """Return the network that a memory is bound to: the address, or an IPv6 address's /64."""
    if isinstance(client, IPv6Address):
        return str(ip_network((client, 64), strict=False))
    return str(client)
