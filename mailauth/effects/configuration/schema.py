"""What the configuration file may say.

Each key documents itself: `mailauth config describe` and the file that `mailauth init` writes are made from the
descriptions below.

Unknown keys are refused, since a misspelt one would silently not be in force. Values are checked here as far as
they can be without touching anything; files, users and databases are looked at by who uses them.
"""

import re
from datetime import date, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from mailauth.core import names, texts
from mailauth.core.limiter import Limits, Rate
from mailauth.core.login_memory import Profile, Profiles
from mailauth.core.policy import CutOver, parse_cutover
from mailauth.vocabulary.errors import InvalidName, InvalidValue

_MAX_PROVIDER_BYTES = 64
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]*\Z")


def _one_line(value: str) -> str:
    if not _PRINTABLE.match(value):
        raise ValueError("control characters and line breaks are not allowed")
    return value


Line = Annotated[str, AfterValidator(_one_line)]
FilledLine = Annotated[Line, Field(min_length=1)]


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


class Provider(Section):
    """Who the users think they are dealing with."""

    name: FilledLine = Field(
        "Mail-IT-Wize", description="The provider's name: the title of the item in the authenticator app."
    )
    support: FilledLine = Field("support@mailitwize.be", description="The address that users write to for help.")
    url: FilledLine = Field(
        "https://www.mailitwize.be/2fa",
        description="Where a refused login sends people: how to set up, or an app password.",
    )
    language: Literal["en", "nl", "fr", "de"] = Field(
        "en", description="The language of refusals, and of pages and mails for who has not chosen one."
    )

    @field_validator("name")
    @classmethod
    def _no_colon(cls, value: str) -> str:
        if ":" in value:
            raise ValueError("no colon: it would end the title that the authenticator app shows")
        if len(value.encode()) > _MAX_PROVIDER_BYTES:
            raise ValueError(f"at most {_MAX_PROVIDER_BYTES} bytes, so that the title and refusals show it whole")
        return value

    @field_validator("url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("https", "http") or not parts.netloc:
            raise ValueError("not a web address; write it as https://www.example.org/2fa")
        if len(value) > 160 or " " in value:
            raise ValueError("at most 160 characters and no spaces, so that mail clients show it whole")
        return value


class Accounts(Section):
    """How account names are read."""

    default_domain: FilledLine = Field(
        "mailitwize.be", description="The domain of a name that is presented without one."
    )

    @field_validator("default_domain")
    @classmethod
    def _is_domain(cls, value: str) -> str:
        try:
            return names.canonicalise(f"x@{value}", value).removeprefix("x@")
        except InvalidName as error:
            raise ValueError(str(error)) from error


class CutOverSection(Section):
    """From when a second factor is required."""

    date: Line = Field(
        description=(
            "The moment, with its zone: 2025-05-05T00:00 Europe/Brussels, or an ISO 8601 time with an offset. "
            "Required: without it mailauth refuses to start."
        )
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

    def cutover(self) -> CutOver:
        """Return the moment."""
        return parse_cutover(self.date)


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
        return value


class Keys(Section):
    """The key that seals seeds and makes the HMACs."""

    file: FilledLine = Field(
        "/etc/mailauth/mailauth.key",
        description="The key file, mode 0400. A relative path is looked for in systemd's $CREDENTIALS_DIRECTORY.",
    )


class Argon2(Section):
    """The strength of new password hashes."""

    time_cost: int = Field(2, ge=1, le=20, description="Passes over the memory.")
    memory_kib: int = Field(19456, ge=64, le=1048576, description="Memory of one hash in KiB; 19456 is 19 MiB.")
    parallelism: int = Field(1, ge=1, le=16, description="Lanes.")


class Password(Section):
    """Who checks the first factor, the password."""

    source: Literal["own", "pam"] = Field(
        "own", description="own: mailauth's own table of argon2id hashes. pam: system accounts, through PAM."
    )
    pam_service: FilledLine = Field(
        "mailauth-password",
        description="With source pam: the file of /etc/pam.d that checks passwords; without pam_mailauth in it.",
    )
    argon2: Argon2 = Field(default_factory=Argon2, description="argon2id parameters (RFC 9106).")


class LimitsSection(Section):
    """How many wrong logins are admitted: each kind so many at once, and one more every so many seconds."""

    source_burst: int = Field(60, ge=1, description="Wrong logins from one address (IPv6: a /64) at once.")
    source_interval_s: float = Field(60, gt=0, description="Seconds for one more.")
    site_burst: int = Field(600, ge=1, description="Wrong logins from one IPv6 /48 at once.")
    site_interval_s: float = Field(6, gt=0, description="Seconds for one more.")
    account_and_source_burst: int = Field(
        20, ge=1, description="Wrong logins to one account from one address at once."
    )
    account_and_source_interval_s: float = Field(120, gt=0, description="Seconds for one more.")
    account_burst: int = Field(
        50, ge=1, description="Wrong logins to one account from all addresses that are not familiar to it, at once."
    )
    account_interval_s: float = Field(
        86400, gt=0, description="Seconds for one more; a day keeps 30 days under 100 (NIST SP 800-63B s3.2.2)."
    )
    code_burst: int = Field(50, ge=1, description="Wrong codes with the right password to one account at once.")
    code_interval_s: float = Field(
        51840,
        gt=0,
        description="Seconds for one more; 50 in 30 days, for a guesser's chance under 4 in 1,000 a year.",
    )
    repeat_burst: int = Field(
        60, ge=1, description="The same wrong secret for one account from one address again, at once."
    )
    repeat_interval_s: float = Field(10, gt=0, description="Seconds for one more.")
    trusted_networks: list[Line] = Field(
        default_factory=lambda: ["127.0.0.0/8", "::1/128"],
        description="Networks that speak for many people, such as a web mail host: no limit by address for them.",
    )

    @field_validator("trusted_networks")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        return _networks(value)

    def limits(self) -> Limits:
        """Return the rates of all buckets."""
        return Limits(
            source=Rate(self.source_burst, self.source_interval_s),
            site=Rate(self.site_burst, self.site_interval_s),
            account_and_source=Rate(self.account_and_source_burst, self.account_and_source_interval_s),
            account=Rate(self.account_burst, self.account_interval_s),
            code=Rate(self.code_burst, self.code_interval_s),
            repeat=Rate(self.repeat_burst, self.repeat_interval_s),
        )


class MemoryProfile(Section):
    """The login memory for clients in some networks, a web mail host for instance."""

    networks: list[Line] = Field(min_length=1, description="The clients' networks.")
    life_s: int = Field(36000, ge=1, le=86400, description="Seconds from the first login on.")
    idle_s: int = Field(1800, ge=0, description="Seconds within which it has to be used again; 0 for any.")
    max_uses: int = Field(10000, ge=1, description="Logins that one accepted password + code may serve.")

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        return _networks(value)


class LoginMemorySection(Section):
    """For how long an accepted password + code serves the other connections of the same client."""

    life_s: int = Field(600, ge=0, le=86400, description="Seconds from the first login on; 0 remembers nothing.")
    idle_s: int = Field(0, ge=0, description="Seconds within which it has to be used again; 0 for any.")
    max_uses: int = Field(1000, ge=1, description="Logins that one accepted password + code may serve.")
    profile: list[MemoryProfile] = Field(
        default_factory=list,
        description="Tables of networks with times of their own: a web mail host logs in at every click.",
    )

    def profiles(self) -> Profiles:
        """Return the profiles."""
        return Profiles(
            _profile(self), tuple((ip_network(text), _profile(own)) for own in self.profile for text in own.networks)
        )


def _profile(section: LoginMemorySection | MemoryProfile) -> Profile:
    idle = timedelta(seconds=section.idle_s) if section.idle_s else None
    return Profile(timedelta(seconds=section.life_s), idle, section.max_uses)


def _networks(texts_: list[str]) -> list[str]:
    try:
        return [checked_network(text) for text in texts_]
    except InvalidValue as error:
        raise ValueError(str(error)) from error


class Refusal(Section):
    """What a refused login is told: one text for every refusal, whatever the reason."""

    imap_code: Literal["ALERT", "AUTHENTICATIONFAILED", "UNAVAILABLE", ""] = Field(
        "ALERT",
        description=(
            "IMAP's response code. Thunderbird shows ALERT, K-9 notifies on AUTHENTICATIONFAILED; empty for none."
        ),
    )
    before: FilledLine = Field(
        texts.BEFORE, description="The text before the cut-over. {url}, {date} and {provider} are filled in."
    )
    after: FilledLine = Field(texts.AFTER, description="The text from the cut-over on.")

    @field_validator("before", "after")
    @classmethod
    def _is_template(cls, value: str) -> str:
        try:
            filled = value.format(url="u" * 160, date="30 September 2025", provider="p" * _MAX_PROVIDER_BYTES)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise ValueError("only {url}, {date} and {provider} can be filled in; other braces are doubled") from error
        if len(filled.encode()) > texts.MAX_TEXT_BYTES:
            raise ValueError(f"at most {texts.MAX_TEXT_BYTES} bytes when filled in, to fit an SMTP reply")
        if value.startswith("["):
            raise ValueError("must not begin with a bracket: the response code is chosen by refusal.imap_code")
        return value


class Socket(Section):
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

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, value: str) -> str:
        if not Path(value).is_absolute():
            raise ValueError("an absolute path is needed")
        if len(value.encode()) > 107:
            raise ValueError("a Unix socket's path has at most 107 bytes")
        return value

    @field_validator("mode")
    @classmethod
    def _not_for_all(cls, value: str) -> str:
        if int(value, 8) & 0o001:
            raise ValueError("must not be executable for others")
        return value


def _default_sockets() -> list[Socket]:
    return [Socket(path="/run/mailauth/auth.sock", group="dovecot", allow_users=["dovecot"])]


class Server(Section):
    """The authentication server."""

    deadline_s: float = Field(
        10.0,
        ge=1,
        le=60,
        description="Within how many seconds an attempt is answered, if need be by `unavailable`.",
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
    socket: list[Socket] = Field(
        default_factory=_default_sockets,
        min_length=1,
        description="The sockets. Sockets that systemd hands over are used instead where there are any.",
    )


class Portal(Section):
    """The web pages on which users set up and manage their second factors (`mailauth serve portal`)."""

    url: FilledLine = Field(
        "https://2fa.mailitwize.be",
        description="Its public address, without a path; links in mails begin with it, and requests for others are refused.",
    )
    listen: FilledLine = Field(
        "127.0.0.1:8425", description="Where it listens, as ADDRESS:PORT, for the web server in front that does TLS."
    )
    trusted_proxies: list[Line] = Field(
        default_factory=lambda: ["127.0.0.0/8", "::1/128"],
        description="Networks of web servers whose X-Forwarded-For is believed.",
    )
    logo: Line = Field("", description="A PNG or SVG file with the provider's logo; empty for its name in letters.")
    colour: str = Field(
        "#1d5b8f", pattern="^#[0-9a-fA-F]{6}$", description="The provider's colour, of buttons and links: #rrggbb."
    )
    imap: FilledLine = Field(
        "imap.mailitwize.be:993", description="What users enter for reading mail (TLS), shown beside app passwords."
    )
    smtp: FilledLine = Field(
        "smtp.mailitwize.be:465", description="What users enter for sending mail (TLS), shown beside app passwords."
    )
    idle_s: int = Field(1200, ge=60, le=86400, description="Seconds without a click after which one is logged out.")
    life_s: int = Field(43200, ge=300, le=604800, description="Seconds after which one is logged out anyway.")

    @field_validator("url")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("https", "http") or not parts.hostname or value.removesuffix("/") != _origin(value):
            raise ValueError("not a web address without a path; write it as https://2fa.example.org")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise ValueError("http is for this machine alone; passwords need https")
        return value.removesuffix("/")

    @field_validator("listen", "imap", "smtp")
    @classmethod
    def _is_endpoint(cls, value: str) -> str:
        endpoint(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        return _networks(value)


class Mail(Section):
    """How mails to users leave (`mailauth serve worker`)."""

    sender: FilledLine = Field(
        "support@mailitwize.be", description="From whom they come: an address, shown with the provider's name."
    )
    host: FilledLine = Field("127.0.0.1", description="The SMTP server that takes them.")
    port: int = Field(25, ge=1, le=65535, description="Its port.")
    tls: Literal["none", "starttls", "tls"] = Field(
        "none", description="none: to this machine only. starttls, tls: with a verified certificate."
    )
    user: Line = Field("", description="The name to log in there; empty for no login.")
    password_file: Line = Field("", description="The file with that name's password, mode 0400.")

    @field_validator("sender")
    @classmethod
    def _is_address(cls, value: str) -> str:
        try:
            return validate_email(value, check_deliverability=False, test_environment=True).normalized
        except EmailNotValidError as error:
            raise ValueError(f"not an e-mail address: {error}") from error

    @model_validator(mode="after")
    def _is_private(self) -> "Mail":
        if self.tls == "none" and not _is_loopback(self.host):
            raise ValueError('tls = "none" is for this machine alone; recovery codes need "starttls" or "tls"')
        if bool(self.user) != bool(self.password_file):
            raise ValueError("user and password_file go together")
        return self


class Log(Section):
    """What is logged, to standard error and so to the journal."""

    level: Literal["debug", "info", "warning"] = Field("info", description="debug, info or warning.")


class Configuration(Section):
    """The whole file."""

    provider: Provider = Field(default_factory=Provider)
    accounts: Accounts = Field(default_factory=Accounts)
    cutover: CutOverSection
    database: DatabaseSection = Field(default_factory=DatabaseSection)
    keys: Keys = Field(default_factory=Keys)
    password: Password = Field(default_factory=Password)
    limits: LimitsSection = Field(default_factory=LimitsSection)
    login_memory: LoginMemorySection = Field(default_factory=LoginMemorySection)
    refusal: Refusal = Field(default_factory=Refusal)
    server: Server = Field(default_factory=Server)
    portal: Portal = Field(default_factory=Portal)
    mail: Mail = Field(default_factory=Mail)
    log: Log = Field(default_factory=Log)


def endpoint(text: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[v6]:port`. Raises ValueError with what is wrong."""
    parts = urlsplit(f"//{text}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or not port or parts.username is not None or parts.path or parts.query or parts.fragment:
        raise ValueError("not an address with a port; write it as imap.example.org:993 or 127.0.0.1:8425")
    return parts.hostname, port


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checked_network(text: str) -> str:
    """Return a network that a person wrote. Raises InvalidValue with what is wrong."""
    try:
        return str(ip_network(text.strip()))
    except ValueError as error:
        raise InvalidValue(f"not a network: {error}; write it as 192.0.2.0/24 or 2001:db8::/64") from error
