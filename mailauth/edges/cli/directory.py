"""`directory`: following what the password sources list."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from mailauth.edges.cli.context import (
    EX_TEMPFAIL,
    Context,
    json_option,
    pass_context,
    print_json,
    print_table,
    reports_errors,
    reports_errors_by,
    spoken,
)

if TYPE_CHECKING:
    from mailauth.usecases.directory_comparison import Report

_KINDS = (
    ("added", "added"),
    ("updated", "updated"),
    ("renamed", "have another name now"),
    ("replaced", "are another person now, and begin anew"),
    ("returned", "came back"),
    ("inactive", "disabled, marked inactive"),
    ("absent", "disabled, not listed any more"),
    ("removed", "removed, long not listed"),
    ("refused", "not taken"),
)
"""What a report counts, with the words for it."""


@click.group()
def directory() -> None:
    """Follow what the password sources list: new people, other names, who has left.

    The worker does the same every `directory.every_s` seconds.
    """


@directory.command()
@click.option("--source", help="Only this one; by default each that can be listed.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do none of it.")
@click.option(
    "--accept-removals",
    "domain",
    metavar="DOMAIN",
    help="Disable the accounts of DOMAIN that are not listed any more, though they are many.",
)
@click.option(
    "--count",
    type=click.IntRange(0),
    help="How many these are; needed, and compared, so that it is what you have seen.",
)
@json_option
@pass_context
@reports_errors_by(EX_TEMPFAIL)
def sync(
    context: Context, source: str | None, dry_run: bool, domain: str | None, count: int | None, as_json: bool
) -> None:
    """List the sources now, and put into force what they say.

    Who is not listed any more, or is marked inactive, is disabled, app passwords included; nothing is removed before
    `directory.keep_days`. A listing that fails, or is empty, changes nothing. Where more than a tenth of a domain or
    source would be disabled at once, none of those is, until you say so by --accept-removals.

    Exit 0 where all is in force, 1 where something is held back or not taken, 75 where a source can't be listed.
    """
    from mailauth.usecases.directory_comparison import AcceptedRemovals
    from mailauth.vocabulary.errors import InvalidValue, SourceUnavailable

    if (domain is None) != (count is None):
        raise click.UsageError("--accept-removals and --count belong together")
    reports, failures = [], []
    with context.installation() as installation:
        chosen = list(installation.directory.sources) if source is None else [source]
        if not chosen:
            raise InvalidValue("no password source can be listed ([[sources]], their `list`)")
        if domain is not None and len(chosen) > 1:
            raise click.UsageError(f"--source is needed as well: one of {', '.join(chosen)}")
        accepted = None if domain is None or count is None else AcceptedRemovals(domain.lower(), count)
        for name in chosen:
            with _progress(name, is_shown=not as_json) as said:
                try:
                    reports.append(
                        installation.directory.sync(name, dry_run=dry_run, accepted=accepted, progress=said)
                    )
                except SourceUnavailable as error:
                    failures.append((name, str(error)))
    if as_json:
        failed = [{"source": name, "error": words} for name, words in failures]
        print_json([*(_as_data(report) for report in reports), *failed])
    else:
        for report in reports:
            _tell(report)
        for name, words in failures:
            click.echo(f"{name}: {words}", err=True)
    if failures:
        raise SystemExit(EX_TEMPFAIL)
    if any(report.held or report.refused for report in reports):
        raise SystemExit(1)


@directory.command()
@json_option
@pass_context
@reports_errors
def status(context: Context, as_json: bool) -> None:
    """Say when each source was listed last, how that went, and what is held back."""
    with context.installation() as installation:
        runs, held = installation.directory.status()
        listed = tuple(installation.directory.sources)
    if as_json:
        print_json({"runs": [run._asdict() for run in runs], "held": [each._asdict() for each in held]})
        return
    rows = [(run.source, spoken(run.succeeded_at) or "never", run.listed, run.error) for run in runs]
    empty = "no source was listed yet" if listed else "no password source can be listed ([[sources]], their `list`)"
    print_table(rows, ("SOURCE", "LISTED AT", "USERS", "TROUBLE"), empty)
    for each in held:
        click.echo(_held_sentence(each))


def _tell(report: "Report") -> None:
    would = "would be " if report.is_dry_run else ""
    click.echo(f"{report.source}: {report.listed} listed, {report.unchanged} unchanged")
    for kind, words in _KINDS:
        number = getattr(report, kind)
        if not number:
            continue
        click.echo(f"  {number} {would if words[0] in 'adu' else ''}{words}:")
        for example in report.examples.get(kind, ()):
            click.echo(f"    {example}")
        more = number - len(report.examples.get(kind, ()))
        if more > 0 and kind in report.examples:
            click.echo(f"    and {more} more")
    for each in report.held:
        click.echo(f"  {_held_sentence(each)}")


def _held_sentence(each: Any) -> str:
    where = each.domain or "all domains together"
    words = {"absent": "not listed any more", "inactive": "marked inactive"}.get(each.kind, "of another uid")
    many = f"{each.number} of {each.of} accounts of {where}"
    sentence = f"HELD BACK: {many} are {words} at {each.source}, too many at once."
    if each.kind == "absent" and each.domain:
        return (
            f"{sentence} If that is meant: mailauth directory sync --source {each.source} "
            f"--accept-removals {each.domain} --count {each.number}"
        )
    return f"{sentence} Look at the source first."


def _as_data(report: "Report") -> dict[str, Any]:
    return asdict(report) | {"held": [each._asdict() for each in report.held]}


@contextmanager
def _progress(name: str, *, is_shown: bool) -> Iterator[Callable[[int], None]]:
    """Say on a terminal how many lines were read."""
    is_shown = is_shown and sys.stderr.isatty()

    def say(count: int) -> None:
        if is_shown:
            click.echo(f"\r{name}: {count} listed ...", err=True, nl=False)

    yield say
    if is_shown:
        click.echo("\r\033[K", err=True, nl=False)
