"""`policy`: the cut-over, and who is exempt from it."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from mailauth.core import moments
from mailauth.edges.cli.context import (
    Context,
    json_option,
    pass_context,
    print_json,
    print_table,
    reports_errors,
)

if TYPE_CHECKING:
    from mailauth.vocabulary.model import Exemption


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
        now, zone = installation.clock(), installation.policy.zone
        cutover = installation.policy.announced(installation.configuration.accounts.default_domain, now)
        found = installation.accounts.exemptions()
    if as_json:
        exemptions = [
            {"account": each.account, "until": each.until, "reason": each.reason, "in_force": each.is_in_force(now)}
            for each in found
        ]
        print_json({"cutover": cutover.moment, "has_passed": cutover.has_passed, "exemptions": exemptions})
        return
    state = "has passed: a second factor is required" if cutover.has_passed else "has not come yet"
    click.echo(f"The cut-over of {cutover.moment:%Y-%m-%d %H:%M:%S %Z} {state}.")
    rows = [(each.account, moments.told(each.until, zone), _state(each, now), each.reason) for each in found]
    print_table(rows, ("EXEMPT", "UNTIL", "STATE", "REASON"), "No account is exempt.")


def _state(exemption: "Exemption", now: datetime) -> str:
    if exemption.is_in_force(now):
        return "in force"
    return "no effect: enrolled" if exemption.is_enrolled else "over"


@policy.command()
@click.argument("account_name", metavar="ACCOUNT")
@click.option("--until", help="When it ends: 30d, 12h, or 2026-01-31, the end of that day in the cut-over's zone.")
@click.option("--reason", help="Why, for whoever reads the list.")
@click.option("--end", is_flag=True, help="End the account's exemption now.")
@pass_context
@reports_errors
def exempt(context: Context, account_name: str, until: str | None, reason: str | None, end: bool) -> None:
    """Let an account (a service account, say) log in with its password alone until a moment.

    Refused for one that is enrolled, since who is enrolled needs the second factor. Where it enrols later, the
    exemption has no effect as long as it is.
    """
    if end == bool(until or reason) or (not end and not (until and reason)):
        raise click.UsageError("give --until and --reason, or --end alone")
    with context.installation() as installation:
        if end:
            click.echo(f"{installation.accounts.unexempt(account_name)} is not exempt any more")
            return
        zone = installation.policy.zone
        moment = moments.parse(until or "", installation.clock(), zone)
        name = installation.accounts.exempt(account_name, moment, reason or "")
    click.echo(f"{name} is exempt until {moments.told(moment, zone)}")
