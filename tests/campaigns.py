"""What takes too long for `make test`: `make campaign NAME`, or `python -m tests.campaigns NAME... [OPTION...]`.

Without a name it lists them: what each shows, and how long it takes on two cores. `--short` shows in two minutes at
most that a campaign starts and does its work; other options are handed to a campaign's last command.
Uses nothing that has to be installed, so that the list can be had at once. Exits 0 where all have held.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
FUZZ_SECONDS = os.environ.get("FUZZ_SECONDS", "60")

Command = tuple[str, ...]


def module(name: str, *options: str) -> Command:
    return (sys.executable, "-m", name, *options)


def tests(*options: str) -> Command:
    return module("pytest", "-q", *options)


RACES = (
    "tests/integration/verifier/test_processes.py",
    "tests/integration/server/test_parallel.py",
    "tests/integration/server/test_crash.py",
    "tests/stack/logins/test_races.py",
    "tests/stack/logins/test_kill.py",
)


@dataclass(frozen=True)
class Campaign:
    """Commands that are run in turn; those of a short run, and what of the environment is set for each."""

    shows: str
    takes: str
    commands: tuple[Command, ...]
    short: tuple[Command, ...]
    environment: dict[str, str] = field(default_factory=dict)
    short_environment: dict[str, str] = field(default_factory=dict)


CAMPAIGNS = {
    "simulation": Campaign(
        "what thieves and strangers can do against the limits in a year, under a virtual clock (LIM1, LIM7)",
        "2 minutes",
        (module("tests.simulation"),),
        (module("tests.simulation"),),
    ),
    "fuzz": Campaign(
        "that no parser, in C or Python, falls over random input (F6); FUZZ_SECONDS each",
        "6 minutes",
        (
            ("make", "-C", "pam_module", "fuzz", f"FUZZ_SECONDS={FUZZ_SECONDS}"),
            module("tests.fuzz", "--seconds", FUZZ_SECONDS),
        ),
        (("make", "-C", "pam_module", "fuzz", "FUZZ_SECONDS=2"), module("tests.fuzz", "--seconds", "1")),
    ),
    "bench": Campaign(
        "logins a second of mailauth beside bare Dovecot and the bare hash; `--large`: with 1,000,000 accounts",
        "4 minutes",
        (module("tests.bench"),),
        (module("tests.bench", "--quick"),),
    ),
    "flood": Campaign(
        "how quick app passwords are while wrong passwords flood in (F8)",
        "half a minute",
        (module("tests.bench.flood"),),
        (module("tests.bench.flood", "--seconds", "1", "--connections", "10"),),
    ),
    "enumeration": Campaign(
        "whether the time of a refusal tells why it was refused (ENU2)",
        "4 minutes",
        (module("tests.bench.enumeration"),),
        (module("tests.bench.enumeration", "--attempts", "20"),),
    ),
    "polling": Campaign(
        "how quick logins by password are while 40,000 people's clients poll, with a panel's bcrypt (EST10)",
        "10 minutes",
        (module("tests.bench.polling"), module("tests.bench.polling", "--on-the-day")),
        (module("tests.bench.polling", "--people", "500", "--seconds", "2"),),
    ),
    "estates": Campaign(
        "whether the time of a refusal tells who has an account where another system has the passwords (ENU2)",
        "2 hours",
        (module("tests.bench.enumeration", "--estate", "sql"), module("tests.bench.enumeration", "--estate", "ldap")),
        (module("tests.bench.enumeration", "--estate", "sql", "--attempts", "5"),),
    ),
    "announcing": Campaign(
        "how long logins take while an announcement to all accounts is queued (MAIL11)",
        "a minute",
        (module("tests.bench.announcing"),),
        (module("tests.bench.announcing", "--accounts", "500", "--seconds", "1"),),
    ),
    "bulk": Campaign(
        "how long files of 40,000 accounts, lists of them and 1,000 new passwords take, and in how much memory (FAC7)",
        "2 minutes",
        (module("tests.bench.bulk"),),
        (module("tests.bench.bulk", "--accounts", "2000", "--names", "20"),),
    ),
    "outage": Campaign(
        "how quick app passwords are while the directory or database of passwords hangs, or is stopped (EST4)",
        "a minute",
        (module("tests.bench.outage"),),
        (module("tests.bench.outage", "--logins", "50"),),
    ),
    "mailboxes": Campaign(
        "that an estate of 40,000 mailboxes goes on, over real IMAP, SMTP and browser, with every scheme (EST1, EST6)",
        "5 minutes",
        (module("tests.bench.mailboxes"),),
        (module("tests.bench.mailboxes", "--accounts", "500", "--sample", "5", "--browsers", "1"),),
    ),
    "portal": Campaign(
        "how long each page of the portal takes, with 10,000 accounts",
        "10 seconds",
        (module("tests.bench.portal"),),
        (module("tests.bench.portal", "--rounds", "5"),),
    ),
    "races": Campaign(
        "that of any number with one code one passes, killed or not (F1, F2): the tests' rounds ten times over",
        "12 minutes",
        (tests(*RACES),),
        (tests(*RACES[:2]),),
        {"MAILAUTH_ROUNDS": "10"},
    ),
    "mutation": Campaign(
        "that the tests notice when a decision is changed, one thing at a time (F13), by mutmut",
        "3 minutes",
        (module("tests.mutation"),),
        (module("tests.mutation", "mailauth.core.splitter.*"),),
    ),
    "properties": Campaign(
        "that what holds of all input holds of 5,000 examples each",
        "2 minutes",
        (tests("-n", "2", "tests/property"),),
        (tests("-n", "2", "tests/property"),),
        {"MAILAUTH_EXAMPLES": "5000"},
        {"MAILAUTH_EXAMPLES": "10"},
    ),
    "pam": Campaign(
        "that half a million logins by the PAM module leave memory and descriptors flat (F11)",
        "2 minutes",
        (tests("tests/integration/test_c_pam.py", "-k", "flat"),),
        (tests("tests/integration/test_c_pam.py", "-k", "flat"),),
        {"MAILAUTH_PAM_LOGINS": "500000"},
        {"MAILAUTH_PAM_LOGINS": "2000"},
    ),
}


def listing() -> str:
    """Return what there is, a campaign a paragraph."""
    lines = [f"  {name:12} {each.shows}; {each.takes}" for name, each in CAMPAIGNS.items()]
    return "\n".join(["make campaign NAME, where NAME is one of:", "", *lines])


def run(name: str, arguments: Sequence[str], *, is_short: bool) -> bool:
    """Run a campaign's commands, the later ones too where one has failed; return whether all have held."""
    campaign = CAMPAIGNS[name]
    *first, last = campaign.short if is_short else campaign.commands
    environment = campaign.short_environment if is_short else campaign.environment
    held = True
    for command in (*first, (*last, *arguments)):
        print("+", *command, flush=True)
        held &= subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=False).returncode == 0
    return held


def main() -> int:
    """Run what is named, or list what there is."""
    names = list(itertools.takewhile(lambda word: not word.startswith("-"), sys.argv[1:]))
    options = sys.argv[1 + len(names) :]
    unknown = [name for name in names if name not in CAMPAIGNS]
    if unknown:
        print(f"No campaign is called {', '.join(unknown)}.", file=sys.stderr)
    if unknown or not names:
        print(listing())
        return 2 if unknown else 0
    arguments = [option for option in options if option != "--short"]
    held = [run(name, arguments, is_short="--short" in options) for name in names]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
