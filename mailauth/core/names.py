"""Canonical account names.

Every part of mailauth that looks an account up, counts its failures, remembers its logins or logs them uses
the form that `canonicalise` returns and no other, by `read` where people have typed the name; systems that used two
forms were bypassed through the difference. Resolving aliases is not done here: that needs the database.
"""

import unicodedata
from functools import lru_cache

import idna

from mailauth.core import typed
from mailauth.vocabulary.errors import InvalidName
from mailauth.vocabulary.model import AccountName

MAX_NAME_BYTES = 254
"""RFC 5321 s4.5.3.1.3 allows a path of 256 octets, two of which are its angle brackets."""

_LOCAL_PUNCTUATION = frozenset("!#$&'*+-=?^_{|}~.")
"""RFC 5322 atext and the dot, without `/` and `%`: names become directory names and Dovecot variables."""
_UNSEEN = frozenset(
    (
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
        *(*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),
    )
)
"""Marks and letters that show nothing by themselves (Default_Ignorable_Code_Point): with and without them, two names
would look the same. Joiners, fillers of Hangul, vowels of Khmer that are none, selectors of variants."""


@lru_cache(maxsize=4096)
def read(presented: str, default_domain: str) -> AccountName:
    """Return the canonical form of what somebody typed or pasted as a name, at any door.

    Without what copying brings along (invisible characters, quotes, `mailto:`, `<>`), where that leaves one reading.
    Raises InvalidName.
    """
    return canonicalise(typed.address(presented), default_domain)


def presented_domain(presented: str, default_domain: str) -> str:
    """Return the domain of a name as somebody typed it, whether or not it is one: for texts, never for a look-up."""
    return presented.rpartition("@")[2].lower() if "@" in presented else default_domain


def canonicalise(name: str, default_domain: str) -> AccountName:
    """Return the canonical form of a presented name: NFC, lower case, IDNA domain, the default domain added.

    Spaces at either end are dropped, since telephones add them; anywhere else they make the name invalid.
    Idempotent: a canonical name is its own canonical form.

    Raises InvalidName, whose text is fit for an administrator.
    """
    stripped = name.strip(" ")
    if len(stripped) > MAX_NAME_BYTES:
        raise InvalidName(f"an account name has at most {MAX_NAME_BYTES} bytes")
    return _canonical(stripped, default_domain)


@lru_cache(maxsize=4096)
def _canonical(name: str, default_domain: str) -> AccountName:
    local, at, domain = name.rpartition("@")
    if not at:
        local, domain = domain, default_domain
    if not domain:
        raise InvalidName("an account name needs a domain: local@domain")
    canonical = f"{_canonical_local(local)}@{_canonical_domain(domain)}"
    if len(canonical.encode()) > MAX_NAME_BYTES:
        raise InvalidName(f"an account name has at most {MAX_NAME_BYTES} bytes")
    return AccountName(canonical)


def _canonical_local(local: str) -> str:
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).lower())
    if not folded:
        raise InvalidName("an account name needs something before the @")
    if unicodedata.normalize("NFC", folded.lower()) != folded:
        raise InvalidName("an account name whose lower case is not stable cannot be used")
    for character in folded:
        if not is_allowed_in_local(character):
            raise InvalidName(f"an account name cannot contain {character!a}")
    if folded.startswith(".") or folded.endswith(".") or ".." in folded:
        raise InvalidName("the dots in an account name stand between other characters (RFC 5322 dot-atom)")
    return folded


def is_allowed_in_local(character: str) -> bool:
    """Tell whether a character may stand before the @ of a canonical name."""
    if character.isascii():
        return character.isalnum() or character in _LOCAL_PUNCTUATION
    # Letters, marks and numbers of any script; no separators, controls, formats, unassigned.
    return unicodedata.category(character)[0] in "LMN" and ord(character) not in _UNSEEN


@lru_cache(maxsize=4096)
def _canonical_domain(domain: str) -> str:
    try:
        encoded = idna.encode(domain, uts46=True, std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidName(f"not a mail domain: {domain[:80]!a}") from error
    return encoded.removesuffix(".")  # the root's dot: the DNS knows it, mail addresses have one form only
