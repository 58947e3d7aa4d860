"""What people typed is nowhere to be found: not in a log, a file or the process list. Runs last.

The secrets are those of all tests that ran on the site, and those of the logins made here.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.stack.bursts import Try, over_imap, over_socket, sources
from tests.stack.doors import DOORS
from tests.stack.people import Owner, Site

SHORTEST_SEARCHED_IN_FILES = 10
"""Shorter ones, codes above all, are searched for as words in the logs: six digits occur anywhere else."""
PAUSE_S = 0.01  # leaves the processor to those who are looked at


def typed_by(owner: Owner) -> list[str]:
    """Return secrets of every kind, accepted and refused."""
    return [
        owner.typed(),
        owner.password,
        owner.password + owner.wrong_code(),
        owner.password + owner.recovery_codes()[0],
        owner.app_password(),
        owner.app_password("sieve"),
    ]


def forms(site: Site) -> set[bytes]:
    """Return all that was typed or made, in clear, and as clients write it on the wire."""
    found = {secret.encode() for secret in site.secrets}
    for name, secret in site.presented:
        found.add(secret.encode())
        found.add(base64.b64encode(f"\0{name}\0{secret}".encode()))
        found.add(base64.b64encode(secret.encode()))
    return found


def found_in_files(site: Site, needles: set[bytes]) -> str:
    """Return which files of the site hold a needle: logs, database, configurations.

    Not Postfix's queues and what has left: owners are mailed their recovery codes, on purpose.
    """
    ground = site.sandbox.config.parents[len(Path("etc/mailauth").parts)]
    done = subprocess.run(
        [
            "grep",
            "-rlaF",
            "-D",
            "skip",
            "--exclude-dir=mail_out",
            "--exclude-dir=spool",
            "-f",
            "-",
            str(site.sandbox.dir),
            str(ground),
        ],
        input=b"\n".join(needles),
        stdout=subprocess.PIPE,
        check=False,
    )
    assert done.returncode in (0, 1)
    return done.stdout.decode()


@contextlib.contextmanager
def process_list(needles: list[bytes]) -> Iterator[list[str]]:
    """Look at every process's arguments and environment, over and over; collect those that hold a needle."""
    found: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(PAUSE_S):
            for pid in filter(str.isdigit, os.listdir("/proc")):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):  # the process has ended
                        text = Path("/proc", pid, name).read_bytes()
                        if any(needle in text for needle in needles):
                            found.append(f"{name} of {pid}: {text!r}")

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()


def test_no_secret_is_in_a_log_a_file_or_the_process_list(site: Site) -> None:
    owner = site.enrolled()
    secrets = typed_by(owner)
    with ThreadPoolExecutor(len(DOORS)) as pool:
        for secret in secrets[:2]:
            list(pool.map(lambda door, secret=secret: door.login(site, owner.name, secret), DOORS))
    clients = sources(4)
    tries = [Try(owner.name, secret, client) for secret in secrets for client in clients]
    with process_list([secret.encode() for secret in [owner.password, *secrets]]) as found:
        asyncio.run(over_imap(site, tries))
        over_socket(site.sandbox.postfix_auth_socket, tries)
    assert not found

    searched = forms(site)
    assert len(searched) > len(secrets)
    long = {needle for needle in searched if len(needle) >= SHORTEST_SEARCHED_IN_FILES}
    short = {needle.decode() for needle in searched - long}
    assert not found_in_files(site, long)
    # Numbers of processes, and of mails at the sink, have six digits as well.
    logged = re.sub(r"\[\d+\]|pid[:=]\d+|\d+\.eml\b", "", site.sandbox.logged())
    assert logged.count(owner.name) >= len(tries)
    assert not short & set(re.findall(r"\w+", logged))
