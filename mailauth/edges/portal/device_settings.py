"""What a device is set up with, without typing: QR codes and Apple's configuration profile.

The pictures are inline SVG without styles, so that they need no exception from the content security policy.
Everything here holds a secret; none of it is kept.
"""

import json
import plistlib
import uuid
from dataclasses import dataclass

import segno
from markupsafe import Markup

from mailauth.effects.configuration.fields import endpoint
from mailauth.vocabulary.model import AccountName

PROFILE_TYPE = "application/x-apple-aspen-config"

QR_MASK = 0
"""ISO/IEC 18004 s7.8: each of the eight is read; weighing them takes four times as long as all else."""

QR_BYTES = 2331
"""ISO/IEC 18004 table 7: what the largest one holds at level M."""
_TLS, _PASSWORD_IN_CLEAR = 3, 1
"""Numbers of the Thunderbird mobile import format, version 1."""


@dataclass(frozen=True, slots=True)
class MailServers:
    """Where mail is read and sent, both over TLS."""

    imap_host: str
    imap_port: int
    smtp_host: str
    smtp_port: int


def mail_servers(imap: str, smtp: str) -> MailServers:
    """Return the servers that a configuration names as `host:port`."""
    imap_host, imap_port = endpoint(imap)
    smtp_host, smtp_port = endpoint(smtp)
    return MailServers(imap_host, imap_port, smtp_host, smtp_port)


def qr_code(content: str, title: str, description: str) -> Markup:
    """Return a QR code as SVG, with a title and a description for who cannot see it."""
    drawn = segno.make(content, error="m", micro=False, mask=QR_MASK)
    svg = drawn.svg_inline(
        border=4,  # ISO/IEC 18004: four modules of quiet zone
        omitsize=True,
        svgclass="qr",
        lineclass=None,
        title=title,
        desc=description,
        dark="#000000",
        light="#ffffff",
    )
    return Markup(svg.replace("<svg ", '<svg role="img" ', 1))  # noqa: S704  (segno escapes title and description)


def thunderbird_code(account: AccountName, name: str, password: str, servers: MailServers) -> str:
    """Return what Thunderbird for Android scans to set up an account ("Export for Mobile" format, version 1).

    In ASCII where that fits into a QR code: a long name of letters beyond it is shorter as it is.
    """
    incoming = [0, servers.imap_host, servers.imap_port, _TLS, _PASSWORD_IN_CLEAR, account, name, password]
    outgoing = [0, servers.smtp_host, servers.smtp_port, _TLS, _PASSWORD_IN_CLEAR, account, password]
    identity = [account, account.partition("@")[0]]
    settings = [1, [1, 1], incoming, [[outgoing, identity]]]
    in_ascii = json.dumps(settings, separators=(",", ":"))
    return in_ascii if len(in_ascii) <= QR_BYTES else json.dumps(settings, separators=(",", ":"), ensure_ascii=False)


def apple_profile(account: AccountName, provider: str, device: str, password: str, servers: MailServers) -> bytes:
    """Return a configuration profile for iPhone, iPad and Mac that sets up the account (com.apple.mail.managed)."""
    mail = {
        "PayloadType": "com.apple.mail.managed",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"mailauth.mail.{uuid.uuid4()}",
        "PayloadUUID": str(uuid.uuid4()).upper(),
        "PayloadDisplayName": f"{provider}: {account}",
        "EmailAccountType": "EmailTypeIMAP",
        "EmailAccountDescription": provider,
        "EmailAddress": account,
        "IncomingMailServerAuthentication": "EmailAuthPassword",
        "IncomingMailServerHostName": servers.imap_host,
        "IncomingMailServerPortNumber": servers.imap_port,
        "IncomingMailServerUseSSL": True,
        "IncomingMailServerUsername": account,
        "IncomingPassword": password,
        "OutgoingMailServerAuthentication": "EmailAuthPassword",
        "OutgoingMailServerHostName": servers.smtp_host,
        "OutgoingMailServerPortNumber": servers.smtp_port,
        "OutgoingMailServerUseSSL": True,
        "OutgoingMailServerUsername": account,
        "OutgoingPasswordSameAsIncomingPassword": True,
    }
    profile = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"mailauth.profile.{uuid.uuid4()}",
        "PayloadUUID": str(uuid.uuid4()).upper(),
        "PayloadDisplayName": f"{provider}: {device}",
        "PayloadRemovalDisallowed": False,
        "PayloadContent": [mail],
    }
    return plistlib.dumps(profile)
