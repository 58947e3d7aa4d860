"""What values in the configuration look like: lines, networks, endpoints, and tables of them. Touches nothing."""

import re
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mailauth.core.addresses import parse_address, parse_network
from mailauth.vocabulary.errors import InvalidValue

MAX_SOCKET_PATH_BYTES = 107
"""sun_path holds 108 bytes (unix(7)), one of which ends it."""

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
"""This machine by its addresses."""

_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]*\Z")


def _one_line(value: str) -> str:
    if not _PRINTABLE.match(value):
        raise ValueError("control characters and line breaks are not allowed")
    return value


Line = Annotated[str, AfterValidator(_one_line)]
FilledLine = Annotated[Line, Field(min_length=1)]


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


def checked_network(text: str) -> str:
    """Return a network that a person wrote. Raises InvalidValue with what is wrong."""
    return str(parse_network(text))


def checked_networks(texts_: list[str]) -> list[str]:
    """Return networks that a person wrote. Raises ValueError, which is what validators raise."""
    try:
        return [checked_network(text) for text in texts_]
    except InvalidValue as error:
        raise ValueError(str(error)) from error


def endpoint(text: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[v6]:port`. Raises ValueError with what is wrong."""
    parts = urlsplit(f"//{text}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or not port or parts.username is not None or parts.path or parts.query or parts.fragment:
        raise ValueError("not an address with a port; write it as imap.example.org:993 or 127.0.0.1:8425")
    return parts.hostname, port


def socket_path(text: str) -> str | None:
    """Return the path of `unix:PATH`, or None for another endpoint. Raises ValueError for one that cannot be."""
    scheme, _, path = text.partition(":")
    return checked_socket_path(path) if scheme == "unix" else None


def checked_socket_path(path: str) -> str:
    """Return a path that a Unix socket can have. Raises ValueError with what is wrong."""
    if not path.startswith("/"):
        raise ValueError("an absolute path is needed")
    if len(path.encode()) > MAX_SOCKET_PATH_BYTES:
        raise ValueError(f"a Unix socket's path has at most {MAX_SOCKET_PATH_BYTES} bytes")
    return path


def is_loopback(host: str) -> bool:
    """Tell whether a host, by name or address, is this machine."""
    try:
        return parse_address(host).is_loopback
    except InvalidValue:
        return host == "localhost"
