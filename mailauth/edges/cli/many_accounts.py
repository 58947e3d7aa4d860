"""`account list`, `account import` and `account export`: many accounts at once."""

import csv
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from mailauth.edges.cli.context import (
    Context,
    json_option,
    json_text,
    pass_context,
    print_json,
    print_long_table,
    print_table,
    reports_errors,
    spoken,
)

if TYPE_CHECKING:
    from mailauth.effects.store.account_listing import AccountFilter

_HEADERS = ("ACCOUNT", "ENROLLED", "RECOVERY CODES", "APP PASSWORDS", "LAST LOGIN", "SOURCE", "ALIASES")


@click.command("list")
@click.option(
    "--enrolled/--not-enrolled", "is_enrolled", default=None, help="Only those with a second factor, or without."
)
@click.option("--disabled/--not-disabled", "is_disabled", default=None, help="Only those that may not log in, or may.")
@click.option("--domain", help="Only those of this domain.")
@click.option("--source", help="Only those whose password this source checks.")
@click.option(
    "--inactive",
    "idle_days",
    metavar="DAYS",
    type=click.IntRange(1, 90),
    help="Only those that nobody has logged in to for so long; logins are remembered for 90 days.",
)
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@click.option("--after", default="", metavar="ACCOUNT", help="Begin behind this one: the last of the page before.")
@click.option("--count", "only_counts", is_flag=True, help="Only how many there are, by domain.")
@click.option("--json-lines", "as_lines", is_flag=True, help="Print a JSON document a line, as accounts are read.")
@json_option
@pass_context
@reports_errors
def list_(
    context: Context,
    is_enrolled: bool | None,
    is_disabled: bool | None,
    domain: str | None,
    source: str | None,
    idle_days: int | None,
    limit: int | None,
    after: str,
    only_counts: bool,
    as_lines: bool,
    as_json: bool,
) -> None:
    """List accounts with what each holds, in order of name. Options narrow it down."""
    from itertools import islice

    from mailauth.effects.store.account_listing import AccountFilter

    with context.installation() as installation:
        idle_since = None if idle_days is None else installation.clock() - timedelta(days=idle_days)
        wanted = AccountFilter(is_enrolled, is_disabled, domain and domain.lower(), source, idle_since)
        if only_counts:
            _print_totals(installation.accounts.totals(wanted), as_json=as_json)
            return
        found = islice(installation.accounts.listed(wanted, after), limit)
        if as_lines:
            for summary in found:
                click.echo(json_text(summary._asdict()))
        elif as_json:
            print_json([summary._asdict() for summary in found])
        else:
            _print_list(found, wanted)


def _print_list(found: Iterator[Any], wanted: "AccountFilter") -> None:
    is_narrow = any(each is not None for each in wanted)
    empty = "no such accounts" if is_narrow else "no accounts; add one with: mailauth account add NAME"
    print_long_table(map(_row, found), _HEADERS, empty)


def _row(summary: Any) -> tuple[object, ...]:
    last = spoken(summary.last_login_at)
    return (
        summary.name,
        "disabled" if summary.disabled else "yes" if summary.enrolled else "no",
        summary.recovery_codes_left,
        summary.app_passwords,
        f"{last} ({summary.last_credential})" if last else "",
        summary.source,
        " ".join(summary.aliases),
    )


