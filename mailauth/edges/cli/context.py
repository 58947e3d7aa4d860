"""What every command needs: the configuration file, the wired installation, secrets from people, output for both.

Secrets come from standard input or the terminal, never from an argument or the environment, where other users
of the machine could read them. Errors become sentences and exit codes here: 1 for "no", 2 for wrong usage,
75 (EX_TEMPFAIL of sysexits.h) for "not now".
"""

import functools
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from mailauth.vocabulary.errors import InvalidConfiguration, MailauthError, StoreUnavailable
from mailauth.vocabulary.secret import Secret

if TYPE_CHECKING:
    from mailauth.effects.configuration.schema import Configuration
    from mailauth.wiring import Installation

P = ParamSpec("P")
R = TypeVar("R")

EX_TEMPFAIL = 75
MAX_STDIN_BYTES = 64 * 1024
_ROWS_MEASURED = 500
INSPECTED_FOR_S = 0.25
"""How long a command waits for damage in the database to be found: enough for some 50 MB of it."""


class Context:
    """The chosen configuration file; reads it and wires it up only when a command asks."""

    def __init__(self, config_path: Path) -> None:
        self.config_path = config_path

    def configuration(self) -> "Configuration":
        """Return the configuration. Raises InvalidConfiguration."""
        from mailauth.effects.configuration import loading

        return loading.load(self.config_path)

    def now(self) -> datetime:
        """Return the moment, for commands that wire nothing up."""
        return datetime.now(UTC)

    @contextmanager
    def installation(self, inspected_for_s: float = INSPECTED_FOR_S) -> Iterator["Installation"]:
        """Give the wired installation, and close it after. A database that proves damaged in time is not used."""
        from mailauth import wiring

        installation = wiring.build(self.configuration())
        inspection = None
        try:
            inspection = installation.database.inspect(inspected_for_s)
            yield installation
        finally:
            if inspection is not None:
                inspection.stop()
            installation.close()


pass_context = click.make_pass_decorator(Context)

row_id = click.IntRange(1, 2**63 - 1)
"""What a row can be numbered by."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors that this package raises on purpose, and closed files, into a sentence and an exit code."""
    return reports_errors_by(1)(command)


def reports_errors_by(exit_code: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Do the same with another exit code, for commands whose 1 means something."""

    def decorated(command: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(command)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return command(*args, **kwargs)
            except InvalidConfiguration as error:
                count = len(error.mistakes)
                click.echo(f"{error.source}: {count} mistake{'s' if count != 1 else ''}", err=True)
                for mistake in error.mistakes:
                    click.echo(f"  {mistake.place}: {mistake.problem}", err=True)
                sys.exit(exit_code)
            except MailauthError as error:
                click.echo(f"mailauth: {error}", err=True)
                sys.exit(EX_TEMPFAIL if isinstance(error, StoreUnavailable) else exit_code)
            except OSError as error:  # whichever file it is: mailauth runs as a user of its own
                if error.filename is None and not isinstance(error, PermissionError):
                    raise
                click.echo(f"mailauth: {error.filename or command.__name__}: {error.strerror or error}", err=True)
                sys.exit(exit_code)

        return wrapped

    return decorated


def read_secret(prompt: str, *, confirm: bool = False) -> Secret:
    """Return a secret from the terminal (unseen, asked twice if `confirm`), or standard input's one line.

    The line break that ends the input is not part of it; everything else is.
    """
    if sys.stdin.isatty():
        typed: str = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
        return Secret(typed.encode("utf-8", "surrogateescape"))
    value = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
    if len(value) > MAX_STDIN_BYTES:
        raise click.UsageError(f"more than {MAX_STDIN_BYTES} bytes on standard input")
    return Secret(value.removesuffix(b"\n").removesuffix(b"\r"))


def say_what_goes_on(account_name: str) -> None:
    """Say that sessions of mail servers outlive what was just done to an account, and how to end them."""
    click.echo(
        "New logins fail within a second. Sessions in mail servers that are open go on; end those in Dovecot by:"
    )
    click.echo(f"  doveadm kick {shlex.quote(account_name)}")
    click.echo("Those in Postfix or Exim end when their client goes, or has been silent for five minutes.")


def print_json(value: Any) -> None:
    """Print one JSON document; in ASCII where standard output is not UTF-8."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=not _is_utf_8(), default=_plain))


def json_text(value: Any) -> str:
    """Return one JSON document on one line, in ASCII where standard output is not UTF-8."""
    return json.dumps(value, ensure_ascii=not _is_utf_8(), default=_plain)


def _is_utf_8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def print_table(rows: Sequence[Sequence[object]], headers: Sequence[str], empty: str) -> None:
    """Print a table, or a sentence where there are no rows."""
    if not rows:
        click.echo(empty)
        return
    from tabulate import tabulate

    click.echo(tabulate(rows, headers=headers, tablefmt="plain", disable_numparse=True))


def print_long_table(rows: Iterable[Sequence[object]], headers: Sequence[str], empty: str) -> None:
    """Print a table that may be longer than memory: its first rows tell how wide its columns are."""
    iterator = iter(rows)
    first = [[str(cell) for cell in row] for row in islice(iterator, _ROWS_MEASURED)]
    if not first:
        click.echo(empty)
        return
    widths = [max(map(len, column)) for column in zip(headers, *first, strict=True)]
    for row in chain([headers], first, iterator):
        click.echo("  ".join(f"{cell!s:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def spoken(moment: datetime | None) -> str:
    """Return a moment for people, in UTC."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)
