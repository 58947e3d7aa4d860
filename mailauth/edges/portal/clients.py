"""Who is at the other end of a request: the client's address and its browser, in words its owner knows.

Believes a forwarded address only where a configured proxy says it (requirement LIM6). Pure: header values in,
values out.
"""

import re
from collections.abc import Sequence

from mailauth.core.addresses import parse_address
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import Address, Network

MAX_HOPS = 16
"""More than any chain of proxies that somebody runs on purpose."""
MAX_AGENT_CHARACTERS = 60

_WITH_PORT = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+))(?::[0-9]{1,5})?")


def address_of(
    peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network], *, by_unix_socket: bool = False
) -> Address | None:
    """Return the client's address: the peer's, or where that is a trusted proxy, the one that it forwards.

    `by_unix_socket`: the portal listens on a Unix socket, whose permissions say that whoever is there may be
    believed; such a peer has no address, and without a forwarded one nobody's is known.

    `forwarded` holds the X-Forwarded-For headers in their order. Read from the right, since each proxy appends who
    it was called by; the first that is no trusted proxy is the client, and what stands before it is anybody's
    claim. Where a hop is no address at all, none of them is believed.
    """
    direct = _address(peer or "")
    is_believed = by_unix_socket if peer is None else direct is not None and _is_in(direct, trusted)
    if not is_believed:
        return direct
    client = direct
    hops = [hop.strip() for hop in ",".join(forwarded).split(",")] if forwarded else []
    for hop in reversed(hops[-MAX_HOPS:]):
        address = _address(hop)
        if address is None:
            return direct
        client = address
        if not _is_in(address, trusted):
            return address
    return client


def agent_of(user_agent: str | None) -> str:
    """Return browser and system in a few words, `Firefox, Windows`; empty where nothing is known."""
    text = (user_agent or "")[:1000]
    words = [name for table in (_BROWSERS, _SYSTEMS) if (name := _first(table, text))]
    return ", ".join(words)[:MAX_AGENT_CHARACTERS]


# The first that occurs counts: most browsers also claim to be those further down.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def _first(table: Sequence[tuple[str, str]], text: str) -> str:
    return next((name for token, name in table if token in text), "")


def _address(text: str) -> Address | None:
    found = _WITH_PORT.fullmatch(text)
    bare = text if found is None else found["v6"] or found["v4"]
    if "%" in bare:
        return None  # an address of this link only; nobody forwards one
    try:
        return parse_address(bare)
    except InvalidValue:
        return None


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
