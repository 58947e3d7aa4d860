"""How long does work on many accounts take, and in how much memory? Run: python -m tests.bench.bulk

Real `mailauth account` commands on SQLite: a file of accounts imported, imported again, listed and exported; and names
with passwords from standard input, hashed as strong as by default. Prints each with its mark, which is for 40,000
accounts and two cores; `--accounts 1000000` shows that memory does not grow. Exits 1 where a command failed, not where
a mark is missed.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.population import ARGON2
from tests.world import install

HASH = "{BLF-CRYPT}$2y$10$abcdefghijklmnopqrstuu5Lo0g67CiD3M4RpN1BmBb4Crp5w7dbK"
MARKED_AT = 40_000


@dataclass(frozen=True)
class Task:
    """A command, where its input is, and its marks: seconds, and MB."""

    words: Sequence[str]
    stdin: Path
    most_s: float
    most_mb: float = 200.0


def run(config: Path, task: Task, output: Path) -> bool:
    """Run a command, and print how long it took and how much memory."""
    began, child = time.monotonic(), os.fork()
    if child == 0:
        os.dup2(os.open(task.stdin, os.O_RDONLY), 0)
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
        os.execv(sys.executable, [sys.executable, "-m", "mailauth", "--config", str(config), *task.words])
    _, status, usage = os.wait4(child, 0)
    took_s, peak_mb = time.monotonic() - began, usage.ru_maxrss / 1024
    verdict = "met" if took_s <= task.most_s and peak_mb <= task.most_mb else "MISSED"
    words = " ".join(word for word in task.words if not word.startswith("/"))
    print(f"{words:45} {took_s:7.1f} s {peak_mb:6.0f} MB   mark {task.most_s:.0f} s, {task.most_mb:.0f} MB: {verdict}")
    return os.waitstatus_to_exitcode(status) == 0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=MARKED_AT)
    parser.add_argument("--names", type=int, default=1000, help="how many are added with a password each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailauth-") as directory:
        place = Path(directory)
        config = install(place, *(f"password.argon2.{key}={value}" for key, value in ARGON2.items()))
        people, names, nothing = place / "people.csv", place / "names", place / "nothing"
        nothing.touch()
        with people.open("w") as file:
            file.write("name,hash,aliases,language,recovery_address\n")
            for n in range(options.accounts):
                domain = f"domain{n % 400}.example"
                file.write(f"user{n:07}@{domain},{HASH},alias{n:07}@{domain},de,user{n:07}@elsewhere.example\n")
        names.write_text("".join(f"new{n:07}\tcorrect horse {n}\n" for n in range(options.names)))
        part = max(1.0, options.accounts / MARKED_AT)
        tasks = (
            Task(("account", "import", str(people)), nothing, 60 * part),
            Task(("account", "import", str(people)), nothing, 60 * part),
            Task(("account", "list", "--not-enrolled"), nothing, 2 * part),
            Task(("account", "list", "--not-enrolled", "--json-lines"), nothing, 2 * part),
            Task(("account", "list", "--count"), nothing, 2 * part),
            Task(("account", "export", "--with-hashes"), nothing, 60 * part),
            Task(("account", "add", "-"), names, 40 * max(1.0, options.names / 1000)),
        )
        held = [run(config, task, place / "output") for task in tasks]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
