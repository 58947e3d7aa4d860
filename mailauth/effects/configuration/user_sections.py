"""The sections on what users see and get: the provider, refusals, the portal, mails."""

import re
from ipaddress import ip_network
from typing import Literal
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from pydantic import Field, field_validator, model_validator

from mailauth.core import mail_address, texts
from mailauth.core.ascii_words import can_be_in_ascii
from mailauth.core.web_addresses import origin_of
from mailauth.effects import helo
from mailauth.effects.configuration.fields import (
    LOOPBACK,
    FilledLine,
    Line,
    Section,
    checked_networks,
    endpoint,
    is_loopback,
    socket_path,
)
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.languages import LANGUAGES, SOURCE

_MAX_PROVIDER_BYTES = 64


class ProviderSection(Section):
    """Who the users think they are dealing with."""

    name: FilledLine = Field(
        description="The provider's name: the title of the item in the authenticator app.", examples=["Example Mail"]
    )
    support: FilledLine = Field(
        description="The e-mail address that users write to for help.", examples=["support@example.org"]
    )
    url: FilledLine = Field(
        description="The web page that a refused login names: how to set up a second factor, or an app password.",
        examples=["https://www.example.org/2fa"],
    )
    language: str = Field(
        SOURCE,
        description=(
            f"The language of refusals, and of pages and mails for who has not chosen one: {', '.join(LANGUAGES)}."
        ),
    )

    @field_validator("name")
    @classmethod
    def _no_colon(cls, value: str) -> str:
        if ":" in value:
            raise ValueError("no colon: it would end the title that the authenticator app shows")
        if len(value.encode()) > _MAX_PROVIDER_BYTES:
            raise ValueError(f"at most {_MAX_PROVIDER_BYTES} bytes, so that the title and refusals show it whole")
        return value

    @field_validator("support")
    @classmethod
    def _is_address(cls, value: str) -> str:
        return checked_address(value)

    @field_validator("language")
    @classmethod
    def _is_spoken(cls, value: str) -> str:
        if value not in LANGUAGES:
            raise ValueError(f"no language that mailauth speaks; one of {', '.join(LANGUAGES)}")
        return value

    @field_validator("url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        origin, rest = _split_url(value, "a web address; write it as https://www.example.org/2fa")
        if len(origin + rest) > 160 or " " in rest:
            raise ValueError("at most 160 characters and no spaces, so that mail clients show it whole")
        if not rest.isascii():
            raise ValueError("what stands behind the host has to be ASCII (%C3%A9 for \u00e9): refusals are")
        return origin + rest


class RefusalSection(Section):
    """What a refused login is told: one text for every refusal, whatever the reason."""

    imap_code: Literal["ALERT", "AUTHENTICATIONFAILED", "UNAVAILABLE", ""] = Field(
        "ALERT",
        description=(
            "IMAP's response code. Thunderbird shows ALERT, K-9 notifies on AUTHENTICATIONFAILED; empty for none."
        ),
    )
    before: FilledLine = Field(
        texts.BEFORE,
        description=(
            "The text before the cut-over. {url}, {date} and {provider} are filled in. "
            "As long as it is the English one, it is said in provider.language. Letters beyond ASCII go out as those "
            "nearest to them (ae, e, ss): mail clients need not read others here."
        ),
    )
    after: FilledLine = Field(texts.AFTER, description="The text from the cut-over on; the same goes for it.")

    @field_validator("before", "after")
    @classmethod
    def _is_template(cls, value: str) -> str:
        try:
            filled = value.format(url="u" * 160, date="30 September 2025", provider="p" * _MAX_PROVIDER_BYTES)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise ValueError("only {url}, {date} and {provider} can be filled in; other braces are doubled") from error
        if len(filled.encode()) > texts.MAX_TEXT_BYTES:
            raise ValueError(f"at most {texts.MAX_TEXT_BYTES} bytes when filled in, to fit an SMTP reply")
        if not can_be_in_ascii(value):
            raise ValueError("goes out in ASCII (as ae, e, ss), which some of its letters have no form in")
        if value.startswith("["):
            raise ValueError("must not begin with a bracket: the response code is chosen by refusal.imap_code")
        return value


class PortalSection(Section):
    """The web pages on which users set up and manage their second factors (`mailauth serve portal`)."""

    url: Line = Field(
        "",
        description=(
            "Its public address, without a path: links in mails begin with it, other names are refused. "
            "Empty: https://2fa. and accounts.default_domain."
        ),
    )
    listen: FilledLine = Field(
        "unix:/run/mailauth/portal.sock",
        description=(
            "Where it listens for the web server in front that does TLS: unix:PATH. Whoever can connect says who the "
            "client is. ADDRESS:PORT is for a web server on another host, named in trusted_proxies."
        ),
    )
    socket_group: Line = Field(
        "www-data", description="The Unix socket's group: the web server's, and nobody else's. Empty: the process's."
    )
    socket_mode: str = Field("0660", pattern="^0[0-7]{3}$", description="The Unix socket's permissions.")
    trusted_proxies: list[Line] = Field(
        default_factory=list,
        description=(
            "Networks of web servers, and of proxies in front of them, whose X-Forwarded-For is believed. "
            "A web server at the Unix socket needs no entry."
        ),
    )
    max_connections: int = Field(
        512,
        ge=1,
        le=100000,
        description="How many connections may be open at once. What waits longest for its own request makes room.",
    )
    logo: Line = Field("", description="A PNG or SVG file with the provider's logo; empty for its name in letters.")
    colour: str = Field(
        "#1d5b8f", pattern="^#[0-9a-fA-F]{6}$", description="The provider's colour, of buttons and links: #rrggbb."
    )
    imap: Line = Field(
        "",
        description=(
            "What users enter for reading mail (TLS), shown beside app passwords. "
            "Empty: imap. and accounts.default_domain, port 993."
        ),
    )
    smtp: Line = Field(
        "",
        description=(
            "What users enter for sending mail (TLS), shown beside app passwords. "
            "Empty: smtp. and accounts.default_domain, port 465."
        ),
    )
    idle_s: int = Field(1200, ge=60, le=86400, description="Seconds without a click after which one is logged out.")
    life_s: int = Field(43200, ge=300, le=604800, description="Seconds after which one is logged out anyway.")

    @field_validator("url")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        wanted = "a web address without a path; write it as https://2fa.example.org"
        origin, rest = _split_url(value, wanted)
        if rest not in ("", "/"):
            raise ValueError(f"not {wanted}")
        if origin.startswith("http:") and not is_loopback(urlsplit(origin).hostname or ""):
            raise ValueError("http is for this machine alone; passwords need https")
        return origin

    @field_validator("imap", "smtp")
    @classmethod
    def _is_endpoint(cls, value: str) -> str:
        endpoint(value)
        return value

    @field_validator("listen")
    @classmethod
    def _is_place(cls, value: str) -> str:
        if socket_path(value) is None:
            endpoint(value)
        return value

    @field_validator("socket_mode")
    @classmethod
    def _not_for_all(cls, value: str) -> str:
        if int(value, 8) & 0o007:
            raise ValueError("nothing for others: whoever can connect says who the client is")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        checked = checked_networks(value)
        for network in map(ip_network, checked):
            if any(network.version == own.version and network.overlaps(own) for own in LOOPBACK):
                raise ValueError(
                    f"{network} is every program of this machine; let the web server here use the Unix socket (listen)"
                )
        return checked

    @model_validator(mode="after")
    def _has_a_proxy(self) -> "PortalSection":
        is_tried_out = is_loopback(urlsplit(self.url).hostname or "")
        if self.socket_path is None and not self.trusted_proxies and not is_tried_out:
            raise ValueError(
                "at ADDRESS:PORT, trusted_proxies has to name the web server in front: without its word all clients "
                'are one; on this host let it use the Unix socket: listen = "unix:/run/mailauth/portal.sock"'
            )
        return self

    @property
    def socket_path(self) -> str | None:
        """The path of the Unix socket, or None where it listens on a port."""
        return socket_path(self.listen)


class MailSection(Section):
    """How mails to users leave (`mailauth serve worker`)."""

    sender: FilledLine = Field(
        description="From whom they come: an address, shown with the provider's name.",
        examples=["support@example.org"],
    )
    host: FilledLine = Field("127.0.0.1", description="The SMTP server that takes them.")
    port: int = Field(25, ge=1, le=65535, description="Its port.")
    tls: Literal["none", "starttls", "tls"] = Field(
        "none", description="none: to this machine only. starttls, tls: with a verified certificate."
    )
    user: Line = Field("", description="The name to log in there; empty for no login.")
    password_file: Line = Field("", description="The file with that name's password, mode 0400.")
    helo: Line = Field(
        "",
        description=(
            "The host name that the worker gives in EHLO, in full: mail.example.org. "
            "Empty: this machine's full name; where it has none, the host of portal.url, or the sender's domain."
        ),
    )

    @field_validator("helo")
    @classmethod
    def _is_host(cls, value: str) -> str:
        if not value:
            return value
        try:
            name = mail_address.domain_in_ascii(value)
        except InvalidValue:
            name = ""
        if not helo.is_fqdn(name):
            raise ValueError("not the full name of a host; write it as mail.example.org")
        return name

    @field_validator("sender")
    @classmethod
    def _is_ascii_address(cls, value: str) -> str:
        address = mail_address.in_ascii(checked_address(value))
        if not address.isascii():
            raise ValueError("only ASCII before the @: else no mail leaves where a server lacks SMTPUTF8 (RFC 6531)")
        return address

    @model_validator(mode="after")
    def _is_private(self) -> "MailSection":
        if self.tls == "none" and not is_loopback(self.host):
            raise ValueError('tls = "none" is for this machine alone; recovery codes need "starttls" or "tls"')
        if bool(self.user) != bool(self.password_file):
            raise ValueError("user and password_file go together")
        return self


def _split_url(value: str, wanted: str) -> tuple[str, str]:
    """Return a web address's origin, in its one form, and what stands behind it. Raises ValueError."""
    if "@" in value.partition("://")[2].partition("/")[0]:
        raise ValueError(f"there is a user's name in it: not {wanted}")
    try:
        origin = origin_of(value)
    except InvalidValue as error:
        raise ValueError(f"not {wanted}") from error
    rest = value.partition("://")[2]
    return origin, rest[len(re.split(r"[/?#]", rest, maxsplit=1)[0]) :]


def checked_address(value: str) -> str:
    """Return an e-mail address in its one form. Raises ValueError."""
    try:
        return validate_email(value, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise ValueError(f"not an e-mail address: {error}") from error
