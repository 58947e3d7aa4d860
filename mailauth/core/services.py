"""The services that a login can be for, as Dovecot names them, and what opens what."""

from mailauth.vocabulary.errors import InvalidValue

PORTAL = "portal"
KNOWN = ("imap", "pop3", "smtp", "submission", "sieve", "managesieve", "lmtp", "doveadm", PORTAL)

_SAME = {"submission": "smtp", "managesieve": "sieve"}
"""Names of one thing: sending is `smtp` to Postfix and `submission` to Dovecot; Sieve has two names as well."""


def family(service: str) -> str:
    """Return the one name under which services that are the same thing are compared."""
    return _SAME.get(service, service)


def opens(services: frozenset[str], service: str) -> bool:
    """Tell whether an app password made for these services opens one.

    Made for none in particular, it opens every mail service; never the portal, where factors are changed.
    """
    if service == PORTAL:
        return False
    return not services or family(service) in {family(name) for name in services}


def checked(service: str) -> str:
    """Return a service that an administrator named. Raises InvalidValue for one that nobody offers."""
    name = service.strip().lower()
    if name == PORTAL:
        raise InvalidValue("an app password never opens the portal")
    if name not in KNOWN:
        raise InvalidValue(f"no such service: {service!a}; known are {', '.join(KNOWN[:-1])}")
    return name
