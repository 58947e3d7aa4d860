"""What the configuration says of password sources: a section for each kind, which is their registry.

A kind's module in `effects/sources/` has the kind's name. Touches nothing.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from mailauth.core import names, protocol
from mailauth.effects.configuration.fields import FilledLine, Line, Section, is_loopback
from mailauth.effects.password_schemes import SCHEMES
from mailauth.vocabulary.errors import InvalidName


def checked_domain(text: str) -> str:
    """Return a domain in its canonical form. Raises ValueError, which is what validators raise."""
    try:
        return names.canonicalise(f"x@{text}", text).removeprefix("x@")
    except InvalidName as error:
        raise ValueError(str(error)) from error


def _is_one_domain(patterns: list[str]) -> bool:
    return len(patterns) == 1 and not patterns[0].startswith("*")


def _checked_pattern(text: str) -> str:
    if text == "*":
        return text
    below = text.startswith("*.")
    return ("*." if below else "") + checked_domain(text[2:] if below else text)


class _Source(Section):
    """What all kinds have."""

    name: Line = Field(
        "",
        pattern=r"^([a-z0-9][a-z0-9-]{0,31})?$",
        description="What log, `explain` and the accounts call it. Empty: as its kind.",
    )
    domains: list[Line] = Field(
        default_factory=lambda: ["*"],
        min_length=1,
        description="The domains whose users it has: `example.org`, `*.example.net` for those below it, `*` for all.",
    )
    on_unknown: Literal["stop", "next"] = Field(
        "stop",
        description=(
            'What follows where it does not know a user. "next": the next source with that domain is asked. "stop": '
            "the login is refused."
        ),
    )
    timeout_s: float = Field(
        3.0, ge=0.1, le=30, description="After how many seconds without an answer a login is told to try again later."
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, raw: Any) -> Any:
        return {**raw, "name": raw.get("name") or raw.get("kind", "")} if isinstance(raw, Mapping) else raw

    @field_validator("domains")
    @classmethod
    def _are_patterns(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(_checked_pattern(each) for each in value))


class _ElsewhereSource(_Source):
    """What those have whose accounts are not typed in by hand."""

    accounts: Literal["login", "sync"] = Field(
        "login",
        description=(
            'How accounts are made. "login": also at the first login with a right password. "sync": by '
            "`mailauth directory sync` and the worker alone."
        ),
    )


class _LockingSource(_ElsewhereSource):
    """What those have that count wrong passwords themselves."""

    hard_limit: int = Field(
        0,
        ge=0,
        le=1000,
        description=(
            "How many wrong passwords of one account are passed on within 30 minutes at most; further logins are told "
            "to try again later. One less than the number at which it locks an account. 0: no limit."
        ),
    )


def _checked_fields(names_: list[str]) -> list[str]:
    """Return the fields that are handed on. Raises ValueError for one that must not be, or would open the back end."""
    for name in names_:
        if not protocol.is_field(name):
            raise ValueError(f"{name} is no field that can be handed to Dovecot")
    if "proxy" in names_ and not {"pass", "master"} & set(names_):
        raise ValueError(
            "proxy without pass or master: the back end would be sent what the client typed, with a code that is spent"
        )
    return list(dict.fromkeys(names_))


_DEFAULT_SCHEME = "The scheme of hashes that do not name theirs, by Dovecot's name for it."


class _HashingSource(_ElsewhereSource):
    """What those have that show their hashes."""

    default_scheme: Line = Field("CRYPT", description=_DEFAULT_SCHEME)
    fields: list[Line] = Field(
        default_factory=list,
        description=(
            "Which columns, or extra fields, are handed to Dovecot with a login: userdb_quota_rule, proxy, host and "
            "the like."
        ),
    )

    _fields_are_allowed = field_validator("fields")(_checked_fields)

    @field_validator("default_scheme")
    @classmethod
    def _is_scheme(cls, value: str) -> str:
        if value.upper().replace("_", "-") not in SCHEMES:
            raise ValueError(f"no scheme that can be checked here; these can: {', '.join(sorted(SCHEMES))}")
        return value


class OwnSection(_Source):
    """Mailauth's own table: accounts that were typed in or imported with a password."""

    kind: Literal["own"]


