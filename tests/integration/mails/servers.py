"""SMTP servers on loopback that take mails, refuse them, or misbehave; and the certificates that they show.

Real servers by aiosmtpd, in the test's own event loop; what happens at the end of a conversation is a raw socket's.
"""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Taken:
    """What one server has seen. `replies` are what it says, by command; else it says yes."""

    port: int = 0
    envelopes: list[Envelope] = field(default_factory=list)
    replies: dict[str, str] = field(default_factory=dict)
    connections: int = 0
    logins: list[tuple[str, str]] = field(default_factory=list)
    before_the_end: Callable[[], Awaitable[None]] | None = None

    # Methods, since aiosmtpd looks at every attribute of its handler for each connection.
    def mails(self) -> list[EmailMessage]:
        """Return what was taken, parsed."""
        return [message_from_bytes(bytes(each.content or b""), policy=modern) for each in self.envelopes]  # type: ignore[arg-type]

    def ids(self) -> list[str]:
        """Return the Message-IDs of what was taken."""
        return [str(mail["Message-ID"]) for mail in self.mails()]

    async def handle_EHLO(  # noqa: N802 (aiosmtpd's names)
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.replies.get("MAIL", "250 yes")

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = self.replies.get(address, self.replies.get("RCPT", "250 yes"))
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        reply = self.replies.get("DATA", "250 taken")
        if reply.startswith("250"):
            self.envelopes.append(envelope)
        if self.before_the_end is not None:
            await self.before_the_end()
        return reply

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=self.logins[-1] == ("mailer", "secret"), handled=False)


@asynccontextmanager
async def smtp_server(taken: Taken | None = None, **options: Any) -> AsyncIterator[Taken]:
    """Run a server; options are aiosmtpd's."""
    taken = Taken() if taken is None else taken
    implicit = options.pop("implicit_tls", None)

    open_ones: list[SMTP] = []

    def connection() -> SMTP:
        open_ones.append(SMTP(taken, hostname="mx.example.org", **{"enable_SMTPUTF8": True, **options}))
        return open_ones[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", taken.port, ssl=implicit)
    taken.port = server.sockets[0].getsockname()[1]
    try:
        yield taken
    finally:
        server.close()
        for each in open_ones:
            # Python 3.11.2 (Debian 12's) fails so where TLS has ended already.
            with contextlib.suppress(AttributeError):
                each.transport.abort()
        await asyncio.sleep(0)  # one turn of the loop, in which the sockets are closed


@asynccontextmanager
async def scripted_server(lines: list[bytes | None], *, after_data: bytes | None = None) -> AsyncIterator[Taken]:
    """Run a server that answers each command with the next line and, at None, hangs up without a word.

    `after_data`: the answer to the mail itself, after which the connection is reset.
    """
    taken = Taken()
    open_writers: list[asyncio.StreamWriter] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.connections += 1
        open_writers.append(writer)
        for line in lines:
            if line is None:
                break
            writer.write(line)
            command = await reader.readline()
            if command[:4].upper() == b"DATA" and after_data is not None:
                writer.write(b"354 go on\r\n")
                content = await reader.readuntil(b"\r\n.\r\n")
                envelope = Envelope()
                envelope.content = content.removesuffix(b".\r\n")
                taken.envelopes.append(envelope)
                writer.write(after_data)
                await writer.drain()
                break
        writer.transport.abort()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    taken.port = server.sockets[0].getsockname()[1]
    try:
        yield taken
    finally:
        server.close()


@dataclass(frozen=True)
class Certificates:
    """A certificate for a name, signed by itself: who trusts it is up to the test."""

    certificate: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        """Return what a server shows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def trusting(self) -> ssl.SSLContext:
        """Return what a client that trusts it checks by."""
        return ssl.create_default_context(cafile=str(self.certificate))


def make_certificate(directory: Path, name: str) -> Certificates:
    """Make a certificate for a host name or an address."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = Certificates(directory / f"{name}.pem", directory / f"{name}.key")
    paths.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
