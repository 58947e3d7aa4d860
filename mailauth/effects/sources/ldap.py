"""Accounts in an LDAP directory: found by a search, and checked by a bind with the password.

With `dn` there is no search: the name makes the DN, and nothing else is known of the user. A filter and a DN take a
name escaped (RFC 4515 s3, RFC 4514 s2.4). An empty password is never sent: a server may take that for an anonymous
bind, and say yes (RFC 4513 s5.1.2).
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mailauth.core.password_chain import Answer, Disabled, Expired, NotLookedUp, Right, Unanswered, UnknownUser, Wrong
from mailauth.core.source_entry import Asked, DomainPatterns, Misfit, SourceEntry, chosen, covered
from mailauth.effects.log_lines import FIELDS
from mailauth.effects.sources import Found, Parts
from mailauth.effects.sources.guarding import SourceGuard
from mailauth.effects.sources.ldap_connections import LdapConnection, Server, read_password, words
from mailauth.effects.sources.rows import Columns, entry_of
from mailauth.vocabulary.errors import InvalidValue, SourceUnavailable
from mailauth.vocabulary.model import Account

if TYPE_CHECKING:
    from mailauth.effects.configuration.source_sections import LdapSection

log = logging.getLogger(__name__)

T = TypeVar("T")

THREADS: Final = 8
PAGE: Final = 500
"""Entries of a paged search (RFC 2696): below what servers allow at once by default."""
MAX_FOUND: Final = 8
_BINARY_UIDS: Final = frozenset({"objectguid"})
_DIRECTORY_SAYS: Final = re.compile(r"\bdata ([0-9a-f]{3,4})\b")
_ACTIVE_DIRECTORY: Final[Mapping[str, type[Disabled | Expired]]] = {
    "530": Disabled,  # not at this time
    "531": Disabled,  # not from this workstation
    "532": Expired,  # the password
    "533": Disabled,
    "701": Expired,  # the account
    "773": Expired,  # must change the password
    "775": Disabled,  # locked
}
"""What Active Directory adds to "invalid credentials", where the password was right or does not matter."""


class Ldap:
    """Asks a directory."""

    def __init__(self, section: "LdapSection", parts: Parts) -> None:
        self.name = section.name
        self.is_by_service = False
        self._section = section
        self._server = Server(section.url, section.start_tls, section.ca_file, section.timeout_s)
        self._password = read_password(section.bind_password_file)
        self._covers = DomainPatterns(section.domains)
        self._columns = Columns(section.name, parts.default_domain, tuple(section.fields))
        self._guard = SourceGuard(section.name, THREADS, section.timeout_s)
        self._held = threading.local()
        self._all: set[LdapConnection] = set()
        attributes = section.attributes.named()
        self._attributes = {**attributes, **{each: each for each in section.fields}}

    @property
    def described(self) -> str:
        """Name the directory."""
        return f"the directory {self._section.url}"

    @property
    def is_listed(self) -> bool:
        """Whether there is a filter for all users."""
        return bool(self._section.list_filter)

    async def find(self, asked: Asked, account: Account | None) -> Found:
        """Search, where that is how users are found."""
        if self._section.dn:
            return NotLookedUp(self.name)
        found = await self._guard.ask(lambda: self._find(asked))
        return UnknownUser(self.name) if found is None else found

    async def check(
        self,
        asked: Asked,
        account: Account | None,
        entry: SourceEntry | None,
        password: bytes,
        readings: Sequence[bytes] = (),
    ) -> Answer:
        """Bind as the user. For who is unknown, as nobody, which takes as long."""
        if self._section.dn:
            return await self._guard.ask(lambda: self._bind(self._dn_of(asked), password))
        if entry is None:
            answer = await self._guard.ask(lambda: self._bind(f"cn=nobody-of-mailauth,{self._section.base}", password))
            return answer if isinstance(answer, Unanswered) else UnknownUser(self.name)
        answer = await self._guard.ask(lambda: self._bind(entry.handle, password))
        if isinstance(answer, Unanswered):
            return answer
        if not entry.is_active:
            return Disabled(self.name)
        if isinstance(answer, Right):
            return Expired(self.name) if entry.must_change else Right(self.name, entry)
        return answer

    def entries(self) -> Iterator[SourceEntry]:
        """Search for all, page by page; blocks. Raises SourceUnavailable, also where the server cuts it short."""
        import ldap
        from ldap.controls import SimplePagedResultsControl

        connection = self._service_connection()
        control = SimplePagedResultsControl(True, size=PAGE, cookie="")
        try:
            while True:
                number = connection.raw.search_ext(
                    self._section.base,
                    ldap.SCOPE_SUBTREE,
                    self._section.list_filter,
                    list(self._wanted()),
                    serverctrls=[control],
                )
                _, results, _, controls = connection.raw.result3(number, timeout=self._section.timeout_s * 10)
                yield from self._listed(results)
                (page,) = [each for each in controls if each.controlType == control.controlType]
                if not page.cookie:
                    return
                control.cookie = page.cookie
        except (ldap.LDAPError, ValueError) as error:
            raise SourceUnavailable(f"{self.name} cannot be listed: {words(error)}") from error
        finally:
            connection.close()

    def close(self) -> None:
        """Let running questions end, and every connection."""
        self._guard.close()
        while self._all:
            self._all.pop().close()

    def _listed(self, results: Sequence[Any]) -> Iterator[SourceEntry]:
        for dn, attributes in results:
            if dn is None:
                continue  # a referral
            try:
                entry = self._entry(dn, attributes)
            except InvalidValue as error:
                log.warning("an entry of %s is left out", self.name, extra={FIELDS: {"dn": dn, "because": error}})
                continue
            if (ours := covered(entry, self._covers)) is not None:
                yield ours

    def _find(self, asked: Asked) -> SourceEntry | None:
        import ldap
        from ldap.filter import escape_filter_chars

        written = _filled(self._section.filter, asked, escape_filter_chars)

        def search(connection: LdapConnection) -> Any:
            base, scope = self._section.base, ldap.SCOPE_SUBTREE
            limits = {"timeout": self._section.timeout_s, "sizelimit": MAX_FOUND}
            return connection.raw.search_ext_s(base, scope, written, list(self._wanted()), **limits)

        try:
            results = self._with_service(search)
        except ldap.NO_SUCH_OBJECT as error:
            raise SourceUnavailable(f"{self.name} has no {self._section.base}") from error
        try:
            entries = [self._entry(dn, attributes) for dn, attributes in results if dn is not None]
        except InvalidValue as error:
            raise SourceUnavailable(f"{self.name} answered what cannot be understood: {error}") from error
        found = chosen(entries, asked.name, self._covers)
        if not isinstance(found, Misfit):
            return found
        log.error("what %s answers is not taken: %s", self.name, found.why)
        return None

    def _wanted(self) -> Iterator[str]:
        yield from (each for each in dict.fromkeys(self._attributes.values()) if each)

    def _entry(self, dn: str, attributes: Mapping[str, Sequence[bytes]]) -> SourceEntry:
        by_lower = {key.lower(): values for key, values in attributes.items()}
        row: dict[str, object] = {"handle": dn}
        for column, attribute in self._attributes.items():
            values = by_lower.get(attribute.lower(), ())
            if not attribute or not values:
                continue
            if column == "aliases":
                row[column] = b" ".join(values)
            elif len(values) > 1:
                raise InvalidValue(f"{dn} has several values of {attribute}, where one is needed")
            else:
                row[column] = values[0].hex() if attribute.lower() in _BINARY_UIDS else values[0]
        return entry_of(row, self._columns, {})

    def _bind(self, dn: str, password: bytes) -> Right | Wrong | Disabled | Expired:
        import ldap

        if not password or b"\0" in password:
            return Wrong(self.name)

        def bind(connection: LdapConnection) -> None:
            connection.raw.simple_bind_s(dn, password)

        try:
            self._with("user", bind, lambda: LdapConnection(self._server))
        except ldap.INVALID_CREDENTIALS as error:
            said = _DIRECTORY_SAYS.search(words(error))
            kind = _ACTIVE_DIRECTORY.get(said[1]) if said else None
            return Wrong(self.name) if kind is None else kind(self.name)
        except (ldap.INVALID_DN_SYNTAX, ldap.NO_SUCH_OBJECT, ldap.INAPPROPRIATE_AUTH):
            return Wrong(self.name)
        return Right(self.name)

    def _dn_of(self, asked: Asked) -> str:
        from ldap.dn import escape_dn_chars

        return _filled(self._section.dn, asked, escape_dn_chars)

    def _with_service(self, job: Callable[[LdapConnection], T]) -> T:
        return self._with("service", job, self._service_connection)

    def _service_connection(self) -> LdapConnection:
        import ldap

        connection = LdapConnection(self._server)
        try:
            connection.raw.simple_bind_s(self._section.bind_dn, self._password)
        except ldap.LDAPError as error:
            connection.close()
            who = self._section.bind_dn or "nobody"
            raise SourceUnavailable(f"{self.name} does not let {who} search: {words(error)}") from error
        return connection

    def _with(self, what: str, job: Callable[[LdapConnection], T], make: Callable[[], LdapConnection]) -> T:
        """Do a job on this thread's connection; on a new one where the server has ended the one before meanwhile."""
        import ldap

        held: LdapConnection | None = getattr(self._held, what, None)
        if held is not None:
            try:
                return self._answer(what, held, job)
            except ldap.SERVER_DOWN:
                pass  # it was ended while nobody used it
        connection = make()
        self._all.add(connection)
        setattr(self._held, what, connection)
        try:
            return self._answer(what, connection, job)
        except ldap.SERVER_DOWN as error:
            raise SourceUnavailable(f"{self.name} gave no answer: {words(error)}") from error

    def _answer(self, what: str, connection: LdapConnection, job: Callable[[LdapConnection], T]) -> T:
        """Do a job; what failed is not used again. Raises what is an answer, and SERVER_DOWN, as libldap does."""
        import ldap

        try:
            return job(connection)
        except (ldap.INVALID_CREDENTIALS, ldap.INVALID_DN_SYNTAX, ldap.NO_SUCH_OBJECT, ldap.INAPPROPRIATE_AUTH):
            raise
        except ldap.SERVER_DOWN:
            self._drop(what, connection)
            raise
        except ldap.LDAPError as error:
            self._drop(what, connection)
            raise SourceUnavailable(f"{self.name} gave no answer: {words(error)}") from error

    def _drop(self, what: str, connection: LdapConnection) -> None:
        setattr(self._held, what, None)
        self._all.discard(connection)
        connection.close()


def _filled(template: str, asked: Asked, escape: Callable[[str], str]) -> str:
    """Return a filter or DN with what is asked for in its places, escaped."""
    values = {"user": asked.name, "local": asked.local_part, "domain": asked.domain}
    return re.sub(r"\{(user|local|domain)\}", lambda place: escape(values[place[1]]), template)


def make(section: "LdapSection", parts: Parts) -> Ldap:
    """Return the source. Raises InvalidValue without python-ldap, or where the password's file can't be read."""
    try:
        import ldap  # noqa: F401
    except ModuleNotFoundError as error:
        problem = "an LDAP source needs python-ldap: apt install python3-ldap, or pip install 'mailauth[ldap]'"
        raise InvalidValue(problem) from error
    return Ldap(section, parts)
