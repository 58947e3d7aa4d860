"""What a refusal is, byte for byte, on each wire; and that it never is the `nologin` that Postfix lets in."""

from __future__ import annotations

import base64
import socket
from pathlib import Path

import pytest

from tests.integration.talking import Talk
from tests.stack import clients
from tests.stack.clients import TIMEOUT_S, Address
from tests.stack.people import AFTER, Site
from tests.stack.ways import Way, every_way, main_ways, on_each_main_dovecot, on_the_first, params_with

TEXT = AFTER.encode()


def dialogue(address: Address, *lines: bytes) -> bytes:
    """Send each line when the one before it was answered; return the last line of the last answer."""
    with socket.create_connection(address, TIMEOUT_S) as connection, connection.makefile("rwb") as stream:
        stream.readline()
        reply = b""
        for line in lines:
            stream.write(line + b"\r\n")
            stream.flush()
            reply = stream.readline()
            while reply[3:4] == b"-" and reply[:3].isdigit():
                reply = stream.readline()
        return reply


def plain(name: str, secret: str) -> bytes:
    return base64.b64encode(f"\0{name}\0{secret}".encode())


@on_each_main_dovecot
def test_imap_says_no_by_an_alert(site: Site) -> None:
    owner = site.enrolled("onlyhorses")
    name, typed = owner.name.encode(), b"onlyhorses000000"
    said = b"a NO [ALERT] " + TEXT + b"\r\n"
    assert dialogue(site.sandbox.imap, b"a LOGIN " + name + b" " + typed) == said
    assert dialogue(site.sandbox.imap, b"a AUTHENTICATE PLAIN " + plain(owner.name, "onlyhorses")) == said


@on_each_main_dovecot
def test_pop3_says_no_by_auth(site: Site) -> None:
    owner = site.enrolled("onlyhorses")
    said = b"-ERR [AUTH] " + TEXT + b"\r\n"
    assert dialogue(site.sandbox.pop3, b"USER " + owner.name.encode(), b"PASS onlyhorses") == said
    assert dialogue(site.sandbox.pop3, b"AUTH PLAIN " + plain(owner.name, "onlyhorses")) == said


@on_each_main_dovecot
def test_sieve_says_no_in_a_string(site: Site) -> None:
    owner = site.enrolled()
    assert clients.sieve(site.sandbox.sieve, owner.name, owner.password).words == f'"{AFTER}"'


def test_smtp_says_535_5_7_8(site: Site) -> None:
    owner = site.enrolled()
    words = (b"EHLO client.test", b"AUTH PLAIN " + plain(owner.name, owner.password))
    assert dialogue(site.sandbox.submission, *words) == b"535 5.7.8 " + TEXT + b"\r\n"
    said = b"535 5.7.8 Error: authentication failed: " + TEXT + b"\r\n"
    assert dialogue(site.sandbox.postfix_submission, *words) == said


def sockets(way: Way) -> tuple[str, ...]:
    return ("auth_socket", "postfix_auth_socket", "dovecot_auth_socket")[2 * (way not in main_ways()) :]


@pytest.mark.parametrize(("played", "socket_name"), params_with(every_way(), sockets), indirect=["played"])
def test_no_socket_says_nologin_even_to_who_asks_for_it(site: Site, socket_name: str) -> None:
    path: Path = getattr(site.sandbox, socket_name)
    enrolled, disabled, without = site.enrolled(), site.enrolled(), site.owner()
    disabled.disable()
    cases = {
        "password alone": (enrolled.name, enrolled.password),
        "wrong code": (enrolled.name, enrolled.password + enrolled.wrong_code()),
        "wrong password": (enrolled.name, "wrong" + enrolled.code()),
        "disabled": (disabled.name, disabled.typed()),
        "not enrolled": (without.name, without.password),
        "of another service": (enrolled.name, enrolled.app_password("sieve")),
        "unknown": (f"nobody-{enrolled.name}", enrolled.password),
    }
    with Talk(path) as talk:
        talk.introduced()
        for number, (name, secret) in enumerate(cases.values(), start=1):
            # As Postfix asks.
            head = f"AUTH\t{number}\tPLAIN\tservice=smtp\tnologin\tlip=127.0.0.1\trip=127.0.0.1\tsecured\tresp="
            talk.send(head.encode() + plain(name, secret) + b"\n")
        replies = sorted(talk.lines(len(cases)), key=lambda line: int(line.split(b"\t")[1]))
    reason = "" if site.way.dovecot == "pam" and path == site.sandbox.dovecot_auth_socket else f"\treason={AFTER}"
    for number, (case, (name, _)) in enumerate(cases.items(), start=1):
        assert replies[number - 1] == f"FAIL\t{number}\tuser={name}{reason}".encode(), case


@on_the_first
def test_who_is_let_in_is_told_no_more_than_the_name(site: Site) -> None:
    owner = site.enrolled()
    with Talk(site.sandbox.postfix_auth_socket) as talk:
        reply = talk.introduced().login(owner.name.upper(), owner.typed(), service="smtp")
    assert reply == f"OK\t1\tuser={owner.name}".encode()