class PamSection(_LockingSource):
    """System accounts, through PAM."""

    kind: Literal["pam"]
    timeout_s: float = Field(  # PAM modules let who was wrong wait
        10.0, ge=0.1, le=30, description="After how many seconds without an answer a login is told to try again later."
    )
    service: FilledLine = Field(
        "mailauth-password",
        description="The file of /etc/pam.d that checks passwords; without pam_mailauth in it.",
    )
    local_part_domains: list[Line] = Field(
        default_factory=list,
        description=(
            "The domains whose accounts are PAM users by the local part alone, as Unix accounts are "
            "(anna@hoster.example is anna). PAM is asked about every other account by its full name. No two accounts "
            "may be the same PAM user."
        ),
    )

    @field_validator("local_part_domains")
    @classmethod
    def _are_domains(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(checked_domain(each) for each in value))


class SqlSection(_HashingSource):
    """Accounts in a database of another system."""

    kind: Literal["sql"]
    url: Line = Field("", description="The database, as an SQLAlchemy URL: mysql+pymysql://user:password@host/name.")
    url_file: Line = Field("", description="A file with the URL in its place, mode 0400, since it has a password.")
    preset: Line = Field(
        "", description="The queries below for a known system: postfixadmin, iredmail, mailcow or mail-in-a-box."
    )
    lookup: str = Field(
        "",
        description=(
            "The SELECT for one user, with the bound parameters :user, :local, :domain, :service, :secured, :client. "
            "Columns: name, hash; optional uid, active, must_change, allow_nets, language, recovery_address, aliases, "
            "alias_domains; and those in `fields`."
        ),
    )
    lookup_by_service: dict[str, str] = Field(
        default_factory=dict, description="Another `lookup` for a service: imap, pop3, smtp, sieve."
    )
    list: str = Field(
        "", description="The SELECT for all users, with the same columns, for the directory. Empty: it is not listed."
    )
    alias_domains: str = Field(
        "", description="With `list`: a SELECT of pairs: a domain, and the one whose users may log in by it as well."
    )
    upgrade: str = Field(
        "",
        description=(
            "The UPDATE that stores :hash in place of :seen for :user. With it a hash of another scheme than argon2id "
            "is replaced at the next right login. Empty: it stays."
        ),
    )

    @model_validator(mode="after")
    def _is_whole(self) -> "SqlSection":
        if bool(self.url) == bool(self.url_file):
            raise ValueError("needs either url or url_file")
        if bool(self.preset) == bool(self.lookup or self.lookup_by_service):
            raise ValueError("needs either a preset or a lookup")
        return self


class PasswdFileSection(_HashingSource):
    """Accounts in a file of Dovecot's passwd-file format, or one like /etc/shadow's first two fields."""

    kind: Literal["passwd-file"]
    file: FilledLine = Field(description="Its path. It is read again whenever it has changed.")


class LdapAttributes(Section):
    """In which attribute each fact of a user is; empty: in none."""

    name: Line = Field("mail", min_length=1, description="The address that is the account's name; one value.")
    uid: Line = Field("entryUUID", description="What stays when the name changes; objectGUID in Active Directory.")
    aliases: Line = Field("", description="Other addresses to log in by; many values.")
    active: Line = Field("", description="Whether the user may log in: TRUE, active, 1 and the like.")
    language: Line = Field("", description="The language for pages and mails: preferredLanguage.")
    recovery_address: Line = Field(
        "",
        description="Another address of the user, for recovery codes; one that users cannot change by their password.",
    )
    allow_nets: Line = Field("", description="The only networks to log in from.")

    def named(self) -> dict[str, str]:
        """Return the attributes by what they are for, those that there are."""
        return {fact: attribute for fact, attribute in self.model_dump().items() if attribute}


