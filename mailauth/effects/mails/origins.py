"""Who did something from where, in words for the owner of the account; and nothing more than that.

What a client said about itself, and what somebody called a device, stands in mails that people trust, so nothing in it
may read as a sentence of ours, or with a link.
"""

import re
from gettext import NullTranslations

_MAX_CHARACTERS = 60
_NOT_PLAIN = re.compile(r"[^\w .,()'\u2019+-]|(?<!\d)\.|\.(?!\d)")
"""Mail programs make a link of whatever looks like a host name; a dot stays between digits, as in a version."""


def service_words(service: str, translations: NullTranslations) -> str:
    """Return what a service is for, by the name that Dovecot has for it; that name where it is none of ours."""
    _ = translations.gettext
    match service:
        case "imap":
            return _("reading mail (IMAP)")
        case "pop3":
            return _("fetching mail (POP3)")
        case "smtp" | "submission":
            return _("sending mail (SMTP)")
        case "sieve" | "managesieve":
            return _("mail filters (Sieve)")
        case "portal":
            return _("our web page")
        case _:
            return plain(service)


def services_words(services: list[str], translations: NullTranslations) -> str:
    """Return what several services are for."""
    return ", ".join(dict.fromkeys(service_words(service, translations) for service in services))


def origin_words(service: str, client: str, agent: str, provider: str, translations: NullTranslations) -> str:
    """Return who did something: `our web page, Firefox on Linux, 192.0.2.7`, or an administrator."""
    _ = translations.gettext
    if service == "administrator":
        return _("an administrator of %(provider)s") % {"provider": provider}
    address = _("address %(address)s") % {"address": client} if client else ""
    return ", ".join(filter(None, (service_words(service, translations), plain(agent), address)))


def device_words(name: str) -> str:
    """Return what somebody called a device, as a quotation."""
    return f'"{plain(name)}"'


def plain(text: str) -> str:
    """Return what others said, as words without meaning to any program, on one line."""
    return " ".join(_NOT_PLAIN.sub(" ", text).split())[:_MAX_CHARACTERS]
