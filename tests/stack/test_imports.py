"""Authenticators that people have set up elsewhere, over IMAP: the app shows a code as ever, and it logs in. EST12.

google-authenticator(1) makes its own file here; oathtool(1) stands for the apps.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.stack import clients
from tests.stack.sandboxes import Sandbox

SEED = base64.b32encode(b"a seed from elsewhere").decode()
URI = f"otpauth://totp/{{name}}?secret={SEED}"
WAYS = {
    "google-authenticator": ("--totp=SHA1",),
    "pam-oath": ("--totp=SHA1",),
    "8 digits, SHA-256": ("--totp=SHA256", "--digits=8"),
    "60 seconds": ("--totp=SHA1", "--time-step-size=60"),
}


def shown(written: str, words: tuple[str, ...]) -> str:
    """Return what an app shows now, for some seconds at least."""
    period = 60 if "--time-step-size=60" in words else 30
    while time.time() % period > period - 5:
        time.sleep(0.2)
    done = subprocess.run(["oathtool", *words, "--base32", written], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def set_up(way: str, name: str, place: Path) -> tuple[str, str, str]:
    """Set up an authenticator as its software does; return its secret, and what to import it as and from."""
    if way == "google-authenticator":
        home = place / name.partition("@")[0]
        home.mkdir()
        command = ["google-authenticator", "-t", "-d", "-u", "-W", "-f", "-q", "-C", "-Q", "NONE"]
        file = home / ".google_authenticator"
        environment = {**os.environ, "HOME": str(home)}
        subprocess.run([*command, "-s", str(file)], check=True, capture_output=True, env=environment)
        return file.read_text().splitlines()[0], "google-authenticator", str(place)
    file = place / "imported"
    if way == "pam-oath":
        seed = base64.b32decode(SEED + "=" * (-len(SEED) % 8))
        file.write_text(f"HOTP/T30/6 {name} - {seed.hex()}\n")
        return SEED, "pam-oath", str(file)
    more = "&digits=8&algorithm=SHA256" if "8 digits" in way else "&period=60"
    file.write_text(f"{URI.format(name=name)}{more}\n")
    return SEED, "otpauth", str(file)


@pytest.mark.parametrize("way", WAYS)
def test_app_that_was_set_up_elsewhere_goes_on_logging_in(sandbox: Sandbox, tmp_path: Path, way: str) -> None:
    owner = sandbox.account()
    secret, kind, place = set_up(way, owner.name, tmp_path)
    assert "1 taken" in sandbox.command("import", kind, place)
    assert not clients.imap(sandbox.imap, owner.name, owner.password)
    code = shown(secret, WAYS[way])
    assert clients.imap(sandbox.imap, owner.name, owner.password + code)
    elsewhere = clients.imap(sandbox.imap, owner.name, owner.password + code, clients.ELSEWHERE)
    assert not elsewhere, "a code passes once"


def test_app_passwords_of_mailcow_go_on_and_are_the_owners_to_revoke(sandbox: Sandbox, tmp_path: Path) -> None:
    """By its table, with a hash of its own scheme (SSHA256) and one of bcrypt. EST14."""
    owner = sandbox.account(enrolled=True)
    phone, laptop = "mailcow-made-this-one", "chosen by its owner 1"
    table = tmp_path / "mailcow.sqlite"
    with sqlite3.connect(table) as connection:
        connection.execute(
            "CREATE TABLE app_passwd (id INTEGER PRIMARY KEY, name TEXT, domain TEXT, mailbox TEXT, password TEXT, "
            "imap_access INT, smtp_access INT, dav_access INT, eas_access INT, pop3_access INT, sieve_access INT, "
            "active INT)"
        )
        for number, (name, kept, smtp) in enumerate((("phone", ssha256(phone), 1), ("laptop", bcrypt(laptop), 0)), 1):
            values = (number, name, owner.name, kept, smtp)
            connection.execute("INSERT INTO app_passwd VALUES (?, ?, 'd', ?, ?, 1, ?, 1, 1, 0, 0, 1)", values)
    connection.close()
    said = sandbox.command("import", "mailcow", f"sqlite:///{table}", "--only", "app-passwords")
    assert "app passwords: 2 taken" in said
    for password in (phone, laptop):
        for _ in range(2):
            assert clients.imap(sandbox.imap, owner.name, password)
    assert clients.smtp_curl(sandbox.postfix_submission, owner.name, phone)
    assert not clients.smtp_curl(sandbox.postfix_submission, owner.name, laptop)
    listed = sandbox.command("app-password", "list", owner.name)
    assert "phone" in listed
    sandbox.command("app-password", "revoke", owner.name, "--all")
    assert not clients.imap(sandbox.imap, owner.name, phone)
    assert "2 there already" in sandbox.command("import", "mailcow", f"sqlite:///{table}", "--only", "app-passwords")
    assert not clients.imap(sandbox.imap, owner.name, phone)


def ssha256(password: str) -> str:
    salt = os.urandom(8)
    return "{SSHA256}" + base64.b64encode(hashlib.sha256(password.encode() + salt).digest() + salt).decode()


def bcrypt(password: str) -> str:
    words = ["doveadm", "pw", "-s", "BLF-CRYPT", "-r", "10", "-p", password]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
