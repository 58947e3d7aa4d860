"""An estate of 40,000 mailboxes, from the afternoon to the day after: python -m tests.bench.mailboxes

A Postfixadmin's tables with every scheme that `doveadm pw` makes and that can be checked, and the panel's own forms; a
real sandbox in front of them. The directory is synced, twice; people of each scheme log in over IMAP and SMTP with the
password that they have; some go through the browser's set-up; who leaves is out with the next look. Prints what it
measures, with its marks (two cores). Exits 1 where somebody could not do what they should.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import sync_playwright
from sqlalchemy import NullPool, create_engine, text

from tests.estates.panels import Estate, Postfixadmin
from tests.portal.browsing import Album, Visitor, chromium, elsewhere, shown_codes
from tests.portal.holding import Phone, scan
from tests.stack import clients, sandboxes
from tests.stack.sandboxes import Sandbox

PASSWORD = "correct horse battery"
NOT_CHECKED = {"OTP", "PLAIN-MD4", "CRAM-MD5", "HMAC-MD5"}
OF_ONE_NAME = {"DIGEST-MD5"}
"""Hashed with the name: each is its own."""
BEFORE, AFTER = "cutover.date=2099-01-01T00:00Z", "cutover.date=2025-05-05T00:00Z"
ROOM = ("limits.source_burst=100000", "limits.account_and_source_burst=1000")
"""All of them come from one address here."""
FIRST_SYNC_S, SECOND_SYNC_S = 60.0, 30.0


def main() -> int:
    """Play it, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=40_000)
    parser.add_argument("--sample", type=int, default=200, help="how many log in beside those of each scheme")
    parser.add_argument("--browsers", type=int, default=3, help="how many go through the set-up in the browser")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailauth-") as directory:
        table = Path(directory) / "panel.sqlite"
        estate = Estate(create_engine(f"sqlite:///{table}", poolclass=NullPool), Postfixadmin())
        people = _filled(estate, options.accounts)
        source = f'sources=[{{name = "panel", kind = "sql", preset = "postfixadmin", url = "sqlite:///{table}"}}]'
        settings = [word for each in (source, BEFORE, *ROOM) for word in ("--set", each)]
        with sandboxes.running(Path(directory) / "sandbox", "--dovecot", "lua", *settings) as sandbox:
            return _played(sandbox, estate, people, options.sample, options.browsers)


def _played(sandbox: Sandbox, estate: Estate, people: dict[str, str], sample: int, browsers: int) -> int:
    failures: list[str] = []
    # The worker looks as well, and may be quicker: what it adds meanwhile is no mistake.
    _timed("first sync", FIRST_SYNC_S, lambda: sandbox.command("directory", "sync", "--source", "panel"))
    said = _timed("sync without changes", SECOND_SYNC_S, lambda: sandbox.command("directory", "sync"))
    if f"{len(people)} unchanged" not in said.replace(",", ""):
        failures.append(f"the second sync says: {said}")
    by_scheme: dict[str, list[str]] = {}
    for name, scheme in people.items():
        by_scheme.setdefault(scheme, []).append(name)
    chosen = [name for names in by_scheme.values() for name in random.Random(1).sample(names, min(3, len(names)))]
    chosen += random.Random(2).sample(sorted(people), min(sample, len(people)))
    let_in: Counter[str] = Counter()
    for name in dict.fromkeys(chosen):
        imap = clients.imap(sandbox.imap, name, PASSWORD)
        smtp = clients.smtp_curl(sandbox.postfix_submission, name, PASSWORD)
        if imap and smtp:
            let_in[people[name]] += 1
        else:
            failures.append(f"{name} ({people[name]}): {imap.words} / {smtp.words}")
    print(f"{sum(let_in.values())} people of {len(let_in)} forms of hashes let in over IMAP and SMTP")
    if clients.imap(sandbox.imap, chosen[0], "a guess"):
        failures.append("a guess was let in")
    sandbox.set(AFTER)
    failures += _in_the_browser(sandbox, chosen[:browsers])
    last = chosen[-1]
    if clients.imap(sandbox.imap, last, PASSWORD, clients.ELSEWHERE):
        failures.append(f"{last} is let in by the password alone after the date")
    phone = sandbox.installation.app_passwords.make(last, "phone").password
    if not clients.imap(sandbox.imap, last, phone):
        failures.append(f"{last} is not let in by an app password")
    estate.run("DELETE FROM mailbox WHERE username = :name", name=last)
    _timed("sync after one has left", SECOND_SYNC_S, lambda: sandbox.command("directory", "sync"))
    time.sleep(1)  # what was read last may be used for less than a second (APP2)
    if clients.imap(sandbox.imap, last, phone):
        failures.append(f"{last} has left, and the phone goes on")
    for failure in failures:
        print("FAILED:", failure)
    return 1 if failures else 0


