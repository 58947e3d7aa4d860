"""What a password source knows of one user, and whether that may be taken for the user whom a login names.

A source answers what it was asked, by rules of its own: a directory has attributes that their owners may write, a
database compares without regard to accents. An entry is therefore taken only for a name that is its own, in canonical
form, or one of its own aliases. Pure; must not know how a source is asked.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mailauth.vocabulary.model import AccountName, Address, Network


class Asked(NamedTuple):
    """Whom a source is asked about, and for what: a site's own look-up may depend on all of it.

    `is_secured`: whether the client's connection is encrypted, as the mail server says.
    """

    name: AccountName
    service: str = ""
    is_secured: bool = False
    client: Address | None = None

    @property
    def local_part(self) -> str:
        """What stands before the @."""
        return self.name.rpartition("@")[0]

    @property
    def domain(self) -> str:
        """What stands behind the @."""
        return self.name.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One user, as a source has it. Both names and aliases are canonical; `reply_name` is the source's own spelling.

    `handle`: by which the source itself finds it again: a DN. `stored_hash`: of the password, where the source shows
    it. `uid`: who it is, whatever the name; None where the source does not tell. `is_active`: it may log in.
    `must_change`: its password is over. `allow_nets`: the only networks that it may log in from, if there are any.
    `fields`: for mail servers, by their names.
    """

    source: str
    name: AccountName
    handle: str = ""
    reply_name: str = ""
    aliases: frozenset[AccountName] = frozenset()
    stored_hash: str | None = field(default=None, repr=False)
    uid: str | None = None
    is_active: bool = True
    must_change: bool = False
    language: str | None = None
    recovery_address: str | None = None
    allow_nets: tuple[Network, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Misfit:
    """What a source answered is not taken, for a reason to be logged."""

    why: str


def chosen(entries: Iterable[SourceEntry], name: AccountName, covers: "DomainPatterns") -> SourceEntry | Misfit | None:
    """Return the one entry that is meant by a name; None without any, Misfit where what there is may not be taken."""
    found = list(entries)
    meant = [each for each in found if name == each.name or name in each.aliases]
    own = [each for each in meant if each.name == name]
    meant = own or meant  # a name that is an account is never an alias
    if len(meant) > 1:
        spellings = " and ".join(sorted(each.reply_name for each in meant))
        return Misfit(f"{spellings} are one account, {name}; whose password opens it cannot be told")
    if meant and not covers.include(meant[0].name):
        return Misfit(f"it knows {name} as {meant[0].name}, whose domain is not among its own")
    if meant:
        return covered(meant[0], covers)
    if found:
        return Misfit(f"asked for {name} it answered with {found[0].name}, and that is another account")
    return None


def covered(entry: SourceEntry, covers: "DomainPatterns") -> SourceEntry | None:
    """Return an entry without other names that are not the source's to give; None where its own name is not."""
    if not covers.include(entry.name):
        return None
    aliases = frozenset(name for name in entry.aliases if covers.include(name))
    return entry if aliases == entry.aliases else replace(entry, aliases=aliases)


class DomainPatterns:
    """The domains that a source is asked about: `*` for all, `example.org`, `*.example.net` for those below it."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._exact: set[str] = set()
        self._below: tuple[str, ...] = ()
        self.are_all = False
        for pattern in patterns:
            if pattern == "*":
                self.are_all = True
            elif pattern.startswith("*."):
                self._below += (pattern[1:],)
            else:
                self._exact.add(pattern)

    def include(self, name: AccountName) -> bool:
        """Tell whether an account's domain is among them."""
        domain = name.rpartition("@")[2]
        return self.are_all or domain in self._exact or domain.endswith(self._below)

    @property
    def only(self) -> str | None:
        """The domain, where it is exactly one."""
        return next(iter(self._exact)) if len(self._exact) == 1 and not self._below and not self.are_all else None
