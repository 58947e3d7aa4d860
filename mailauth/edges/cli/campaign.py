"""`campaign`: writing to all accounts that have not enrolled."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from mailauth.edges.cli.context import Context, json_option, pass_context, print_json, reports_errors


@click.group()
def campaign() -> None:
    """Tell users by mail what comes, and how to set it up."""


@campaign.command()
@click.option("--account", "names", metavar="ACCOUNT", multiple=True, help="Write to this account only; repeatable.")
@click.option(
    "--dry-run",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Queue nothing: write the mails into this folder of yours alone, as .eml files that a mail program opens.",
)
@json_option
@pass_context
@reports_errors
def announce(context: Context, names: tuple[str, ...], folder: Path | None, as_json: bool) -> None:
    """Announce two-factor authentication to every account that is neither enrolled nor disabled.

    Each account gets it once, however often this is run, and also where a run was interrupted: run it again and it
    goes on. Told is who has a mail that the SMTP server took: who has one that was given up is written to again. After
    another cutover.date all are written to anew, for what they were told is no longer true. The mails are queued, in
    batches that give way to logins; `mailauth serve worker` sends them.
    """
    with context.installation() as installation:
        from mailauth.wiring import mailing

        ours = mailing.of(installation).campaign
        only = ours.chosen(names) if names else None
        with _progress(ours.count(only), shown=not as_json and sys.stderr.isatty()) as done:
            result = ours.announce(only, done) if folder is None else ours.rehearse(folder, only, done)
    if as_json:
        counted = "queued" if folder is None else "written"
        print_json(
            {
                counted: result.queued,
                "languages": dict(sorted(result.by_language.items())),
                "told_before": result.told_before,
                "waiting": result.waiting,
                "unreachable": result.unreachable,
            }
        )
        return
    where = "queued" if folder is None else f"written to {folder}"
    before = f"; {result.told_before} had been told before" if result.told_before else ""
    before += f"; {result.waiting} wait in the queue" if result.waiting else ""
    languages = ", ".join(f"{count} in {language}" for language, count in sorted(result.by_language.items()))
    languages = f" ({languages})" if languages else ""
    click.echo(f"{result.queued} mail{'s' if result.queued != 1 else ''} {where}{languages}{before}")
    if folder is None and result.queued:
        click.echo("`mailauth serve worker` delivers them; see: mailauth outbox list")
    if result.unreachable:
        click.echo(f"no mail can go to: {' '.join(result.unreachable)}", err=True)


@contextmanager
def _progress(accounts: int, *, shown: bool) -> Iterator[Callable[[int], object]]:
    """Give what is told how many more accounts are done, which draws a bar on a terminal."""
    if not shown:
        yield lambda _: None
        return
    with click.progressbar(length=accounts, label="Announcing", show_pos=True, file=sys.stderr) as bar:
        yield bar.update