def _print_totals(by_domain: dict[str, Any], *, as_json: bool) -> None:
    sums = [sum(column) for column in zip(*by_domain.values(), strict=True)] or [0, 0, 0]
    if as_json:
        total = dict(zip(("accounts", "enrolled", "disabled"), sums, strict=True))
        print_json({"total": total, "domains": {domain: each._asdict() for domain, each in by_domain.items()}})
        return
    rows: list[tuple[object, ...]] = [(domain, *each) for domain, each in sorted(by_domain.items())]
    print_table([*rows, ("all", *sums)], ("DOMAIN", "ACCOUNTS", "ENROLLED", "DISABLED"), "")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--format",
    "kind",
    type=click.Choice(("csv", "jsonl", "passwd-file")),
    help="What FILE is; by default what its name ends in says.",
)
@click.option("--default-scheme", default="CRYPT", show_default=True, help="The scheme of hashes that name none.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do none of it.")
@json_option
@pass_context
@reports_errors
def import_(context: Context, file: Path, kind: str | None, default_scheme: str, dry_run: bool, as_json: bool) -> None:
    """Add the accounts in FILE (- for standard input), or bring those that there are to what it says.

    CSV has a header, of some of: name, hash, aliases, language, recovery_address, disabled. JSON lines have the same
    keys, an object a line. passwd-file is Dovecot's: user:hash:... What is empty or missing stays as it is. Hashes are
    those of other systems, in any scheme that mailauth checks; at the next right login one of its own takes their
    place. The same file again changes nothing.

    Good lines are taken whatever the others are. Exit 1 where some were refused; each is named with its line.
    """
    from mailauth.effects.account_files import reading
    from mailauth.vocabulary.errors import InvalidValue

    if kind is None:
        kind = {".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl"}.get(file.suffix)
    if kind is None:
        raise click.UsageError(f"what {file} is does not show in its name: --format csv, jsonl or passwd-file")
    problems: list[str] = []

    def refused(words: str) -> None:
        if as_json:
            problems.append(words)
        else:
            click.echo(f"refused: {words}", err=True)

    with context.installation() as installation, _opened(file) as stream, _bar(stream, is_shown=not as_json) as said:
        importing = installation.account_import
        lines = reading.read(reading.decoded(reading.lines_of(stream)), kind)
        try:
            report = importing.put_in_force(
                lines, dry_run=dry_run, default_scheme=default_scheme, progress=said, refused=refused
            )
        except InvalidValue as error:
            raise InvalidValue(f"{file}: {error}") from error
    if as_json:
        counts = {key: getattr(report, key) for key in ("added", "changed", "unchanged", "refused")}
        print_json(counts | {"problems": problems})
    else:
        would = "would be " if dry_run else ""
        click.echo(f"{report.added} {would}added, {report.changed} {would}changed, {report.unchanged} unchanged")
    if report.refused:
        raise SystemExit(1)


@click.command("export")
@click.option(
    "--format", "kind", type=click.Choice(("csv", "jsonl")), default="csv", show_default=True, help="Its form."
)
@click.option("--with-hashes", is_flag=True, help="Password hashes as well, on which whoever has them can guess.")
@click.option("--domain", help="Only those of this domain.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file, which must not be there yet, mode 0600; by default standard output.",
)
@pass_context
@reports_errors
def export(context: Context, kind: str, with_hashes: bool, domain: str | None, output: Path | None) -> None:
    """Write accounts so that `account import` reads them. Second factors are not among it: `mailauth db backup`."""
    from mailauth.effects.account_files.reading import COLUMNS, guarded
    from mailauth.effects.store.account_listing import AccountFilter

    columns = [column for column in COLUMNS if with_hashes or column != "hash"]
    with context.installation() as installation, _written(output) as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        if kind == "csv":
            writer.writeheader()
        for each in installation.accounts.exported(AccountFilter(domain=domain and domain.lower())):
            facts: dict[str, Any] = {
                "name": each.name,
                "hash": each.password_hash,
                "aliases": list(each.aliases),
                "language": each.language,
                "recovery_address": each.recovery_address,
                "disabled": True if each.is_disabled else None,  # an old export enables nobody
            }
            if kind == "jsonl":
                stream.write(json_text({column: facts[column] for column in columns}) + "\n")
            else:
                facts |= {"aliases": " ".join(each.aliases), "disabled": "yes" if each.is_disabled else ""}
                writer.writerow({column: guarded(facts[column] or "") for column in columns})


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}") from error
    with stream:
        yield stream


@contextmanager
def _written(output: Path | None) -> Iterator[Any]:
    if output is None:
        yield sys.stdout
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise click.UsageError(f"{output}: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
        yield stream


@contextmanager
def _bar(stream: IO[bytes], *, is_shown: bool) -> Iterator[Any]:
    """Show on a terminal how much of a file was read."""
    if not is_shown or not sys.stderr.isatty() or not stream.seekable():
        yield lambda _lines: None
        return
    length = os.fstat(stream.fileno()).st_size
    with click.progressbar(length=length, label="importing", file=sys.stderr) as bar:
        yield lambda _lines: bar.update(max(0, stream.tell() - bar.pos))
