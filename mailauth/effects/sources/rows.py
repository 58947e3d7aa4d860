"""A row of another system's table, or a directory's attributes, as an entry.

What cannot be understood is refused with InvalidValue, not guessed: a state that reads neither as yes nor as no might
let in whoever is locked out.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from mailauth.core import names
from mailauth.core.addresses import parse_network
from mailauth.core.source_entry import SourceEntry
from mailauth.vocabulary.errors import InvalidName, InvalidValue
from mailauth.vocabulary.languages import LANGUAGES
from mailauth.vocabulary.model import AccountName, Network

_YES: Final = frozenset({"1", "y", "yes", "t", "true", "on", "active", "enabled"})
_NO: Final = frozenset({"", "0", "n", "no", "f", "false", "off", "inactive", "disabled"})
MAX_UID_BYTES: Final = 128
MAX_HASH_BYTES: Final = 2048


class Columns(NamedTuple):
    """How a source's rows are read. `fields`: the columns that are handed on."""

    source: str
    default_domain: str
    fields: tuple[str, ...] = ()


def entry_of(row: Mapping[str, Any], columns: Columns, by_target: Mapping[str, list[str]]) -> SourceEntry:
    """Return what a row says. `by_target`: the domains by which users of a domain may log in as well.

    Raises InvalidValue, with the row's name but without its hash.
    """
    spelling = _text(row.get("name"))
    if not spelling:
        raise InvalidValue("it has no column `name`, or nothing in it")
    name = _canonical(spelling, columns.default_domain)
    local, _, domain = name.rpartition("@")
    other_domains = _words(row.get("alias_domains")) + by_target.get(domain, [])
    aliases = {_canonical(each, columns.default_domain) for each in _words(row.get("aliases"))}
    aliases |= {_canonical(f"{local}@{each}", each) for each in other_domains}
    try:
        return SourceEntry(
            source=columns.source,
            name=name,
            handle=_text(row.get("handle")),
            reply_name=spelling,
            aliases=frozenset(aliases - {name}),
            stored_hash=_hash(row.get("hash")),
            uid=_uid(row.get("uid")),
            is_active=_yes(row.get("active", 1)),
            must_change=_yes(row.get("must_change", 0)),
            language=_language(row.get("language")),
            recovery_address=_text(row.get("recovery_address")) or None,
            allow_nets=_networks(row.get("allow_nets")),
            fields=tuple((each, _text(row[each])) for each in columns.fields if row.get(each) is not None),
        )
    except (InvalidValue, InvalidName) as error:
        raise InvalidValue(f"{name}: {error}") from error


def _canonical(name: str, default_domain: str) -> AccountName:
    try:
        return names.canonicalise(name, default_domain)
    except InvalidName as error:
        raise InvalidValue(f"{name!a} is no name of an account: {error}") from error


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError as error:
            raise InvalidValue("there is a value that is not UTF-8") from error
    return str(value)


def _words(value: object) -> list[str]:
    """Return the parts of a list as tables have it, with blanks or commas between."""
    return _text(value).replace(",", " ").split()


def _hash(value: object) -> str | None:
    """Return a hash; None, which nothing opens, for none."""
    found = _text(value).strip()
    if len(found.encode()) > MAX_HASH_BYTES:
        raise InvalidValue("its hash is longer than any")
    return found or None


def _uid(value: object) -> str | None:
    if isinstance(value, datetime):
        # In one zone: that the session's zone is another one does not make everybody another person.
        value = (value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo is not None else value).isoformat(" ")
    found = _text(value)
    if len(found.encode()) > MAX_UID_BYTES:
        raise InvalidValue(f"its uid has more than {MAX_UID_BYTES} bytes")
    return found or None


def _yes(value: object) -> bool:
    if isinstance(value, (bool, int, float, Decimal)):
        return value != 0
    if isinstance(value, (bytes, bytearray)) and len(value) == 1 and value[0] < 2:
        return bool(value[0])  # BIT(1)
    word = _text(value).strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise InvalidValue(f"whether it is so is neither yes nor no: {word[:20]!a}")


def _language(value: object) -> str | None:
    """Return the language of `de`, `de_DE`, `DE-at`, if it is one that mailauth speaks."""
    tag = _text(value).replace("_", "-").partition("-")[0].lower()
    return tag if tag in LANGUAGES else None


def _networks(value: object) -> tuple[Network, ...]:
    return tuple(parse_network(each) for each in _words(value))
