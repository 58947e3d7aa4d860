"""`python -m tests.bench.portal`: how long a page of the portal takes, on SQLite with 10,000 accounts.

Asks the real server (uvicorn on loopback, in a process of its own) for each page many times over one connection, and
shows the median and the 95th percentile. The mark is a median under 20 ms; pages that hash a password are not among
those measured. Says what it measured; enforces nothing, since a loaded machine misses any mark.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert, select

from mailauth.effects.store.tables import account
from mailauth.vocabulary.model import Credential, Granted
from mailauth.vocabulary.notices import Origin
from mailauth.vocabulary.reasons import WhyGranted
from tests.transactions import writing
from tests.world import World

ACCOUNTS = 10_000
MARK_MS = 20.0
START_TIMEOUT_S = 30
NEWCOMER, ENROLLED = "newcomer@mailitwize.be", "enrolled@mailitwize.be"
PAGES = (
    ("log-in form", "/login", None),
    ("help", "/help", None),
    ("set-up required", "/setup", NEWCOMER),
    ("QR code", "/setup/scan", NEWCOMER),
    ("account", "/account", ENROLLED),
    ("app passwords", "/account/app-passwords", ENROLLED),
    ("new app password", "/account/app-passwords/new", ENROLLED),
    ("recovery codes", "/account/recovery-codes", ENROLLED),
    ("recent logins", "/account/logins", ENROLLED),
    ("sessions", "/account/sessions", ENROLLED),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.portal", description="Time the portal's pages.")
    parser.add_argument("--rounds", type=int, default=200, help="requests a page (default: 200)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailauth-bench-portal-") as directory:
        rows = measured(Path(directory), arguments.rounds)
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        verdict = "met" if row["median_ms"] < MARK_MS else "missed"
        print(f"{row['page']:18} median {row['median_ms']:6.2f} ms   p95 {row['p95_ms']:6.2f} ms   {verdict}")
    print(f"{ACCOUNTS} accounts, {arguments.rounds} requests a page over one connection; mark: {MARK_MS:.0f} ms")
    return 0


def measured(directory: Path, rounds: int) -> list[dict[str, Any]]:
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    world = World(directory, f"portal.url={origin}", f"portal.listen=127.0.0.1:{port}", now=datetime.now(UTC))
    populate(world)
    cookies = {name: session(world, name) for name in (NEWCOMER, ENROLLED)}
    world.close()
    command = [sys.executable, "-m", "mailauth", "--config", str(world.config_path), "serve", "portal"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(origin)
            return [timed(origin, name, path, who, cookies, rounds) for name, path, who in PAGES]
        finally:
            server.terminate()


def populate(world: World) -> None:
    """10,000 accounts, one of which has all that a page may have to show."""
    with writing(world.installation.database) as connection:
        rows = [{"name": f"user{n}@mailitwize.be", "epoch": 0, "created_at": world.clock()} for n in range(ACCOUNTS)]
        connection.execute(insert(account), rows)
        assert connection.execute(select(account.c.id)).first() is not None
    world.add(NEWCOMER)
    world.enrol(ENROLLED)
    world.installation.recovery_codes.issue(ENROLLED)
    for number in range(8):
        world.installation.app_passwords.make(ENROLLED, f"device {number}")


def session(world: World, name: str) -> str:
    """A session as a login makes it; the newcomer has got as far as the QR code, which the first look shows."""
    installation = world.installation
    found = installation.accounts.get(name)
    credential = Credential.PASSWORD if found.totp is None else Credential.PASSWORD_AND_CODE
    granted = Granted(found.name, credential, WhyGranted.SECOND_FACTOR_GIVEN, epoch=found.epoch)
    cookie = installation.sessions.open(granted, Origin("portal"))
    opened = installation.sessions.load(cookie)
    assert opened is not None
    if found.totp is None:
        installation.set_up.begin(opened)
    return cookie


def timed(origin: str, page: str, path: str, who: str | None, cookies: dict[str, str], rounds: int) -> dict[str, Any]:
    headers = {} if who is None else {"Cookie": f"__Host-mailauth={cookies[who]}"}
    took = []
    with httpx.Client(base_url=origin, headers=headers) as client:
        for number in range(rounds + 10):
            began = time.perf_counter()
            answer = client.get(path)
            elapsed_ms = (time.perf_counter() - began) * 1000
            if answer.status_code != 200 or not re.search(r"<h1", answer.text):
                raise SystemExit(f"{path} answered {answer.status_code}, not its page")
            if number >= 10:  # the first ones warm up
                took.append(elapsed_ms)
    p95 = statistics.quantiles(took, n=20)[-1]
    return {"page": page, "median_ms": round(statistics.median(took), 2), "p95_ms": round(p95, 2)}


def wait_for(origin: str) -> None:
    ends_at = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            httpx.get(f"{origin}/healthz")
        except httpx.TransportError:
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.05)
        else:
            return


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
