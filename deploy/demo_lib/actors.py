"""Who acts in the demo: a phone, a browser, and mail clients for IMAP, POP3 and SMTP.

Real programs all: oathtool, httpx, aioimaplib, curl, swaks. Each shows what it does and what
the server answers.
"""

from __future__ import annotations

import asyncio
import html
import re
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from aioimaplib.aioimaplib import IMAP4, IMAP4ClientProtocol

from .stage import client_says, run, server_says, shown

Address = tuple[str, int]
HOME = "127.0.0.1"
ELSEWHERE = "127.0.0.2"
TIMEOUT_S = 30
STEP_S = 30  # RFC 6238 s4: the default time step X


@dataclass(frozen=True)
class Answer:
    """Whether a login was let in, and the server's last words on it."""

    ok: bool
    words: str

    def __bool__(self) -> bool:
        return self.ok

    @property
    def helps(self) -> bool:
        """A refusal that tells what to do, and where to read on."""
        return not self.ok and "password+code" in self.words and "https://" in self.words


class Phone:
    """The authenticator app that scanned the QR code; oathtool computes for it."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.last_step = 0

    def code(self) -> str:
        """The code of now; or the next one, if that of now was used. Then waits, if it must."""
        self.last_step = max(int(time.time() // STEP_S), self.last_step + 1)
        while self.last_step > time.time() // STEP_S + 1:  # the server takes one step ahead
            time.sleep(0.2)
        moment = f"{datetime.fromtimestamp(self.last_step * STEP_S, UTC):%Y-%m-%d %H:%M:%S} UTC"
        command = ["oathtool", "--totp", "--base32", "--now", moment]
        return run([*command, self.key], show=[*command, "KEY"]).strip()


class Browser:
    """Somebody's browser on the portal, as far as reading pages and sending forms: it draws nothing."""

    def __init__(self, portal: str) -> None:
        self.client = httpx.Client(base_url=portal, timeout=TIMEOUT_S)
        self.cookies: dict[str, str] = {}
        self.page = ""

    def open(self, path: str) -> str:
        """Go to a page; its heading is shown and returned."""
        client_says(f"GET {path}")
        return self._ask("GET", path)

    def send(self, path: str, **fields: str) -> str:
        """Fill in a form of the page that is open, and send it."""
        client_says(f"POST {path}   ({', '.join(name for name, value in fields.items() if value)})")
        token = self.find(r'name="csrf" value="([^"]+)"')
        return self._ask("POST", path, data={"csrf": token, **fields})

    def find(self, pattern: str) -> str:
        """What the page that is open says where the pattern has its parentheses; empty where it says nothing."""
        found = re.search(pattern, self.page)
        return html.unescape(found.group(1)) if found else ""

    def _ask(self, method: str, path: str, **more: Any) -> str:
        while True:
            # Its cookies are for TLS alone, which a browser on this very machine may do without.
            cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            answer = self.client.request(method, path, headers={"Cookie": cookies}, **more)
            for cookie in answer.headers.get_list("set-cookie"):
                name, _, value = cookie.partition(";")[0].partition("=")
                self.cookies[name] = value
            if answer.status_code != httpx.codes.SEE_OTHER:
                break
            method, path, more = "GET", answer.headers["location"], {}
        self.page = answer.text
        heading = self.find(r"<h1[^>]*>([^<]+)</h1>").strip()
        server_says(f"{answer.status_code} {path}: {heading}")
        return heading


class Imap(IMAP4):
    """aioimaplib's client, from an address of our choice."""

    def __init__(self, address: Address, source: str) -> None:
        self.source = source
        super().__init__(*address, timeout=TIMEOUT_S)

    def create_client(
        self, host: str, port: int, loop: Any, conn_lost_cb: Any = None, ssl_context: Any = None
    ) -> None:
        running = loop or asyncio.get_running_loop()
        self.protocol = IMAP4ClientProtocol(running, conn_lost_cb)
        self._client_task = running.create_task(
            running.create_connection(lambda: self.protocol, host, port, local_addr=(self.source, 0))
        )


def imap(address: Address, user: str, secret: str, source: str = HOME, *, read: bool = False) -> Answer:
    """Log in by IMAP; with `read`, show the messages in INBOX."""
    return asyncio.run(_imap(address, user, secret, source, read))


async def _imap(address: Address, user: str, secret: str, source: str, read: bool) -> Answer:
    client = Imap(address, source)
    await client.wait_hello_from_server()
    where = "" if source == HOME else f"   (from {source})"
    client_says(f'LOGIN {user} "{secret}"{where}')
    reply = await client.login(user, secret)
    server_says(f"{reply.result} {reply.lines[-1].decode()}")
    if reply.result == "OK" and read:
        await client.select("INBOX")
        found = await client.search("ALL")
        for number in found.lines[0].split():
            client_says(f"FETCH {number.decode()} RFC822")
            fetched = await client.fetch(number.decode(), "(RFC822)")
            for line in bytes(fetched.lines[1]).decode().splitlines():
                server_says(line)
    await client.logout()
    if client.protocol.transport is not None:
        client.protocol.transport.close()
    return Answer(reply.result == "OK", reply.lines[-1].decode())


def pop3(address: Address, user: str, secret: str) -> Answer:
    """Log in by POP3."""
    url = f"pop3://{address[0]}:{address[1]}/"
    shown(["curl", "--user", f"{user}:{secret}", url])
    done = subprocess.run(
        ["curl", "-q", "-s", "-v", "-K", "-", "--max-time", str(TIMEOUT_S), url],
        input=f'user = "{user}:{secret}"\n',
        capture_output=True,
        text=True,
        check=False,
    )
    replies = re.findall(r"^< ((?:\+OK|-ERR).*)$", done.stderr, re.MULTILINE)
    words = replies[-1].strip() if replies else done.stderr
    server_says(words)
    return Answer(done.returncode == 0, words)


def smtp(address: Address, user: str, secret: str, to: str, subject: str, body: str) -> Answer:
    """Submit a message by SMTP."""
    message = ["--from", user, "--to", to, "--header", f"Subject: {subject}", "--body", body]
    logins = ["--auth", "PLAIN", "--auth-user", user, "--auth-password", secret]
    command = ["swaks", "--server", f"{address[0]}:{address[1]}", *logins, *message]
    shown(command)
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    words = done.stdout
    for line in done.stdout.splitlines():
        reply = re.match(r"<[-~*]{1,2} +((?:235|250 2\.|[45]\d\d).*)", line)
        if reply:
            words = reply.group(1)
            server_says(words)
    return Answer(done.returncode == 0, words)