def _in_the_browser(sandbox: Sandbox, names: list[str]) -> list[str]:
    """Let people go through the set-up, and log in with what they have then; return who could not."""
    failures = []
    with (
        tempfile.TemporaryDirectory(prefix="mailauth-") as folder,
        sync_playwright() as playwright,
        chromium(playwright, Path(folder)) as browser,
    ):
        for name in names:
            me = Visitor.come(browser, sandbox.portal, album=Album.new("mailboxes"))
            me.open(f"{sandbox.portal}/login")
            me.type(account=name, password=PASSWORD)
            me.press()
            me.is_at("/setup")
            me.press()
            me.type(password=PASSWORD)
            me.press()
            me.is_at("/setup/scan")
            picture = me.picture("scan")
            assert picture is not None
            phone = Phone(scan(picture))
            me.type(code=phone.code())
            me.press()
            has_codes = len(shown_codes(me.text)) == 10
            secret = PASSWORD + phone.code()
            if not (has_codes and elsewhere(clients.imap, sandbox.imap, name, secret)):
                failures.append(f"{name} has set up an authenticator, and cannot log in with it")
            me.leave()
    print(f"{len(names) - len(failures)} of {len(names)} set up an authenticator in the browser and logged in with it")
    return failures


def _filled(estate: Estate, count: int) -> dict[str, str]:
    """Fill the tables; return each account's form of hash."""
    forms = dict(_forms())
    shared = {form: kept for form, kept in forms.items() if form not in OF_ONE_NAME}
    people: dict[str, str] = {}
    rows = []
    for number in range(count):
        name = f"user{number:05}@domain{number % 400}.example"
        form = list(shared)[number % len(shared)]
        people[name] = form
        rows.append(estate.panel.user(name, shared[form], uid=number + 1)[1])
    for form in OF_ONE_NAME & set(forms):
        name = f"{form.lower()}@domain0.example"
        people[name] = form
        rows.append(estate.panel.user(name, _doveadm(form, name), uid=count + 1)[1])
    statement = estate.panel.user("a@b", "", uid=1)[0]
    with estate.engine.begin() as connection:
        for number in range(400):
            connection.execute(text("INSERT INTO domain (domain) VALUES (:d)"), {"d": f"domain{number}.example"})
        connection.execute(text(statement), rows)
    print(f"{len(people)} mailboxes in 400 domains, with {len(forms)} forms of hashes")
    return people


def _forms() -> list[tuple[str, str]]:
    """Return a hash of each scheme that doveadm makes, and the forms without a scheme that panels store."""
    listed = subprocess.run(["doveadm", "pw", "-l"], capture_output=True, text=True, check=True).stdout.split()
    found = [(scheme, _doveadm(scheme, "a@b")) for scheme in listed if scheme not in NOT_CHECKED]
    for scheme in ("MD5-CRYPT", "SHA256-CRYPT", "SHA512-CRYPT", "BLF-CRYPT", "ARGON2ID"):
        found += [(f"{scheme} without its name", kept.partition("}")[2]) for name, kept in found if name == scheme]
    found += [
        (f"{name}, as PHP writes it", re.sub(r"^\{[^}]*\}\$2[aby]\$", "$2y$", kept))
        for name, kept in found[:]
        if name == "BLF-CRYPT"
    ]
    return found


def _doveadm(scheme: str, name: str) -> str:
    words = ["doveadm", "pw", "-s", scheme, "-p", PASSWORD, "-u", name]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def _timed(what: str, most_s: float, job: Callable[[], str]) -> str:
    began = time.monotonic()
    said = job()
    took_s = time.monotonic() - began
    print(f"{what}: {took_s:.1f} s, mark {most_s:.0f} s: {'met' if took_s <= most_s else 'MISSED'}")
    return said


if __name__ == "__main__":
    sys.exit(main())
