"""`recovery`: recovery codes."""

import click

from mailauth.edges.cli.context import Context, json_option, pass_context, print_json, reports_errors


@click.group()
def recovery() -> None:
    """Issue recovery codes."""


@recovery.command()
@click.argument("account_name", metavar="ACCOUNT")
@json_option
@pass_context
@reports_errors
def issue(context: Context, account_name: str, as_json: bool) -> None:
    """Make a new set of recovery codes, shown this once; the set before it does not work any more.

    Each stands in for a verification code once: it is typed after the password, as the code would be.
    """
    with context.installation() as installation:
        name, codes = installation.recovery_codes.issue(account_name)
    if as_json:
        print_json({"account": name, "codes": codes})
        return
    click.echo(f"Recovery codes of {name}; each works once, typed after the password. They are not shown again.")
    for code in codes:
        click.echo(f"  {code}")


@recovery.command("left")
@click.argument("account_name", metavar="ACCOUNT")
@json_option
@pass_context
@reports_errors
def left(context: Context, account_name: str, as_json: bool) -> None:
    """Tell how many recovery codes of an account still work."""
    with context.installation() as installation:
        name = installation.accounts.get(account_name).name
        count = installation.recovery_codes.left(account_name)
    if as_json:
        print_json({"account": name, "left": count})
    else:
        click.echo(f"{name}: {count} recovery codes left")
