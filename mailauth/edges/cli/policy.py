"""`policy`: the cut-over, and who is exempt from it."""

import click

from mailauth.edges.cli.context import (
    Context,
    json_option,
    parse_moment,
    pass_context,
    print_json,
    print_table,
    reports_errors,
    spoken,
)


@click.group()
def policy() -> None:
    """Show the cut-over; exempt accounts from it for a while."""


@policy.command()
@json_option
@pass_context
@reports_errors
def show(context: Context, as_json: bool) -> None:
    """Show the cut-over, whether it has passed, and every exemption."""
    with context.installation() as installation:
        cutover = installation.policy.cutover
        passed = cutover.has_passed(installation.clock())
        found = installation.accounts.exemptions()
    if as_json:
        exemptions = [{"account": e.account, "until": e.until, "reason": e.reason} for e in found]
        print_json({"cutover": cutover.moment, "has_passed": passed, "exemptions": exemptions})
        return
    state = "has passed: a second factor is required" if passed else "has not come yet"
    click.echo(f"The cut-over of {cutover.moment:%Y-%m-%d %H:%M:%S %Z} {state}.")
    rows = [(exemption.account, spoken(exemption.until), exemption.reason) for exemption in found]
    print_table(rows, ("EXEMPT", "UNTIL", "REASON"), "No account is exempt.")


@policy.command()
@click.argument("account_name", metavar="ACCOUNT")
@click.option("--until", help="When the exemption ends: 30d, 12h, 2026-01-31.")
@click.option("--reason", help="Why, for whoever reads the list.")
@click.option("--end", is_flag=True, help="End the account's exemption now.")
@pass_context
@reports_errors
def exempt(context: Context, account_name: str, until: str | None, reason: str | None, end: bool) -> None:
    """Let an account (a service account, say) log in with its password alone until a moment."""
    if end == bool(until or reason) or (not end and not (until and reason)):
        raise click.UsageError("give --until and --reason, or --end alone")
    with context.installation() as installation:
        if end:
            click.echo(f"{installation.accounts.unexempt(account_name)} is not exempt any more")
            return
        moment = parse_moment(until or "", installation.clock())
        name = installation.accounts.exempt(account_name, moment, reason or "")
    click.echo(f"{name} is exempt until {spoken(moment)}")
