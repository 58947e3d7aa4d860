"""TLS as in life: clients that verify log in at every port, and nothing is taken in clear.

With it, what comes of a site's own restrictions at the submission ports of the shipped master.cf.
"""

from __future__ import annotations

import base64
import contextlib
import imaplib
import poplib
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from email.message import EmailMessage

import pytest

from tests.cases import case
from tests.stack import clients, sandboxes
from tests.stack.clients import ELSEWHERE, TIMEOUT_S, Address
from tests.stack.people import until
from tests.stack.sandboxes import Account, Sandbox

HOST = "localhost"
Client = Callable[[Address, ssl.SSLContext, str, str], None]
"""Logs in, or raises."""


@contextlib.contextmanager
def left_by(close: Callable[[], object]) -> Iterator[None]:
    """Close a client that has no socket any more where the handshake failed, and complains of it."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            close()


def imaps(address: Address, verifying: ssl.SSLContext, user: str, secret: str) -> None:
    with imaplib.IMAP4_SSL(HOST, address[1], ssl_context=verifying, timeout=TIMEOUT_S) as client:
        client.login(user, secret)


def imap(address: Address, verifying: ssl.SSLContext, user: str, secret: str) -> None:
    client = imaplib.IMAP4(HOST, address[1], timeout=TIMEOUT_S)
    with left_by(client.shutdown):
        client.starttls(verifying)
        client.login(user, secret)


def pop3s(address: Address, verifying: ssl.SSLContext, user: str, secret: str) -> None:
    client = poplib.POP3_SSL(HOST, address[1], context=verifying, timeout=TIMEOUT_S)
    with left_by(client.close):
        client.user(user)
        client.pass_(secret)


def pop3(address: Address, verifying: ssl.SSLContext, user: str, secret: str) -> None:
    client = poplib.POP3(HOST, address[1], timeout=TIMEOUT_S)
    with left_by(client.close):
        client.stls(verifying)
        client.user(user)
        client.pass_(secret)


def submissions(address: Address, verifying: ssl.SSLContext, user: str, secret: str) -> None:
    with smtplib.SMTP_SSL(HOST, address[1], context=verifying, timeout=TIMEOUT_S) as client:
        client.login(user, secret)


def submission(address: Address, verifying: ssl.SSLContext, user: str, secret: str) -> None:
    with smtplib.SMTP(HOST, address[1], timeout=TIMEOUT_S) as client:
        client.ehlo()
        client.starttls(context=verifying)
        client.login(user, secret)


def sieve(address: Address, verifying: ssl.SSLContext, user: str, secret: str) -> None:
    with socket.create_connection((HOST, address[1]), TIMEOUT_S) as plain:
        with plain.makefile("rwb") as stream:
            assert "STARTTLS" in sieve_reply(stream)
            stream.write(b"STARTTLS\r\n")
            stream.flush()
            sieve_reply(stream)
        with verifying.wrap_socket(plain, server_hostname=HOST) as secured, secured.makefile("rwb") as stream:
            sieve_reply(stream)
            initial = base64.b64encode(f"\0{user}\0{secret}".encode()).decode()
            stream.write(f'AUTHENTICATE "PLAIN" "{initial}"\r\n'.encode())
            stream.flush()
            sieve_reply(stream)


def sieve_reply(stream) -> str:  # type: ignore[no-untyped-def]
    """All lines of a response that says OK."""
    said = b""
    while not (line := stream.readline()).startswith(b"OK"):
        assert line, "the server closed"
        assert not line.startswith((b"NO", b"BYE")), line
        said += line
    return said.decode()


PORTS: dict[str, tuple[Client, str, str]] = {
    "imaps": (imaps, "imap", "tls"),
    "imap": (imap, "imap", "tls"),
    "pop3s": (pop3s, "pop3", "tls"),
    "pop3": (pop3, "pop3", "tls"),
    "sieve": (sieve, "sieve", "tls"),
    "submissions": (submissions, "submission", "tls"),
    "submission": (submission, "submission", "tls"),
    "postfix_submissions": (submissions, "submission", "yes"),
    "postfix_submission": (submission, "submission", "yes"),
}
"""Who logs in at a port, and what mailauth hears of it: the service, and how the connection is secured."""


@pytest.fixture(scope="module")
def alice(site: Sandbox) -> Account:
    return site.account(enrolled=True)


@pytest.fixture(scope="module")
def device(alice: Account) -> str:
    """An app password for every service."""
    return alice.app_password()


def logins(site: Sandbox) -> list[str]:
    return [line for line in site.log_files["mailauth"].read_text().splitlines() if " login " in line]


def test_clients_that_verify_log_in_at_every_port_and_mailauth_hears_how_it_is_secured(
    site: Sandbox, verifying: ssl.SSLContext, alice: Account, device: str
) -> None:
    for port, (client, service, secured) in PORTS.items():
        with case(port):
            before = len(logins(site))
            client(getattr(site, port), verifying, alice.name, device)
            until(lambda before=before: len(logins(site)) > before, "the login is logged")
            (line,) = logins(site)[before:]
            assert f" account={alice.name} " in line
            assert f" service={service} client=127.0.0.1 " in line
            assert f" secured={secured} " in line


def test_password_and_code_open_a_mailbox_over_tls(site: Sandbox, verifying: ssl.SSLContext, alice: Account) -> None:
    assert site.imaps is not None
    before = len(logins(site))
    imaps(site.imaps, verifying, alice.name, alice.typed())
    until(lambda: len(logins(site)) > before, "the login is logged")


def test_clients_that_do_not_know_the_authority_refuse(site: Sandbox, alice: Account, device: str) -> None:
    stranger = ssl.create_default_context()
    for port, (client, _, _) in PORTS.items():
        with case(port), pytest.raises(ssl.SSLCertVerificationError):
            client(getattr(site, port), stranger, alice.name, device)


def test_nothing_is_taken_in_clear(site: Sandbox, alice: Account, device: str) -> None:
    """From another address than the server's: Dovecot takes its own for secured."""
    before = logins(site)
    for name, refused, words in (
        ("imap", clients.imap, "PRIVACYREQUIRED"),
        ("pop3", clients.pop3, ""),
        ("sieve", clients.sieve, ""),
        ("submission", clients.swaks, ""),
        ("postfix_submission", clients.swaks, ""),
    ):
        with case(name):
            login = refused(getattr(site, name), alice.name, device, ELSEWHERE)
            assert not login
            assert words in login.words
    assert logins(site) == before


