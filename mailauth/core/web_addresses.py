"""One form for the names of a web site, whoever writes them: configuration, browsers, web servers.

A host is written in many ways that mean one (upper case, the root's dot, letters outside ASCII, a port that is the
scheme's own), and what compares two of them as they stand refuses right ones. Pure.
"""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

import idna

from mailauth.vocabulary.errors import InvalidValue

_DEFAULT_PORTS = {"https": 443, "http": 80}
_AUTHORITY = re.compile(r"[^\s/?#@\\]+")
"""Host and port, without a user's name (RFC 3986 s3.2): nobody writes one into a Host header, but who deceives."""
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")


def host_of(authority: str) -> str:
    """Return the host of `HOST` or `HOST:PORT`: lower case, in A-labels (RFC 5890), without the root's dot.

    An IPv6 address is in brackets. Raises InvalidValue for what is none.
    """
    return _split(authority)[0]


def origin_of(url: str) -> str:
    """Return scheme, host and port of an http(s) address, as browsers write an origin (RFC 6454 s6.2).

    Raises InvalidValue for what has none, or has a user's name in it.
    """
    scheme, colon, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS or not colon:
        raise InvalidValue(f"not a web address: {url[:100]!a}")
    host, port = _split(re.split(r"[/?#]", rest, maxsplit=1)[0])
    return f"{scheme}://{host}" + ("" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}")


def _split(authority: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(f"//{authority}")
        port = parts.port
        host = _canonical_host(parts.hostname or "")
    except (ValueError, idna.IDNAError) as error:
        raise InvalidValue(f"not a host: {authority[:100]!a}") from error
    if not _AUTHORITY.fullmatch(authority):
        raise InvalidValue(f"not a host: {authority[:100]!a}")
    return host, port


def _canonical_host(host: str) -> str:
    if ":" in host:
        return f"[{ip_address(host).compressed}]"
    name = host.removesuffix(".")
    if not name.isascii():
        name = idna.encode(name, uts46=True).decode("ascii")
    name = name.lower()
    if not _NAME.fullmatch(name):
        raise ValueError("not a host")
    return name
