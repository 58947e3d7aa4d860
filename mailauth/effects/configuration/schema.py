"""What the configuration file may say.

Each key documents itself: `mailauth config describe` and the file that `mailauth init` writes are made from the
descriptions below.

Unknown keys are refused, since a misspelt one would silently not be in force. Values are checked here as far as
they can be without touching anything; files, users and databases are looked at by who uses them.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from mailauth.core.new_password import MIN_CHARACTERS
from mailauth.core.pam_users import PamUsers
from mailauth.core.policy import Policy, parse_cutover
from mailauth.effects.configuration.fields import FilledLine, Line, Section, checked_socket_path
from mailauth.effects.configuration.limit_sections import LimitsSection, LoginMemorySection
from mailauth.effects.configuration.source_sections import (
    AnySource,
    OwnSection,
    PamSection,
    SourceSection,
    checked_domain,
)
from mailauth.effects.configuration.user_sections import (
    MailSection,
    PortalSection,
    ProviderSection,
    RefusalSection,
    checked_address,
)
from mailauth.vocabulary.errors import InvalidValue


class AccountsSection(Section):
    """How account names are read."""

    default_domain: Line = Field(
        "",
        description="The domain of a name that is presented without one. Empty: the domain of provider.support.",
    )

    @field_validator("default_domain")
    @classmethod
    def _is_domain(cls, value: str) -> str:
        return checked_domain(value)


class CutOverSection(Section):
    """From when a second factor is required."""

    date: Line = Field(
        description=(
            "The moment, with its zone: 2025-05-05T00:00 Europe/Brussels, or an ISO 8601 time with an offset. "
            "Required: without it mailauth refuses to start."
        ),
        examples=["2030-05-06T00:00 Europe/Brussels"],
    )

    @field_validator("date", mode="before")
    @classmethod
    def _may_be_toml(cls, value: object) -> object:
        # TOML has times of its own; those with an offset say as much as the string does.
        return value.isoformat() if isinstance(value, date) else value

    @field_validator("date")
    @classmethod
    def _is_moment(cls, value: str) -> str:
        try:
            parse_cutover(value)
        except InvalidValue as error:
            raise ValueError(str(error)) from error
        return value

    def policy(self) -> Policy:
        """Return the rules."""
        return Policy(parse_cutover(self.date))


def embedded_database(directory: Path) -> str:
    """Return the URL of an embedded database in a directory, which is an absolute path."""
    return f"sqlite:///{directory}/mailauth.db"


class DatabaseSection(Section):
    """Where accounts and factors are stored."""

    url: FilledLine = Field(
        "sqlite:////var/lib/mailauth/mailauth.db",
        description="An SQLAlchemy URL. Four slashes begin an absolute path of the embedded SQLite database.",
    )

    @field_validator("url")
    @classmethod
    def _is_supported(cls, value: str) -> str:
        if not value.startswith("sqlite:///") or value in ("sqlite:///", "sqlite:///:memory:"):
            raise ValueError("only SQLite files are supported so far; write it as sqlite:////var/lib/mailauth/x.db")
        if "?" in value or "#" in value:
            raise ValueError("nothing may stand behind the file's name: with mode=memory, say, all would be lost")
        return value


class KeysSection(Section):
    """The key that seals seeds and makes the HMACs."""

    file: FilledLine = Field(
        "/etc/mailauth/mailauth.key",
        description="The key file, mode 0400. A relative path is looked for in systemd's $CREDENTIALS_DIRECTORY.",
    )


MAX_ARGON2_WORK_KIB = 1024 * 1024
"""What `password_schemes` computes at most, which commands that need no hash do not import."""


class Argon2(Section):
    """The strength of new password hashes."""

    time_cost: int = Field(2, ge=1, le=20, description="Passes over the memory.")
    memory_kib: int = Field(19456, ge=64, le=262144, description="Memory of one hash in KiB; 19456 is 19 MiB.")
    parallelism: int = Field(1, ge=1, le=16, description="Lanes.")

    @model_validator(mode="after")
    def _is_bearable(self) -> Self:
        if self.time_cost * self.memory_kib > MAX_ARGON2_WORK_KIB:
            raise ValueError(
                f"time_cost x memory_kib is {self.time_cost * self.memory_kib}, and a login would take seconds: "
                f"{MAX_ARGON2_WORK_KIB} at most"
            )
        return self


class PasswordSection(Section):
    """Passwords that mailauth keeps itself. Who else checks passwords: `[[sources]]`."""

    source: Literal["own", "pam"] = Field(
        "own",
        description=(
            "Older form of `[[sources]]`, where there are none. own: mailauth's own table of argon2id hashes. pam: "
            "system accounts, through PAM."
        ),
    )
    pam_service: FilledLine = Field("mailauth-password", description="With source pam: `service` of its section.")
    pam_local_part_domains: list[Line] = Field(
        default_factory=list, description="With source pam: `local_part_domains` of its section."
    )
    min_characters: int = Field(
        MIN_CHARACTERS,
        ge=1,
        le=64,
        description=(
            "How many characters a new password must have at least (NIST SP 800-63B: 8 beside a second factor, "
            "15 without)."
        ),
    )
    argon2: Argon2 = Field(default_factory=Argon2, description="argon2id parameters (RFC 9106).")

    @field_validator("pam_local_part_domains")
    @classmethod
    def _are_domains(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(checked_domain(each) for each in value))


class DirectorySection(Section):
    """Following what the password sources list, without waiting for logins."""

    every_s: int = Field(
        300,
        ge=30,
        le=86400,
        description="How often the worker lists each source that can be listed: so late is somebody disabled at most.",
    )
    keep_days: int = Field(
        90,
        ge=1,
        le=3650,
        description="For how many days an account is kept, disabled, that its source does not list any more.",
    )
    mail_to: Line = Field(
        "", description="An address that is mailed when removals are held back, since there are too many; empty: none."
    )

    @field_validator("mail_to")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        return checked_address(value) if value else value


class SocketSection(Section):
    """A Unix socket on which the authentication protocol is spoken."""

    path: FilledLine = Field(description="Its absolute path.")
    mode: str = Field("0660", pattern="^0[0-7]{3}$", description="Its permissions.")
    group: Line = Field("", description="Its group, by name; empty for the group of who runs mailauth.")
    allow_users: list[Line] = Field(
        default_factory=list,
        description=(
            "Who may connect, by the kernel's word (SO_PEERCRED), beside root and who runs mailauth. "
            "Empty: whom the permissions let in."
        ),
    )

    lookups: bool = Field(
        False,
        description=(
            "Whether it is told here if an account exists, without a password: what Dovecot asks before it takes mail "
            "for somebody (LMTP). For Dovecot's socket only. Elsewhere the answer is to try again later."
        ),
    )

    fields: bool = Field(
        False,
        description=(
            "Whether it is told here what the password sources' `fields` say of a user: quotas, proxies, and the "
            "passwords of proxies among it. For Dovecot's passdb only, and never for Postfix's socket."
        ),
    )

    forward_password: bool = Field(
        False,
        description=(
            "Whether the bare password, without its code, is handed on here as the field userdb_plain_pass, for "
            "scripts and keys that need it; after an app password there is none. Beside fields = true."
        ),
    )

    @model_validator(mode="after")
    def _has_fields(self) -> Self:
        if self.forward_password and not self.fields:
            raise ValueError("forward_password needs fields = true: it is one of them")
        return self

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, value: str) -> str:
        return checked_socket_path(value)

    @field_validator("mode")
    @classmethod
    def _not_for_all(cls, value: str) -> str:
        if int(value, 8) & 0o001:
            raise ValueError("must not be executable for others")
        return value


def _default_sockets() -> list[SocketSection]:
    path = "/run/mailauth/auth.sock"
    return [SocketSection(path=path, group="dovecot", allow_users=["dovecot"], lookups=True, fields=True)]


class ImportsSection(Section):
    """What is taken over from other systems (`mailauth import`)."""

    foreign_days: int = Field(
        60,
        ge=1,
        le=365,
        description="For how many days an app password of another system may be used here for the first time.",
    )


class ServerSection(Section):
    """The authentication server."""

    deadline_s: float = Field(
        10.0,
        ge=1,
        le=60,
        description="Within how many seconds an attempt is answered, if need be by `unavailable`.",
    )
    refusal_floor_ms: int = Field(
        0,
        ge=0,
        le=500,
        description=(
            "How many milliseconds after its receipt a login by password is refused, at the earliest, and after "
            "another refusal to the same address or of the same name. Needed where passwords are checked in several "
            "ways, so that the time does not tell who has an account; `config check` says so, and how many."
        ),
    )
    idle_s: float = Field(
        600.0,
        ge=5,
        description="After how many silent seconds a connection that waits for nothing is closed.",
    )
    handshake_s: float = Field(
        5.0,
        ge=0.1,
        le=60,
        description="How long a half line, or a connection that has not introduced itself, may last.",
    )
    max_connections: int = Field(2000, ge=1, le=100000, description="How many connections may be open at once.")
    socket: list[SocketSection] = Field(
        default_factory=_default_sockets,
        min_length=1,
        description="The sockets. Sockets that systemd hands over are used instead where there are any.",
    )


class LogSection(Section):
    """What is logged, to standard error and so to the journal."""

    level: Literal["debug", "info", "warning"] = Field("info", description="debug, info or warning.")


class Configuration(Section):
    """The whole file."""

    provider: ProviderSection
    accounts: AccountsSection = Field(default_factory=AccountsSection)
    cutover: CutOverSection
    database: DatabaseSection = Field(default_factory=DatabaseSection)
    keys: KeysSection = Field(default_factory=KeysSection)
    password: PasswordSection = Field(default_factory=PasswordSection)
    sources: list[AnySource] = Field(
        default_factory=list,
        description=(
            "Who checks passwords, in order: a table for each source, `kind` first. Without any, mailauth's own table "
            "alone."
        ),
    )
    directory: DirectorySection = Field(default_factory=DirectorySection)
    imports: ImportsSection = Field(default_factory=ImportsSection)
    limits: LimitsSection = Field(default_factory=LimitsSection)
    login_memory: LoginMemorySection = Field(default_factory=LoginMemorySection)
    refusal: RefusalSection = Field(default_factory=RefusalSection)
    server: ServerSection = Field(default_factory=ServerSection)
    portal: PortalSection = Field(default_factory=PortalSection)
    mail: MailSection
    log: LogSection = Field(default_factory=LogSection)

    def password_sources(self) -> tuple[SourceSection, ...]:
        """Return who checks passwords, in order; also where the older form says it."""
        if self.sources:
            return tuple(self.sources)
        if self.password.source == "own":
            return (OwnSection(kind="own"),)
        return (
            PamSection(
                kind="pam",
                service=self.password.pam_service,
                local_part_domains=self.password.pam_local_part_domains,
                accounts="sync",
                timeout_s=max(self.server.deadline_s, 3.0) if self.server.deadline_s < 30 else 30.0,
            ),
        )

    def keeps_passwords(self) -> bool:
        """Tell whether mailauth's own table is among them."""
        return any(isinstance(each, OwnSection) for each in self.password_sources())

    def pam_sources(self) -> tuple[PamSection, ...]:
        """Return those of them that ask PAM."""
        return tuple(each for each in self.password_sources() if isinstance(each, PamSection))

    def pam_users(self) -> PamUsers:
        """Return which PAM user an account is: nobody's the same as another's where PAM checks no passwords."""
        domains = [domain for each in self.pam_sources() for domain in each.local_part_domains]
        return PamUsers(tuple(dict.fromkeys(domains)))

    @field_validator("sources")
    @classmethod
    def _have_names(cls, value: list[SourceSection]) -> list[SourceSection]:
        twice = {each.name for each in value if [other.name for other in value].count(each.name) > 1}
        if twice:
            raise ValueError(f"two sources are called {min(twice)}; give each its own `name`")
        for place, each in enumerate(value):
            before = next((one for one in value[:place] if one.on_unknown == "stop" and "*" in one.domains), None)
            if before is not None:
                raise ValueError(
                    f'{each.name} is never asked, since {before.name} has all domains; give that on_unknown = "next"'
                )
        return value

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, raw: Any) -> Any:
        """Fill in what follows from the provider's own domain; a missing table is one in which each key is missing."""
        if not isinstance(raw, Mapping):
            return raw
        tables = {name: {} for name, field in cls.model_fields.items() if field.is_required()} | dict(raw)
        sections = [tables.get(name, {}) for name in ("provider", "accounts", "portal")]
        if not all(isinstance(section, Mapping) for section in sections):
            return tables
        provider, accounts, portal = sections
        try:
            domain = checked_domain(
                str(accounts.get("default_domain") or str(provider.get("support", "")).rpartition("@")[2])
            )
        except ValueError:
            return tables  # refused for what it would follow from
        theirs = {"url": f"https://2fa.{domain}", "imap": f"imap.{domain}:993", "smtp": f"smtp.{domain}:465"}
        return tables | {
            "accounts": {**accounts, "default_domain": domain},
            "portal": {**portal, **{key: value for key, value in theirs.items() if portal.get(key, "") == ""}},
        }
