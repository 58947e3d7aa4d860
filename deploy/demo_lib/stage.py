"""What the demo shows and how: steps, commands, the servers' own words, right or wrong.

A step that does not do what it should ends the story with a StoryError.
"""

from __future__ import annotations

import itertools
import shlex
import subprocess
import sys

COMMAND_TIMEOUT_S = 60
BOLD, GREEN, RED, DIM, PLAIN = "\033[1m", "\033[32m", "\033[31m", "\033[2m", "\033[0m"


class StoryError(Exception):
    """A step went otherwise than it should."""


_numbers = itertools.count(1)


def _print(text: str, *, style: str = "") -> None:
    if style and sys.stdout.isatty():
        text = f"{style}{text}{PLAIN}"
    print(text, flush=True)


def heading(text: str) -> None:
    _print(f"\n{next(_numbers):2}. {text}", style=BOLD)


def tell(text: str) -> None:
    for line in text.splitlines():
        _print(f"    {line}")


def shown(command: list[str], *, alias: dict[str, str] | None = None) -> None:
    """A command, as one would type it."""
    words = [(alias or {}).get(word, shlex.quote(word)) for word in command]
    _print(f"    $ {' '.join(words)}", style=DIM)


def client_says(text: str) -> None:
    _print(f"    C: {text}", style=DIM)


def server_says(text: str) -> None:
    _print(f"    S: {text}")


def expect(holds: object, text: str) -> None:
    """One claim of the story."""
    if not holds:
        _print(f"    WRONG, this should be: {text}", style=RED)
        raise StoryError(text)
    _print(f"    right: {text}", style=GREEN)


def run(command: list[str], *, stdin: str = "", show: list[str] | None = None) -> str:
    """Show a command as `show`, run it, return its output; it has to succeed."""
    if show is not None:
        shown(show)
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    if done.returncode != 0:
        tell(done.stdout + done.stderr)
        raise StoryError(f"{shlex.join(command[:3])} ... ended with exit code {done.returncode}")
    return done.stdout
