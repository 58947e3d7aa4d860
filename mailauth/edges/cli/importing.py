"""`mailauth import`: the authenticators that people already have."""

from typing import TYPE_CHECKING, Any

import click

from mailauth.edges.cli.context import Context, json_option, pass_context, print_json, reports_errors
from mailauth.effects.imports import FORMATS

if TYPE_CHECKING:
    from mailauth.usecases.authenticator_import import Row


@click.command("import")
@click.argument("kind", metavar="FORMAT", type=click.Choice(tuple(FORMATS)))
@click.argument("place", metavar="PATH|URL")
@click.option("--domain", help="Of names without one, in place of accounts.default_domain.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do none of it.")
@click.option("--notify", is_flag=True, help="Mail each owner that there is an authenticator now, and how to undo it.")
@click.option("--issue-recovery", is_flag=True, help="Make recovery codes for each, and mail them.")
@json_option
@pass_context
@reports_errors
def import_(
    context: Context,
    kind: str,
    place: str,
    domain: str | None,
    dry_run: bool,
    notify: bool,
    issue_recovery: bool,
    as_json: bool,
) -> None:
    r"""Take over the authenticators that people have set up elsewhere, so that their apps go on as they are.

    \b
    google-authenticator  PATH: a folder of homes, USER/ or DOMAIN/USER/
    pam-oath              PATH: the usersfile
    otpauth               PATH: otpauth:// URIs, one a line, or CSV: account,uri
    otpauth-migration     PATH: Google Authenticator's export, as text or picture
    privacyidea           PATH: what its token janitor exports with --csv
    roundcube-2fa, mailcow, postfixadmin, modoboa, userli, mail-in-a-box
                          URL of the database, or PATH of a file that holds it

    Accounts have to be there (directory sync, account import). One that has another authenticator keeps it; the same
    one again changes nothing. Codes of 6 and 8 digits, of 30 and 60 seconds, by SHA-1, SHA-256 and SHA-512 are taken.
    Not taken, and named: counters (HOTP), wider windows, PINs, and codes to scratch, which are short enough to guess;
    --issue-recovery makes better ones. From then on the account is enrolled: its password alone opens nothing.

    A URL on the command line shows its password to everybody on this machine: better put it into a file.

    Each is taken or not whatever the others are. Exit 1 where some were refused.
    """
    from mailauth.effects import imports

    rows: list[dict[str, Any]] = []
    would = "would be " if dry_run else ""

    def tell(row: "Row") -> None:
        if as_json:
            rows.append({name: getattr(row, name) for name in row.__slots__})
        else:
            _print(row, would)

    records = imports.reader(kind)(_place_of(kind, place))
    with context.installation() as installation:
        report = installation.authenticator_import.put_in_force(
            records, tell, domain=domain, dry_run=dry_run, is_told=notify, issues_recovery=issue_recovery
        )
    counts = {str(outcome).replace(" ", "_"): count for outcome, count in report.counts.items()}
    if as_json:
        print_json(counts | {"rows": rows})
    else:
        click.echo(
            f"{counts['taken']} {would}taken, {counts['there_already']} there already, {counts['refused']} refused"
        )
    if counts["refused"]:
        raise SystemExit(1)


def _print(row: "Row", would: str) -> None:
    whose = f"{row.account} ({row.place})" if row.account else row.place
    if row.why:
        click.echo(f"refused: {whose}: {row.why}", err=True)
        return
    left = f"; not taken: {', '.join(row.left)}" if row.left else ""
    click.echo(f"{would if row.outcome == 'taken' else ''}{row.outcome}: {whose}: {row.parameters}{left}")


def _place_of(kind: str, place: str) -> str:
    """Return a path, or a database's URL: as it was given, or as the file says that was."""
    from pathlib import Path

    from mailauth.effects.imports import IN_DATABASES, files

    if kind not in IN_DATABASES or "://" in place:
        return place
    return files.text_of(Path(place), 4096).strip()
