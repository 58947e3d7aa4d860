"""`limits`: what the limiter holds against an account, and letting its owner in again."""

import click

from mailauth.edges.cli.context import (
    Context,
    json_option,
    pass_context,
    print_json,
    print_table,
    reports_errors,
    spoken,
)


@click.group()
def limits() -> None:
    """Show and clear what the limiter has counted against an account."""


@limits.command()
@click.argument("account_name", metavar="ACCOUNT")
@json_option
@pass_context
@reports_errors
def show(context: Context, account_name: str, as_json: bool) -> None:
    """Show the buckets of an account that are not empty, and when each will be. No bucket: no wrong login of late.

    `account` counts wrong logins from addresses that are not familiar to the account, `account+source` those
    from one address, `code` wrong codes with the right password, `repeat` the same wrong secret again.
    """
    with context.installation() as installation:
        found = installation.accounts.levels(account_name)
    if as_json:
        print_json([{"bucket": level.key, "empty_at": level.until} for level in found])
        return
    rows = [(level.key, spoken(level.until)) for level in found]
    print_table(rows, ("BUCKET", "EMPTY AT"), "nothing is counted against this account")


@limits.command()
@click.argument("account_name", metavar="ACCOUNT")
@pass_context
@reports_errors
def clear(context: Context, account_name: str) -> None:
    """Forget all wrong logins to an account, so that its owner is let in from anywhere again."""
    with context.installation() as installation:
        count = installation.accounts.clear_levels(account_name)
    click.echo(f"cleared {count} bucket{'' if count == 1 else 's'}")
