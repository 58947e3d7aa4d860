"""What a source lists of one user, as text for a scratch file: all that is needed of it later, and no password's hash.

Of the hash there are keyed fingerprints, one for each key, as whoever made them has them. Pure.
"""

import json
from dataclasses import dataclass
from ipaddress import ip_network

from mailauth.core.source_entry import SourceEntry
from mailauth.vocabulary.model import AccountName


@dataclass(frozen=True, slots=True)
class ListedUser:
    """A user as listed. `fingerprints`: of the stored hash, by each key, the current one first; none without."""

    entry: SourceEntry
    fingerprints: tuple[bytes, ...]


def written(user: ListedUser) -> str:
    """Return it as text; the same user gives the same text."""
    entry = user.entry
    return json.dumps(
        {
            "name": entry.name,
            "reply_name": entry.reply_name,
            "aliases": sorted(entry.aliases),
            "uid": entry.uid,
            "is_active": entry.is_active,
            "must_change": entry.must_change,
            "language": entry.language,
            "recovery_address": entry.recovery_address,
            "allow_nets": [str(network) for network in entry.allow_nets],
            "fields": entry.fields,
            "fingerprints": [fingerprint.hex() for fingerprint in user.fingerprints],
        }
    )


def read(text: str, source: str) -> ListedUser:
    """Return what `written` has written."""
    facts = json.loads(text)
    fingerprints = tuple(bytes.fromhex(each) for each in facts.pop("fingerprints"))
    facts["aliases"] = frozenset(AccountName(each) for each in facts["aliases"])
    facts["allow_nets"] = tuple(ip_network(each) for each in facts["allow_nets"])
    facts["fields"] = tuple((name, value) for name, value in facts["fields"])
    return ListedUser(SourceEntry(source=source, **facts), fingerprints)