def test_who_sends_as_somebody_else_is_refused_where_the_site_says_so(
    site: Sandbox, verifying: ssl.SSLContext, alice: Account, device: str
) -> None:
    """DOOR4: its restrictions in main.cf hold at the submission ports of the shipped master.cf."""
    bob = site.account()
    command = ["postconf", "-c", str(site.postfix_conf), "-e"]
    sandboxes.run(
        [
            *command,
            f"smtpd_sender_login_maps = inline:{{ {{ {alice.name} = {alice.name} }}, {{ {bob.name} = {bob.name} }} }}",
            "smtpd_sender_restrictions = reject_sender_login_mismatch",
        ]
    )
    site.restart("postfix")
    message = EmailMessage()
    message["To"], message["Subject"] = "carol@elsewhere.example", "really-from-alice"
    message.set_content("Hello")
    assert site.postfix_submissions is not None
    for port, make in (
        (site.postfix_submissions, lambda port: smtplib.SMTP_SSL(HOST, port, context=verifying, timeout=TIMEOUT_S)),
        (site.postfix_submission, lambda port: smtplib.SMTP(HOST, port, timeout=TIMEOUT_S)),
    ):
        with case(port), make(port[1]) as client:
            client.ehlo()
            if not isinstance(client, smtplib.SMTP_SSL):
                client.starttls(context=verifying)
            client.login(alice.name, device)
            with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
                client.send_message(message, from_addr=bob.name)
            ((status, words),) = refused.value.recipients.values()
            assert (status, b"not owned by user" in words) == (553, True), words
            client.send_message(message, from_addr=alice.name)
    site.wait_for_message("really-from-alice")


def test_postfix_has_no_word_against_its_configuration(site: Sandbox) -> None:
    place = str(site.postfix_conf)
    for command in (["postconf", "-c", place, "-n"], ["postfix", "-c", place, "check"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), command
