"""The demo: a provider switches its users to two-factor authentication, told by doing it.

Real servers on loopback, real clients, nothing staged: every answer is the server's. Exit
code 0 only if every step did what it should. Leaves nothing running; touches nothing
outside its temporary directory. Root, or sudo, is needed for the servers.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from . import actors
from .stage import StoryError, expect, heading, run, server_says, shown, tell

SANDBOX = Path(__file__).resolve().parents[1] / "sandbox"
ALICE, BOB, CAROL = "alice@mailitwize.be", "bob@mailitwize.be", "carol@mailitwize.be"
ALICE_PASSWORD, BOB_PASSWORD, CAROL_PASSWORD = "correct horse", "battery staple", "paper clip"
NOTICE_DAYS = 30
RECOVERY_CODES = 10
# Ahead of now, so that one login still fits in before: a restart takes about a second, on a busy machine more.
CUTOVER_IN_S = 15
ARRIVAL_TIMEOUT_S = 20

GREETING = f"""From: Mail-IT-Wize <support@mailitwize.be>
To: Alice <{ALICE}>
Subject: Two-factor authentication is coming

Soon, logging in takes a password and a verification code. Please install an
authenticator app on your phone.
"""


@dataclass
class World:
    """The sandbox, and what Alice holds."""

    facts: dict[str, Any]
    phone: actors.Phone | None = None
    app_password: str = ""

    def address(self, name: str) -> actors.Address:
        host, port = self.facts[name]
        return host, port

    def mailauth(self, *words: str, stdin: str = "") -> str:
        """Run a mailauth command, shown without its path; its output is returned, not shown."""
        return run([self.facts["mailauth"], *words], stdin=stdin, show=["mailauth", *words])

    def imap(self, user: str, secret: str, source: str = actors.HOME, *, read: bool = False) -> actors.Answer:
        return actors.imap(self.address("imap"), user, secret, source, read=read)


def accounts(world: World) -> None:
    heading("The provider Mail-IT-Wize has accounts; they log in with a password")
    tell(world.mailauth("account", "add", ALICE, stdin=ALICE_PASSWORD + "\n"))
    tell(world.mailauth("account", "add", BOB, stdin=BOB_PASSWORD + "\n"))
    shown(["doveadm", "save", "-u", ALICE])
    run([world.facts["doveadm"], "save", "-u", ALICE], stdin=GREETING)


def before_the_date(world: World) -> None:
    heading("Before the date, the password alone opens the mailbox")
    expect(world.imap(ALICE, ALICE_PASSWORD), "Alice is let in by her password")
    expect(not world.imap(ALICE, "wrong horse"), "a wrong password is refused")


def enrolment(world: World) -> None:
    heading("Alice starts early: she scans the QR code with her phone and types what it shows")
    printed = world.mailauth("totp", "enrol", ALICE)
    tell(printed)
    key = re.search(r"key: ((?:[A-Z2-7]{4} ?)+)", printed)
    expect(key is not None, "the QR code is there to scan, and a key for who can't")
    assert key is not None
    tell("oathtool stands for the phone:")
    world.phone = actors.Phone(key.group(1).replace(" ", ""))
    tell(world.mailauth("totp", "confirm", ALICE, stdin=world.phone.code() + "\n"))


def password_and_code(world: World) -> None:
    heading("From now on Alice logs in with password + code; in a mail client, in one field")
    assert world.phone is not None
    expect(world.imap(ALICE, ALICE_PASSWORD).helps, "her password alone is refused, in words")
    typed = ALICE_PASSWORD + world.phone.code()
    expect(world.imap(ALICE, typed, read=True), "password + code is let in, and the mail is there")
    heading("Somebody looked over her shoulder, and tries the same a moment later from elsewhere")
    expect(not world.imap(ALICE, typed, actors.ELSEWHERE), "the code is spent: refused")


def recovery_code(world: World) -> None:
    heading("Her phone is lost: a recovery code stands in for the code, once")
    codes = json.loads(world.mailauth("recovery", "issue", ALICE, "--json"))["codes"]
    tell("\n".join("  ".join(codes[n : n + 5]) for n in range(0, len(codes), 5)))
    expect(world.imap(ALICE, ALICE_PASSWORD + codes[0]), "password + recovery code is let in")
    expect(not world.imap(ALICE, ALICE_PASSWORD + codes[0]), "the second time it is refused")


def app_password(world: World) -> None:
    heading("Her laptop stores its password: it gets an app password of its own")
    scopes = ["--service", "imap", "--service", "submission"]
    words = ["app-password", "add", ALICE, "--name", "laptop", *scopes, "--json"]
    world.app_password = json.loads(world.mailauth(*words))["password"]
    expect(world.imap(ALICE, world.app_password), "the app password opens IMAP, without a code")
    expect(
        not actors.pop3(world.address("pop3"), ALICE, world.app_password),
        "it does not open POP3: that was not among its services",
    )


def submission(world: World) -> None:
    heading("She sends a message from it, by SMTP through Postfix")
    subject = f"Hello from the demo {os.getpid()}"
    address = world.address("postfix_submission")
    sent = actors.smtp(address, ALICE, world.app_password, "friend@example.org", subject, "It works.")
    expect(sent, "Postfix took it")
    message = arrived(Path(world.facts["mail_out"]), subject)
    expect(message is not None, "it arrived where it was sent to")
    tell("\n".join(f"| {line}" for line in (message or "").splitlines()))
    refused = actors.smtp(address, ALICE, ALICE_PASSWORD, "x@example.org", "no", "no")
    expect(not refused, "with the password alone Postfix takes nothing")


def arrived(folder: Path, subject: str) -> str | None:
    deadline = time.monotonic() + ARRIVAL_TIMEOUT_S
    while time.monotonic() < deadline:
        for path in folder.glob("[!.]*.eml"):  # not what the sink is still writing, under a name with a dot
            text = path.read_text()
            if subject in text:
                return text
        time.sleep(0.05)
    return None


def the_date_passes(world: World) -> None:
    heading("Bob has not done anything yet. Before the date, that is still fine")
    moment = datetime.now(UTC) + timedelta(seconds=CUTOVER_IN_S)
    setting = f"cutover.date={moment.isoformat(timespec='seconds')}"
    shown(["deploy/sandbox", "set", "DIR", setting])
    run([str(SANDBOX), "set", world.facts["dir"], setting])
    expect(world.imap(BOB, BOB_PASSWORD), "Bob is let in by his password")
    heading("The date passes")
    while datetime.now(UTC) < moment:
        time.sleep(0.1)
    server_says(f"it is {datetime.now(UTC).isoformat(timespec='seconds')}")
    expect(world.imap(BOB, BOB_PASSWORD).helps, "Bob's password alone is refused by IMAP, in words")
    expect(actors.pop3(world.address("pop3"), BOB, BOB_PASSWORD).helps, "and by POP3")
    address = world.address("postfix_submission")
    expect(actors.smtp(address, BOB, BOB_PASSWORD, "x@example.org", "no", "no").helps, "and by SMTP")
    tell(world.mailauth("explain", BOB))
    expect(world.imap(ALICE, world.app_password), "Alice's laptop noticed nothing")


def announcement(world: World) -> None:
    heading("The provider tells everybody, by mail, in their language, with pictures")
    tell(world.mailauth("campaign", "announce"))
    message = arrived(Path(world.facts["mail_out"]), f"X-RcptTo: {BOB}\n")
    expect(message is not None, "it reached Bob, through a real Postfix")
    for line in re.findall(r"^(?:From|To|Subject): .*$", message or "", re.MULTILINE):
        tell(f"| {line}")


def in_the_portal(world: World) -> None:
    heading("Bob follows the link in that mail, and sets it up by himself in the portal")
    browser = actors.Browser(world.facts["portal"])
    browser.open("/setup")
    tell("| " + browser.send("/login", account=BOB, password=BOB_PASSWORD, code=""))
    browser.open("/setup/confirm")
    browser.send("/setup/confirm", password=BOB_PASSWORD)
    key = browser.find(r'id="key"[^>]* data-text="([A-Z2-7]+)"')
    expect(key, "there is a QR code to scan, and the key for who can't")
    phone = actors.Phone(key)
    browser.send("/setup/scan", code=phone.code())
    codes = re.findall(r"<li>((?:[a-km-np-z2-9]{4}-){3}[a-km-np-z2-9]{4})</li>", browser.page)
    expect(len(codes) == RECOVERY_CODES, "the page shows his recovery codes, once")
    expect(arrived(Path(world.facts["mail_out"]), codes[0]), "and they came by mail")
    expect(world.imap(BOB, BOB_PASSWORD + phone.code()), "Bob is let in by password + code")
    expect(world.imap(BOB, BOB_PASSWORD + codes[0]), "and by password + recovery code out of the mail")


STORY = (
    accounts,
    announcement,
    before_the_date,
    enrolment,
    password_and_code,
    recovery_code,
    app_password,
    submission,
    the_date_passes,
    in_the_portal,
)


def stay(world: World) -> None:
    """Keep everything up for somebody's own mail client, until Ctrl-C."""
    facts = world.facts
    heading("Now you: everything stays up until Ctrl-C")
    world.mailauth("account", "add", CAROL, stdin=CAROL_PASSWORD + "\n")
    tell("Open the portal as Carol, who has not set anything up yet:")
    tell(f"portal       {facts['portal']}")
    tell(f"account      {CAROL}")
    tell(f"password     {CAROL_PASSWORD}, and no code yet")
    tell("")
    tell("Or read mail as Alice, with a mail app:")
    rows = [
        ("IMAP", facts["imap"]),
        ("POP3", facts["pop3"]),
        ("SMTP", facts["postfix_submission"]),
        ("ManageSieve", facts["sieve"]),
    ]
    tell("\n".join(f"{name:12} {host} port {port}" for name, (host, port) in rows))
    tell("             no encryption, or STARTTLS with a certificate that nobody signed")
    tell(f"account      {ALICE}")
    tell(f"password     {ALICE_PASSWORD}, and the phone's six digits right behind it")
    assert world.phone is not None
    tell(f"             (scan the QR code above, or: oathtool --totp --base32 {world.phone.key})")
    tell(f"or instead   {world.app_password} (IMAP and SMTP)")
    tell(f"mailauth     {facts['mailauth']}")
    tell(f"logs         {facts['logs']}")
    tell(f"all mails    {facts['mail_out']}")
    while True:
        signal.pause()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="deploy/demo", description="Show the whole story.")
    parser.add_argument("--stay", action=argparse.BooleanOptionalAction, default=None,
                        help="stay up at the end (default: on a terminal)")  # fmt: skip
    options = parser.parse_args(arguments)
    staying = sys.stdin.isatty() and sys.stdout.isatty() if options.stay is None else options.stay
    signal.signal(signal.SIGTERM, interrupt)
    directory = Path(tempfile.mkdtemp(prefix="mailauth-demo-"))
    directory.chmod(0o755)
    began = time.monotonic()
    code = 1
    try:
        story(directory, began, staying=staying)
        code = 0
    except StoryError as error:
        print(f"\nThe demo failed: {error}\nThe servers' logs are in {directory}/logs.", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nGoodbye.")
        code = 0 if staying else 130
    finally:
        # The logs of a failure are kept.
        purge = [] if code == 1 else ["--purge"]
        subprocess.run([str(SANDBOX), "down", str(directory), *purge], check=False, capture_output=True)
    return code


def interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def story(directory: Path, began: float, *, staying: bool) -> None:
    date = (datetime.now(UTC) + timedelta(days=NOTICE_DAYS)).date()
    setting = f"cutover.date={date}T00:00 Europe/Brussels"
    heading("Private servers on loopback: Dovecot, Postfix, mailauth")
    shown(["deploy/sandbox", "up", str(directory), "--set", setting])
    up = subprocess.run(
        [str(SANDBOX), "up", str(directory), "--owner", str(os.getpid()), "--set", setting],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if up.returncode != 0:
        raise StoryError("the servers did not start")
    world = World(json.loads(up.stdout))
    versions = world.facts["versions"]
    tell(f"Dovecot {versions['dovecot']} asks mailauth by {world.facts['dovecot']}")
    tell(f"Postfix {versions['postfix']} asks it directly")
    for chapter in STORY:
        chapter(world)
    print(f"\nEvery step did what it should, in {time.monotonic() - began:.0f} s.", flush=True)
    if staying:
        stay(world)
    print(
        "With a terminal (or `make demo DEMO_ARGS=--stay`) it stays up: for your mail app, and with a portal to open."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
