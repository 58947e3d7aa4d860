"""Real mail clients, as far as logging in: aioimaplib, curl, swaks, sieve, doveadm.

Each returns a Login: whether it was let in, and the server's own words. They connect
from any address of 127.0.0.0/8, which is what the server then sees as the client's.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import shutil
import smtplib
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aioimaplib.aioimaplib import IMAP4, IMAP4ClientProtocol

Address = tuple[str, int]
HOME = "127.0.0.1"
ELSEWHERE = "127.0.0.2"
TIMEOUT_S = 40.0  # a server that waits for a dead daemon needs ten seconds and more


@dataclass(frozen=True)
class Login:
    """What came of a login: `words` is the server's reply, without tag or +OK."""

    ok: bool
    words: str

    def __bool__(self) -> bool:
        return self.ok


class Imap(IMAP4):
    """aioimaplib's client, from a source address of our choice."""

    def __init__(self, address: Address, source: str = HOME, timeout: float = TIMEOUT_S) -> None:
        self.source = source
        super().__init__(address[0], address[1], timeout=timeout)

    def create_client(
        self,
        host: str,
        port: int,
        loop: asyncio.AbstractEventLoop | None,
        conn_lost_cb: Any = None,
        ssl_context: Any = None,
    ) -> None:
        running = loop or asyncio.get_running_loop()
        self.protocol = IMAP4ClientProtocol(running, conn_lost_cb)
        self._client_task = running.create_task(
            running.create_connection(lambda: self.protocol, host, port, ssl=ssl_context, local_addr=(self.source, 0))
        )


@contextlib.asynccontextmanager
async def imap_session(address: Address, source: str = HOME) -> AsyncIterator[Imap]:
    """A greeted connection, closed whatever happens."""
    client = Imap(address, source)
    try:
        await client.wait_hello_from_server()
        yield client
        with contextlib.suppress(Exception):  # a server that is gone needs no goodbye
            await client.logout()
    finally:
        if client.protocol.transport is not None:
            client.protocol.transport.close()
        await asyncio.sleep(0)  # the transport closes its socket in the loop's next turn


async def imap_login(address: Address, user: str, secret: str, source: str = HOME) -> Login:
    """LOGIN, then LOGOUT."""
    async with imap_session(address, source) as client:
        return await _imap_try(client, user, secret)


async def imap_read(address: Address, user: str, secret: str, source: str = HOME) -> tuple[Login, list[bytes]]:
    """LOGIN and, if let in, fetch every message of INBOX."""
    messages: list[bytes] = []
    async with imap_session(address, source) as client:
        login = await _imap_try(client, user, secret)
        if login:
            await client.select("INBOX")
            found = await client.search("ALL")
            for number in found.lines[0].split():
                fetched = await client.fetch(number.decode(), "(RFC822)")
                messages.append(bytes(fetched.lines[1]))
    return login, messages


async def _imap_try(client: Imap, user: str, secret: str) -> Login:
    reply = await client.login(user, secret)
    words = " ".join(bytes(line).decode(errors="replace") for line in reply.lines[-1:])
    return Login(reply.result == "OK", words)


def imap(address: Address, user: str, secret: str, source: str = HOME) -> Login:
    """imap_login for tests that are not asynchronous."""
    return asyncio.run(imap_login(address, user, secret, source))


def curl(scheme: str, address: Address, user: str, secret: str, source: str = HOME, *more: str) -> Login:
    """curl as a mail client: scheme imap, pop3 or smtp. The secret goes by stdin."""
    url = f"{scheme}://{address[0]}:{address[1]}/"
    quoted = f"{user}:{secret}".replace("\\", "\\\\").replace('"', '\\"')
    done = subprocess.run(
        [
            "curl",
            "-q",
            "-s",
            "-v",
            "-K",
            "-",
            "--interface",
            source,
            "--max-time",
            str(TIMEOUT_S),
            *more,
            url,
        ],
        input=f'user = "{quoted}"\n',
        capture_output=True,
        text=True,
        check=False,
    )
    received = [line[2:].strip() for line in done.stderr.splitlines() if line.startswith("< ")]
    if done.returncode == 0:
        return Login(True, received[-1] if received else "")
    refusal = [line for line in received if re.match(r"(-ERR|A\d+ (NO|BAD)|[45]\d\d)", line)]
    words = re.sub(r"^(-ERR|A\d+ (NO|BAD)) ", "", refusal[-1]) if refusal else done.stderr[-300:]
    return Login(False, words)


def pop3(address: Address, user: str, secret: str, source: str = HOME) -> Login:
    return curl("pop3", address, user, secret, source)


def smtp_curl(address: Address, user: str, secret: str, source: str = HOME) -> Login:
    """AUTH and a NOOP."""
    return curl("smtp", address, user, secret, source, "--request", "NOOP")


