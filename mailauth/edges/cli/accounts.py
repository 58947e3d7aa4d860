"""`account`: the accounts, their passwords and their other names."""

from collections.abc import Iterator

import click

from mailauth.core import new_password
from mailauth.edges.cli import many_accounts
from mailauth.edges.cli.context import (
    Context,
    json_option,
    json_text,
    pass_context,
    print_json,
    print_table,
    read_secret,
    reports_errors,
    say_what_goes_on,
    spoken,
)
from mailauth.vocabulary.errors import InvalidValue
from mailauth.vocabulary.model import AccountName
from mailauth.vocabulary.secret import Secret

_hash_option = click.option(
    "--hash",
    "is_hash",
    is_flag=True,
    help=(
        "What is read is the hash of the password, as another system has stored it: {SCHEME}... as Dovecot writes it, "
        "or $...$ as crypt does. At the next right login one of mailauth's own takes its place."
    ),
)


@click.group()
def account() -> None:
    """Add, list, show, rename and remove accounts; passwords and aliases."""


@account.command()
@click.argument("account_name", metavar="ACCOUNT")
@_hash_option
@json_option
@pass_context
@reports_errors
def add(context: Context, account_name: str, is_hash: bool, as_json: bool) -> None:
    """Add an account; its password is read from standard input, or asked for on a terminal.

    With - for ACCOUNT many are added: standard input has one a line, the name and, behind a tab, the password; a name
    alone is an account without one yet. Each is told of; exit 1 where one could not be added.

    Where mailauth keeps no passwords (`[[sources]]` without `kind = "own"`), none is read.
    """
    is_ours = context.configuration().keeps_passwords()
    if account_name == "-":
        if is_hash:
            raise click.UsageError("many accounts with hashes: mailauth account import")
        _add_many(context, is_ours=is_ours, as_json=as_json)
        return
    what = "Password hash" if is_hash else "Password"
    password = read_secret(f"{what} of {account_name}", confirm=not is_hash) if is_ours else None
    with context.installation() as installation:
        name = installation.accounts.add(account_name, password, is_hash=is_hash)
    if not is_hash:
        _warn_of(password, name)
    if as_json:
        print_json({"account": name})
    else:
        click.echo(f"added {name}")
        _name_pam_user(context, name)


for _command in (many_accounts.list_, many_accounts.import_, many_accounts.export):
    account.add_command(_command)


@account.command()
@click.argument("account_name", metavar="ACCOUNT")
@json_option
@pass_context
@reports_errors
def show(context: Context, account_name: str, as_json: bool) -> None:
    """Show one account, by any of its names."""
    with context.installation() as installation:
        found = installation.accounts.get(account_name)
        explanation = installation.explainer.explain(account_name)
        aliases = installation.accounts.aliases(account_name)
    data = {
        "account": found.name,
        "aliases": aliases,
        "disabled": found.disabled,
        "enrolled": explanation.enrolled,
        "recovery_codes_left": explanation.recovery_codes_left,
        "app_passwords": explanation.app_passwords,
        "exempt_until": found.exempt_until,
    }
    if as_json:
        print_json(data)
        return
    exempt_until = spoken(found.exempt_until) or "no"
    if found.exempt_until is not None and explanation.enrolled:
        exempt_until += " (no effect: enrolled)"
    rows = [
        (key.replace("_", " "), " ".join(value) if isinstance(value, tuple) else value)
        for key, value in (data | {"exempt_until": exempt_until}).items()
    ]
    print_table(rows, (), "")


@account.command()
@click.argument("account_name", metavar="ACCOUNT")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_context
@reports_errors
def remove(context: Context, account_name: str, yes: bool) -> None:
    """Remove an account with its authenticator, recovery codes, app passwords and the mails to it that wait.

    Sessions in mail servers that are open go on until they end: `doveadm kick ACCOUNT` ends those in Dovecot.
    """
    with context.installation() as installation:
        found = installation.accounts.get(account_name)
        name = found.name
        if not yes:
            click.confirm(f"Remove {name} and all that it holds?", abort=True, err=True)
        installation.accounts.remove(name)
    click.echo(f"removed {name}")
    if found.source:
        hint = (
            f"while {found.source} has it, it comes back, without what it held; mailauth account disable keeps it out"
        )
        click.echo(f"warning: {hint}", err=True)
    say_what_goes_on(name)


