"""By which name this machine introduces itself to a mail server.

RFC 5321 s4.1.4 wants the name that others find it by, and many servers refuse everything else (Postfix:
`reject_non_fqdn_helo_hostname`). A machine whose own name is `mail` or `vm.localdomain` has no such name, so the
portal's and the sender's are taken, which the provider has chosen and the DNS knows; an address where there is none.
"""

import re
import socket
from collections.abc import Iterable

from mailauth.core import mail_address
from mailauth.vocabulary.errors import InvalidValue

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_FQDN = re.compile(rf"(?=.{{1,255}}\Z)(?:{_LABEL}\.)+(?=[^.]*[A-Za-z]){_LABEL}")
_KNOWN_TO_NOBODY = frozenset({"localhost", "localdomain", "local", "lan", "home", "internal", "invalid", "arpa"})
"""Top-level names that no server finds anything under: RFC 6761, RFC 6762, and what routers and clouds give."""
LITERAL = "[127.0.0.1]"
"""RFC 5321 s4.1.4: an address literal where there is no name at all. The mail server is on this machine then."""


def is_fqdn(name: str) -> bool:
    """Tell whether this is a host name with a domain, in ASCII, that others could know."""
    return _FQDN.fullmatch(name) is not None and name.rpartition(".")[2].lower() not in _KNOWN_TO_NOBODY


def own_name(hints: Iterable[str]) -> str:
    """Return this machine's full name, else the first hint that is one. May ask the resolver, and wait for it."""
    return next((name for name in map(_in_ascii, (*_names_of_this_machine(), *hints)) if is_fqdn(name)), LITERAL)


def _in_ascii(name: str) -> str:
    try:
        return mail_address.domain_in_ascii(name)
    except InvalidValue:
        return ""


def _names_of_this_machine() -> Iterable[str]:
    own = socket.gethostname()
    yield own
    if "." in own:
        return
    # `hostname --fqdn`. Not socket.getfqdn: it takes what an address resolves to, which may be anybody's name for it.
    try:
        found = socket.getaddrinfo(own, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    except (OSError, UnicodeError):
        return
    yield found[0][3]
