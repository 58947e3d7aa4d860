"""One table of names, and a walk of it through a site's doors (NAME1): the same answer at each of them.

A name is a row with what somebody types and whose account it is; or no name at all, which nobody may have.
"""

from __future__ import annotations

import base64
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.stack.clients import TIMEOUT_S, Login
from tests.stack.delivery import BOUNCED, DELIVERED, deliver
from tests.stack.doors import IN, Door
from tests.stack.people import Owner, Site
from tests.stack.sandboxes import Address

DOMAIN = "names.example"
TYPED_AT_ONCE = 6


@dataclass(frozen=True)
class Row:
    """An account's name, and what is typed for it; an address of it that mail comes to."""

    name: str
    typed: str

    @property
    def is_ascii(self) -> bool:
        return self.name.isascii()


ROWS = (
    Row("o'neill", "o'neill@names.example"),
    Row("anna+list", "Anna+List@names.example"),
    Row("a&b", "a&b@names.example"),
    Row("x!#$*-=?^_{|}~.y", "x!#$*-=?^_{|}~.y@names.example"),
    Row("zo\u00eb", "zo\u00eb@names.example"),
    Row("zo\u00eb2", "ZOE\u03082@names.example"),
    Row("\u0438\u043d\u0444\u043e.\u4e2d\u6587", "\u0418\u043d\u0444\u043e.\u4e2d\u6587@names.example"),
    Row("before", " before@names.example"),
    Row("behind", "behind@names.example "),
    Row("angled", "Angled <angled@names.example>"),
    Row("quoted", '"quoted@names.example",'),
    Row("pasted", "\ufeffmailto:pasted@names.example\u00a0"),
)
NO_NAMES = ("a/../b@names.example", "a%ub@names.example", 'a"b@names.example', "a b@names.example", "..@names.example")
_BRIEF = {"o'neill", "zo\u00eb2", "quoted"}
"""For the doors that share Dovecot's auth process with IMAP, and differ in how a name reaches it."""


def made(site: Site) -> dict[Row, tuple[Owner, str]]:
    """Make the accounts of the table, each with an app password, which many logins may use."""
    owners = {}
    for row in ROWS:
        name = f"{row.name}@{DOMAIN}"
        owner = site.owner_named(name)
        owners[row] = (owner, owner.app_password())
    return owners


def wrong_at(site: Site, doors: tuple[Door, ...]) -> list[str]:
    """Walk the table; return what went otherwise than it should, a line each."""
    owners = made(site)
    _, secret = owners[ROWS[0]]
    logins = [
        (door, row.typed, secret, True)
        for row, (_, secret) in owners.items()
        for door in doors
        if door.name not in {"pop3", "sieve", "submission"} or row.name in _BRIEF
    ]
    logins += [
        (door, name, secret, False) for name in NO_NAMES for door in doors if door.name in {"imap", "postfix", "exim"}
    ]

    def try_one(login: tuple[Door, str, str, bool]) -> str:
        door, name, secret, is_name = login
        words = door.login(site, name, secret)
        is_right = words == IN if is_name else words != IN and not words.startswith(("[UNAVAILABLE]", "4"))
        return "" if is_right else f"{door.name}: {name!a}: {words}"

    with ThreadPoolExecutor(TYPED_AT_ONCE) as pool:
        found = [line for line in pool.map(try_one, logins) if line]
    return found + _wrong_mail(site)


def _wrong_mail(site: Site) -> list[str]:
    """Deliver to each account; Dovecot 2.3 speaks no SMTPUTF8, and refuses such a recipient's syntax."""
    found = []
    mail = Path(json.loads((site.sandbox.dir / "sandbox.json").read_text())["ground"]) / "var" / "mail" / DOMAIN
    for row in ROWS:
        account = f"{row.name}@{DOMAIN}"
        reply = deliver(site.sandbox, account, f"to {account}")
        if not row.is_ascii and site.sandbox.versions["dovecot"].startswith("2.3."):
            found += [] if reply.startswith("501 5.5.4 ") else [f"lmtp: {account!a}: {reply}"]
        elif not reply.startswith(DELIVERED):
            found.append(f"lmtp: {account!a}: {reply}")
        elif len(list((mail / row.name / "Maildir" / "new").iterdir())) != 1:
            found.append(f"lmtp: {account!a}: not in the mailbox")
    for name in ('"a/../b"@names.example', '".."@names.example', "nobody@names.example"):
        reply = deliver(site.sandbox, name)
        found += [] if reply.startswith(BOUNCED) else [f"lmtp: {name}: {reply}"]
    return found


def imap(address: Address, name: str, secret: str, source: str) -> Login:
    """AUTHENTICATE PLAIN and LOGOUT by hand: aioimaplib quotes no names."""
    with socket.create_connection(address, TIMEOUT_S, source_address=(source, 0)) as connection:
        stream = connection.makefile("rwb")
        stream.readline()
        response = base64.b64encode(f"\0{name}\0{secret}".encode())
        stream.write(b"a AUTHENTICATE PLAIN " + response + b"\r\nb LOGOUT\r\n")
        stream.flush()
        reply = stream.readline().decode()
        while reply.startswith("* "):
            reply = stream.readline().decode()
        return Login(reply.startswith("a OK"), reply.partition(" ")[2].partition(" ")[2].strip())