@account.command()
@click.argument("account_name", metavar="OLD")
@click.argument("new_name", metavar="NEW")
@click.option(
    "--keep-alias/--no-alias",
    default=True,
    show_default=True,
    help="Whether OLD remains as another name to log in by.",
)
@json_option
@pass_context
@reports_errors
def rename(context: Context, account_name: str, new_name: str, keep_alias: bool, as_json: bool) -> None:
    """Give an account another name, and let its owner keep what they have.

    Password, authenticator, recovery codes and app passwords work on, under the new name; with --keep-alias, the
    default, under the old one as well. Wrong logins that were counted against the account count on. Void are sessions
    in the portal and the memory of clients that logged in with a code: the next login takes a new one. Mails that wait
    in the outbox go to the new name, which has to be an address by then.

    Refused where NEW is another account, or an alias of one. It happens in one step, or not at all.
    """
    with context.installation() as installation:
        before, name = installation.renaming.rename(account_name, new_name, keep_alias=keep_alias)
        aliases = installation.accounts.aliases(name)
    if as_json:
        print_json({"account": name, "before": before, "aliases": aliases})
        return
    click.echo(f"renamed {before} to {name}; {'the old name is an alias' if keep_alias else 'the old name is free'}")
    click.echo(
        "Authenticator, recovery codes and app passwords work on. Sessions in the portal have ended, and the next"
    )
    click.echo("login with a code takes a new one. Rename the mailbox as well.")
    _name_pam_user(context, name)


@account.command()
@click.argument("words", metavar="[ACCOUNT] SOURCE", nargs=-1)
@click.option("--all-of", "before", metavar="SOURCE", help="All accounts of this source, which has another name now.")
@json_option
@pass_context
@reports_errors
def move(context: Context, words: tuple[str, ...], before: str | None, as_json: bool) -> None:
    """Let another password source check the password of ACCOUNT; `any`: whichever lets its owner in next.

    An account belongs to one source, and no other one is asked about it: else whoever can make users there could open
    it. Its owner keeps authenticator, recovery codes and app passwords; sessions in the portal end.
    """
    *accounts, source = words or ("",)
    if len(accounts) != int(before is None) or before == source:
        raise click.UsageError("either ACCOUNT SOURCE, or --all-of with another source than SOURCE")
    there = [each.name for each in context.configuration().password_sources()]
    if source not in (*there, "any"):
        raise InvalidValue(f"there is no source {source}; there are: {', '.join(there)}")
    chosen = "" if source == "any" else source
    with context.installation() as installation:
        if before is not None:
            count = installation.accounts.move_all(before, chosen)
        else:
            name, belonged_to = installation.accounts.move(accounts[0], chosen)
    if before is not None:
        shown = {"accounts": count, "before": before, "source": source}
        text = f"{count} accounts belonged to {before}; {source} checks their passwords from now on"
    else:
        shown = {"account": name, "before": belonged_to, "source": source}
        text = f"{name} belonged to {belonged_to or 'no source'}; {source} checks its password from now on"
    if as_json:
        print_json(shown)
    else:
        click.echo(text)


@account.command("password")
@click.argument("account_name", metavar="ACCOUNT")
@click.option("--revoke-app-passwords", is_flag=True, help="Revoke the account's app passwords as well.")
@_hash_option
@pass_context
@reports_errors
def password_(context: Context, account_name: str, revoke_app_passwords: bool, is_hash: bool) -> None:
    """Set a new password, read from standard input, or asked for on a terminal. App passwords stay unless told."""
    if not context.configuration().keeps_passwords():
        raise InvalidValue("passwords are not mailauth's here ([[sources]]): change it where it is kept")
    what = "Hash of the new password" if is_hash else "New password"
    password = read_secret(f"{what} of {account_name}", confirm=not is_hash)
    with context.installation() as installation:
        name, revoked = installation.accounts.set_password(
            account_name, password, revoke_app_passwords=revoke_app_passwords, is_hash=is_hash
        )
    if not is_hash:
        _warn_of(password, name)
    click.echo(f"changed the password of {name}" + (f"; revoked {revoked} app passwords" if revoked else ""))
    say_what_goes_on(name)


