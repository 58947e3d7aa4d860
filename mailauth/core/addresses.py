"""Addresses and networks that a person or a peer wrote, in the one form that everything is compared in.

An IPv4 client that comes to a dual-stack listener is `::ffff:192.0.2.7` to it (RFC 4291 s2.5.5.2) and the same client;
`fe80::1%eth0` is `fe80::1` to whoever counts or compares it (RFC 4007 s11: the zone is this machine's own affair).
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import Address, Network

_MAPPED = IPv6Network("::ffff:0:0/96")
_TRANSLATED = IPv6Network("64:ff9b::/96")
"""How a translator in front of an IPv6-only server shows IPv4 clients (RFC 6052 s2.1): all of them are one /64."""


def parse_address(text: str) -> Address:
    """Return an address. Raises InvalidValue, also for leading zeros: some read them as octal (RFC 6943 s3.1.1)."""
    try:
        address = ip_address(text)
    except ValueError as error:
        raise InvalidValue(f"not an IP address: {text[:80]!a}") from error
    if isinstance(address, IPv6Address):
        if address in _TRANSLATED:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def parse_network(text: str) -> Network:
    """Return a network, or the one of a single address. Raises InvalidValue with what is wrong."""
    written = text.strip()
    try:
        if "%" in written:
            raise ValueError("a network has no zone")
        network = ip_network(written)
    except ValueError as error:
        raise InvalidValue(f"not a network: {error}; write it as 192.0.2.0/24 or 2001:db8::/64") from error
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        four_bytes = int(network.network_address) & 0xFFFFFFFF
        return IPv4Network((four_bytes, network.prefixlen - _MAPPED.prefixlen))
    return network