class LdapSection(_LockingSource):
    """Accounts in an LDAP directory, Active Directory among them."""

    kind: Literal["ldap"]
    url: FilledLine = Field(description="The server: ldaps://ldap.example.org, ldap:// with start_tls, or ldapi://.")
    start_tls: bool = Field(False, description="Encrypt an ldap:// connection before anything is sent.")
    ca_file: Line = Field("", description="Who signs the server's certificate. Empty: those that the system trusts.")
    bind_dn: Line = Field("", description="As whom users are searched for. Empty: as nobody.")
    bind_password_file: Line = Field("", description="A file with its password, mode 0400.")
    base: Line = Field("", description="Below which DN users are searched for.")
    filter: Line = Field(
        "(mail={user})",
        description="The search for one user. {user}, {local} and {domain} are the name's parts, escaped.",
    )
    list_filter: Line = Field("", description="The search for all users, for the directory. Empty: it is not listed.")
    dn: Line = Field(
        "",
        description=(
            "The DN of a user, in place of a search: uid={local},ou=people,dc=example,dc=org. Nothing else is known "
            "of the user then."
        ),
    )
    attributes: LdapAttributes = Field(default_factory=LdapAttributes, description="Where each fact of a user is.")
    fields: list[Line] = Field(
        default_factory=list, description="Which attributes are handed to Dovecot with a login."
    )

    _fields_are_allowed = field_validator("fields")(_checked_fields)

    @model_validator(mode="after")
    def _is_safe(self) -> "LdapSection":
        scheme, _, rest = self.url.partition("://")
        if scheme not in ("ldap", "ldaps", "ldapi") or not rest:
            raise ValueError("url: write it as ldaps://ldap.example.org, or ldapi://%2Frun%2Fslapd%2Fldapi")
        if scheme == "ldap" and not self.start_tls and not is_loopback(urlsplit(self.url).hostname or ""):
            raise ValueError("url: passwords would cross the network in the clear; use ldaps:// or start_tls = true")
        if scheme != "ldap" and self.start_tls:
            raise ValueError("start_tls is for ldap:// alone")
        if not self.base and not self.dn:
            raise ValueError("needs either base, with filter, or dn")
        placed = ("{user}", "{local}")
        if not any(place in (self.dn or self.filter) for place in placed):
            raise ValueError("neither {user} nor {local} stands in it: everybody would be the same user")
        is_by_local_part = "{user}" not in self.dn and "{domain}" not in self.dn
        if self.dn and is_by_local_part and not _is_one_domain(self.domains):
            raise ValueError("dn: name the one domain in `domains`, or anna@ of any domain would be one user")
        return self


class ImapSection(_LockingSource):
    """Accounts of another IMAP server, which is asked by a login there."""

    kind: Literal["imap"]
    host: FilledLine = Field(description="The server's name, which its certificate has to have.")
    port: int = Field(993, ge=1, le=65535, description="Its port.")
    tls: Literal["tls", "starttls", "none"] = Field(
        "tls", description="tls: from the start. starttls: before the login. none: for this very machine alone."
    )
    ca_file: Line = Field("", description="Who signs the server's certificate. Empty: those that the system trusts.")
    local_part: bool = Field(False, description="Whether its users are called by the part before the @ alone.")

    @model_validator(mode="after")
    def _is_safe(self) -> "ImapSection":
        if self.tls == "none" and not is_loopback(self.host):
            raise ValueError('tls = "none" would send passwords over the network in the clear')
        if self.local_part and not _is_one_domain(self.domains):
            raise ValueError("local_part: name the one domain in `domains`, or anna@ of any domain would be one user")
        return self


SourceSection = OwnSection | PamSection | SqlSection | PasswdFileSection | LdapSection | ImapSection
"""A source of any kind."""
KINDS = tuple(get_args(each.model_fields["kind"].annotation)[0] for each in get_args(SourceSection))
"""The kinds, by the names that the configuration has for them."""
AnySource = Annotated[SourceSection, Field(discriminator="kind")]
