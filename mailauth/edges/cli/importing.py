"""`mailauth import`: the authenticators and app passwords that people already have."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mailauth.edges.cli.context import Context, json_option, pass_context, print_json, reports_errors
from mailauth.effects.imports import APP_PASSWORD_FORMATS, FORMATS, IN_DATABASES

if TYPE_CHECKING:
    from mailauth.usecases.authenticator_import import Row

AUTHENTICATORS, APP_PASSWORDS = "authenticators", "app-passwords"
_KINDS = tuple(dict.fromkeys((*FORMATS, *APP_PASSWORD_FORMATS)))
_URL_BYTES = 4096


@click.command("import")
@click.argument("kind", metavar="FORMAT", type=click.Choice(_KINDS))
@click.argument("place", metavar="PATH|URL")
@click.option(
    "--only", type=click.Choice((AUTHENTICATORS, APP_PASSWORDS)), help="One of the two, where there are both."
)
@click.option("--domain", help="Of names without one, in place of accounts.default_domain.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do none of it.")
@click.option("--notify", is_flag=True, help="Mail each owner about what there is now, and how to undo it.")
@click.option("--issue-recovery", is_flag=True, help="Make recovery codes with each authenticator, and mail them.")
@json_option
@pass_context
@reports_errors
def import_(
    context: Context,
    kind: str,
    place: str,
    only: str | None,
    domain: str | None,
    dry_run: bool,
    notify: bool,
    issue_recovery: bool,
    as_json: bool,
) -> None:
    r"""Take over the authenticators and app passwords that people have elsewhere, so that apps go on as they are.

    \b
    google-authenticator  PATH: a folder of homes, USER/ or DOMAIN/USER/
    pam-oath              PATH: the usersfile
    otpauth               PATH: otpauth:// URIs, one a line, or CSV: account,uri
    otpauth-migration     PATH: Google Authenticator's export, as text or picture
    privacyidea           PATH: what its token janitor exports with --csv
    roundcube-2fa, modoboa, userli, mail-in-a-box
                          URL of the database, or PATH of a file that holds it
    mailcow, postfixadmin the same, and their app passwords
    mailu                 the same: its tokens, which are app passwords

    Accounts have to be there (directory sync, account import). One that has another authenticator keeps it; the same
    again changes nothing. Codes of 6 and 8 digits, of 30 and 60 seconds, by SHA-1, SHA-256 and SHA-512 are taken. Not
    taken, and named: counters (HOTP), wider windows, PINs, and codes to scratch, which are short enough to guess;
    --issue-recovery makes better ones. From then on the account is enrolled: its password alone opens nothing.

    An app password goes on for the services and networks that it had, at most 8 an account. It has to be used within
    imports.foreign_days; from its first use on it is as good as one that was made here. Its owner sees and revokes it
    in the portal, and what was revoked is not imported again.

    A URL on the command line shows its password to everybody on this machine: better put it into a file.

    Each is taken or not whatever the others are. Exit 1 where some were refused.
    """
    from mailauth.effects import imports

    whole = _place_of(kind, place)
    wanted = _wanted(kind, only)
    counts: dict[str, Counter[str]] = {what: Counter() for what in wanted}
    rows: list[dict[str, Any]] = []
    would = "would be " if dry_run else ""

    def tell(what: str, row: "Row") -> None:
        counts[what][row.outcome] += 1
        if as_json:
            rows.append({"kind": what} | {name: getattr(row, name) for name in row.__slots__})
        else:
            _print(row, would)

    with context.installation() as installation:
        if AUTHENTICATORS in wanted:
            installation.authenticator_import.put_in_force(
                imports.reader(kind)(whole),
                lambda row: tell(AUTHENTICATORS, row),
                domain=domain,
                dry_run=dry_run,
                is_told=notify,
                issues_recovery=issue_recovery,
            )
        if APP_PASSWORDS in wanted:
            installation.app_password_import.put_in_force(
                imports.app_password_reader(kind)(whole),
                lambda row: tell(APP_PASSWORDS, row),
                domain=domain,
                dry_run=dry_run,
                is_told=notify,
            )
    if as_json:
        print_json({what: _sums(counts[what]) for what in wanted} | {"rows": rows})
    else:
        for what in wanted:
            found = _sums(counts[what])
            click.echo(
                f"{what.replace('-', ' ')}: {found['taken']} {would}taken, {found['there_already']} there already, "
                f"{found['refused']} refused"
            )
    if any(each["refused"] for each in counts.values()):
        raise SystemExit(1)


def _wanted(kind: str, only: str | None) -> tuple[str, ...]:
    has = ((AUTHENTICATORS, kind in FORMATS), (APP_PASSWORDS, kind in APP_PASSWORD_FORMATS))
    there = tuple(what for what, is_there in has if is_there)
    if only is not None and only not in there:
        raise click.UsageError(f"{kind} has no {only.replace('-', ' ')}")
    return there if only is None else (only,)


def _sums(counts: Counter[str]) -> dict[str, int]:
    return {"taken": counts["taken"], "there_already": counts["there already"], "refused": counts["refused"]}


def _print(row: "Row", would: str) -> None:
    whose = _printable(f"{row.account} ({row.place})" if row.account else row.place)
    if row.why:
        click.echo(f"refused: {whose}: {_printable(row.why)}", err=True)
        return
    left = f"; not taken: {', '.join(row.left)}" if row.left else ""
    click.echo(f"{would if row.outcome == 'taken' else ''}{row.outcome}: {whose}: {_printable(row.what)}{left}")


def _printable(words: str) -> str:
    """Return words of other people without what a terminal would obey."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in words)


def _place_of(kind: str, place: str) -> str:
    """Return a path, or a database's URL: as it was given, or as the file says that was."""
    from mailauth.effects.imports import files

    if kind not in IN_DATABASES or "://" in place:
        return place
    return files.text_of(Path(place), _URL_BYTES).strip()
