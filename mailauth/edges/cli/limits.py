"""`limits`: what the limiter has counted against an account, and how to clear it."""

from datetime import UTC

import click

from mailauth.core.limiter import MeterKind, Usage
from mailauth.edges.cli.context import (
    Context,
    json_option,
    pass_context,
    print_json,
    print_table,
    reports_errors,
    spoken,
)

_COUNTED = {
    MeterKind.SOURCE: "wrong logins from there",
    MeterKind.SITE: "wrong logins from there",
    MeterKind.ACCOUNT_AND_SOURCE: "wrong logins from there to the account",
    MeterKind.ACCOUNT: "wrong logins from addresses that are not familiar to the account",
    MeterKind.ACCOUNT_BY_DEVICE: "wrong logins from addresses where only app passwords were used so far",
    MeterKind.FACTOR: "wrong passwords with a right code",
    MeterKind.FACTOR_RECOVERY: "wrong passwords with a right recovery code",
    MeterKind.CODE: "wrong codes with the right password, from addresses that are not familiar to the account",
    MeterKind.CODE_FAMILIAR: "wrong codes with the right password, from all familiar addresses",
    MeterKind.CODE_AND_SOURCE: "wrong codes with the right password, from there",
    MeterKind.REPEAT: "secrets that were refused before, again from there",
}


@click.group()
def limits() -> None:
    """Show and clear what the limiter has counted against an account."""


@limits.command()
@click.argument("account_name", metavar="ACCOUNT")
@json_option
@pass_context
@reports_errors
def show(context: Context, account_name: str, as_json: bool) -> None:
    """Show what is counted against an account, how much of it is left, and until when it blocks logins.

    Lists only the limits that have been used. If none is listed, there were no recent wrong logins. `mailauth explain`
    says what a block means; `mailauth limits clear` ends it.
    """
    with context.installation() as installation:
        found = installation.limits.usages(account_name)
    if as_json:
        print_json([_plain(one) for one in found])
        return
    rows = [
        (
            one.meter.key,
            _COUNTED[one.meter.kind],
            f"{one.left} of {one.meter.rate.burst}",
            "-" if one.blocked_until is None else f"{one.blocked_until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
            spoken(one.recovered_at),
        )
        for one in found
    ]
    headers = ("BUCKET", "WHAT IS COUNTED", "LEFT", "BLOCKED UNTIL", "EMPTY AT")
    print_table(rows, headers, "nothing is counted against this account")


def _plain(one: Usage) -> dict[str, object]:
    return {
        "bucket": one.meter.key,
        "counted": _COUNTED[one.meter.kind],
        "left": one.left,
        "burst": one.meter.rate.burst,
        "blocked_until": one.blocked_until,
        "empty_at": one.recovered_at,
    }


@limits.command()
@click.argument("account_name", metavar="ACCOUNT")
@pass_context
@reports_errors
def clear(context: Context, account_name: str) -> None:
    """Forget all wrong logins to an account, so that its owner is let in from anywhere again."""
    with context.installation() as installation:
        count = installation.limits.clear(account_name)
    click.echo(f"cleared {count} bucket{'' if count == 1 else 's'}")
