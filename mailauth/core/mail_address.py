"""Which addresses a mail may be sent to: plain addr-specs that nothing can be smuggled in with (CVE-2024-6923).

The bare form only, `local@domain`, of RFC 5322 s3.4.1 without comments, quoted strings and domain literals; UTF-8
in the local part by RFC 6531 s3.3. Whether anybody reads mail there is not known here.
"""

import re

import idna

from mailauth.vocabulary.errors import InvalidValue

MAX_BYTES = 254
"""RFC 5321 s4.5.3.1.3: a path of 256 octets, two of which are its angle brackets."""
"""The local part's 64 octets (s4.5.3.1.1) are for the server that takes the mail: accounts may have longer names."""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u00a1-\U0010ffff]+"
_IN_ADDRESS = re.compile(rf"{_ATOM[:-1]}|[.@]")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?"
_ADDR_SPEC = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")


def strange_in(address: str) -> str:
    """Return the characters of a text that no address has, each once: what somebody has to look at."""
    bad = (each for each in address if not _IN_ADDRESS.fullmatch(each) or not each.isprintable())
    return "".join(dict.fromkeys(bad))


def checked(address: str) -> str:
    """Return an address that mail may be sent to, as it stands. Raises InvalidValue, also for anything around it."""
    if (
        len(address.encode("utf-8", "replace")) > MAX_BYTES
        or not _ADDR_SPEC.fullmatch(address)
        or not address.isprintable()  # separators, formats and surrogates beyond ASCII
    ):
        raise InvalidValue(f"not an address that mail can be sent to: {address[:80]!a}")
    return address


def in_ascii(address: str) -> str:
    """Return an address with its domain as A-labels (RFC 5890 s2.3.2.1), as it has to be wherever only ASCII travels.

    A local part beyond ASCII stays: it travels by SMTPUTF8 (RFC 6531), or not at all. Raises InvalidValue for a domain
    that cannot be encoded.
    """
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{domain_in_ascii(domain)}"


def domain_in_ascii(domain: str) -> str:
    """Return a domain as A-labels; one of ASCII as it stands. Raises InvalidValue for one that cannot be encoded."""
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidValue(f"not a domain: {domain[:80]!a}") from error