@account.command()
@click.argument("account_name", metavar="ACCOUNT")
@pass_context
@reports_errors
def disable(context: Context, account_name: str) -> None:
    """Refuse every login of an account, app passwords included.

    Sessions in mail servers that are open go on until they end: `doveadm kick ACCOUNT` ends those in Dovecot.
    """
    with context.installation() as installation:
        name = installation.accounts.set_disabled(account_name, disabled=True)
    click.echo(f"disabled {name}")
    say_what_goes_on(name)


@account.command()
@click.argument("account_name", metavar="ACCOUNT")
@pass_context
@reports_errors
def enable(context: Context, account_name: str) -> None:
    """Let a disabled account log in again."""
    with context.installation() as installation:
        name = installation.accounts.set_disabled(account_name, disabled=False)
        found = installation.accounts.get(name)
    click.echo(f"enabled {name}")
    if found.is_disabled_there:
        click.echo(f"warning: {found.source} has it disabled as well, and ends that itself; it stays so", err=True)


@account.command()
@click.argument("account_name", metavar="ACCOUNT")
@click.argument("aliases", metavar="[ALIAS]...", nargs=-1)
@click.option("--remove", "is_removal", is_flag=True, help="Take the names away instead.")
@json_option
@pass_context
@reports_errors
def alias(context: Context, account_name: str, aliases: tuple[str, ...], is_removal: bool, as_json: bool) -> None:
    """Give an account other names under which it may log in; without ALIAS, list them."""
    with context.installation() as installation:
        for name in aliases:
            if is_removal:
                installation.accounts.remove_alias(account_name, name)
            else:
                installation.accounts.add_alias(account_name, name)
        canonical = installation.accounts.get(account_name).name
        found = installation.accounts.aliases(account_name)
    if as_json:
        print_json({"account": canonical, "aliases": found})
    else:
        click.echo(f"{canonical}: {' '.join(found) or 'no aliases'}")


def _add_many(context: Context, *, is_ours: bool, as_json: bool) -> None:
    import sys

    def lines() -> Iterator[tuple[str, Secret | None]]:
        for line in sys.stdin.buffer:
            name, tab, password = line.removesuffix(b"\n").removesuffix(b"\r").partition(b"\t")
            if name.strip():
                presented = name.decode("utf-8", "surrogateescape")
                common.extend([presented] if tab and new_password.is_common(password, presented) else [])
                yield presented, Secret(password) if is_ours and tab else None

    refused, common = 0, list[str]()
    with context.installation() as installation:
        for added in installation.accounts.add_many(lines()):
            refused += added.account is None
            if as_json:
                click.echo(json_text(added._asdict()))
            elif added.account is not None:
                click.echo(f"added {added.account}")
            else:
                click.echo(f"{added.presented!a}: {added.problem}", err=True)
    if is_ours and common:
        some = ", ".join(map(ascii, common[:20]))
        click.echo(f"warning: {len(common)} of these passwords are among the first that are guessed: {some}", err=True)
    if refused:
        raise SystemExit(1)


def _name_pam_user(context: Context, name: AccountName) -> None:
    configuration = context.configuration()
    if configuration.pam_sources():
        click.echo(f"Its password is that of PAM's user {configuration.pam_users().user_of(name)}.")


def _warn_of(password: Secret | None, name: str) -> None:
    if password is not None and new_password.is_common(password.reveal(), name):
        click.echo("warning: this password is among the first that are guessed; choose another one", err=True)