def swaks(
    address: Address,
    user: str,
    secret: str,
    source: str = HOME,
    *,
    mechanism: str = "PLAIN",
    send_to: str | None = None,
    subject: str = "test",
    tls: str | None = None,
) -> Login:
    """swaks: AUTH only, or a whole message if `send_to` is given; tls: `--tls`, `--tls-on-connect`."""
    words = [
        "swaks", "--server", f"{address[0]}:{address[1]}", "--local-interface", source,
        "--ehlo", "client.test", "--auth", mechanism, "--auth-user", user, "--auth-password", secret,
        "--from", user if "@" in user else f"{user}@mailitwize.be", "--timeout", f"{TIMEOUT_S:.0f}",
    ]  # fmt: skip
    words += [tls] if tls else []
    if send_to is None:
        words += ["--to", "nobody@example.org", "--quit-after", "AUTH"]
    else:
        words += ["--to", send_to, "--header", f"Subject: {subject}", "--body", "Sent by a test.\n"]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    replies = re.findall(r"^<[-~*]{1,2}\s+(\d{3}[ -].*)$", done.stdout, re.MULTILINE)
    refusals = [reply for reply in replies if reply[0] in "45"]
    if done.returncode == 0:
        accepted = [reply for reply in replies if reply.startswith("235" if send_to is None else "250")]
        return Login(True, accepted[-1] if accepted else "")
    return Login(False, refusals[-1] if refusals else (done.stdout + done.stderr)[-300:])


def sieve(address: Address, user: str, secret: str, source: str = HOME) -> Login:
    """ManageSieve (RFC 5804) by hand: AUTHENTICATE PLAIN with a literal, LISTSCRIPTS."""
    with socket.create_connection(address, TIMEOUT_S, source_address=(source, 0)) as connection:
        stream = connection.makefile("rwb")
        _sieve_reply(stream)
        initial = base64.b64encode(b"\0" + user.encode() + b"\0" + secret.encode())
        stream.write(b'AUTHENTICATE "PLAIN" {%d+}\r\n%s\r\n' % (len(initial), initial))
        stream.flush()
        reply = _sieve_reply(stream)
        if reply.startswith("OK"):
            stream.write(b"LISTSCRIPTS\r\n")
            stream.flush()
            assert _sieve_reply(stream).startswith("OK")
        return Login(reply.startswith("OK"), reply.partition(" ")[2])


def _sieve_reply(stream: Any) -> str:
    """Read up to the line that ends a response; its text, literal included."""
    while True:
        line = stream.readline().decode(errors="replace")
        if not line:
            raise ConnectionError("the ManageSieve server closed the connection")
        if re.match(r"(OK|NO|BYE)\b", line):
            literal = re.search(r"\{(\d+)\}\r?\n$", line)
            if literal:
                line = line[: literal.start()] + stream.read(int(literal.group(1))).decode()
            return str(line.strip())


def sieve_connect(address: Address, user: str, secret: str) -> Login:
    """The sieve-connect program, which insists on TLS."""
    program = shutil.which("sieve-connect")
    assert program, "sieve-connect is not installed: run `make dev`"
    done = subprocess.run(
        [
            program, "--server", address[0], "--port", str(address[1]), "--user", user, "--nosslverify",
            "--notlsverify", "--passwordfd", "0", "--list",
        ],
        input=secret + "\n",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )  # fmt: skip
    return Login(done.returncode == 0, (done.stdout + done.stderr).strip())


def doveadm_auth(auth_socket: Path, user: str, secret: str, *, service: str = "imap", rip: str = "192.0.2.7") -> Login:
    """`doveadm auth test` on an auth socket, Dovecot's or mailauth's."""
    done = subprocess.run(
        [
            "doveadm", "auth", "test", "-a", str(auth_socket),
            "-x", f"service={service}", "-x", f"rip={rip}", user, secret,
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )  # fmt: skip
    reason = re.search(r"^  reason=(.*)$", done.stdout, re.MULTILINE)
    words = reason.group(1) if reason else (done.stdout + done.stderr).strip()
    return Login(done.returncode == 0 and "auth succeeded" in done.stdout, words)


def smtp_session(
    address: Address, lines: list[bytes], source: str = HOME, *, until_refused: bool = False
) -> list[bytes]:
    """Raw SMTP or LMTP: send each line after the reply to the one before; all replies."""
    replies = []
    with socket.create_connection(address, TIMEOUT_S, source_address=(source, 0)) as connection:
        stream = connection.makefile("rwb")
        for line in (None, *lines):
            if line is not None:
                stream.write(line + b"\r\n")
                stream.flush()
            reply = stream.readline()
            while reply[3:4] == b"-":
                reply = stream.readline()
            replies.append(reply.rstrip())
            if until_refused and reply[:1] in b"45":
                break
    return replies


def smtp_offer(address: Address) -> list[str]:
    """Return the mechanisms that a server offers behind EHLO."""
    with smtplib.SMTP(*address, timeout=TIMEOUT_S) as session:
        session.ehlo("client.test")
        return session.esmtp_features["auth"].split()
