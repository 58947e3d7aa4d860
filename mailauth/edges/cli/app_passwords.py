"""`app-password`: generated secrets, each for one device."""

import click

from mailauth.core import moments
from mailauth.core.addresses import parse_network
from mailauth.core.app_password import has_expired
from mailauth.edges.cli.context import (
    Context,
    json_option,
    pass_context,
    print_json,
    print_table,
    reports_errors,
    row_id,
    say_what_goes_on,
    spoken,
)


@click.group("app-password")
def app_password() -> None:
    """Make, list and revoke app passwords."""


@app_password.command()
@click.argument("account_name", metavar="ACCOUNT")
@click.option("--name", required=True, help="What it is for, such as 'Thunderbird at work'.")
@click.option("--service", "services", multiple=True, help="A service that it opens; several times for several.")
@click.option("--network", "networks", multiple=True, help="A network that it works from, such as 192.0.2.0/24.")
@click.option(
    "--expires", help="Until when it works: 90d, 12h, or 2026-01-31, the end of that day in the cut-over's zone."
)
@json_option
@pass_context
@reports_errors
def add(
    context: Context,
    account_name: str,
    name: str,
    services: tuple[str, ...],
    networks: tuple[str, ...],
    expires: str | None,
    as_json: bool,
) -> None:
    """Make an app password for one device, shown this once. Without --service it opens every mail service."""
    allowed = tuple(parse_network(network) for network in networks)
    with context.installation() as installation:
        zone = installation.policy.zone
        expires_at = None if expires is None else moments.parse(expires, installation.clock(), zone)
        made = installation.app_passwords.make(account_name, name, services, allowed, expires_at)
    if as_json:
        print_json(
            {
                "id": made.id,
                "account": made.account,
                "name": made.name,
                "password": made.password,
                "services": made.services,
                "networks": made.networks,
                "expires_at": made.expires_at,
            }
        )
        return
    click.echo(f"App password {made.id} of {made.account} for {made.name}; it is not shown again:")
    click.echo(f"  {made.shown}")
    if made.expires_at is not None:
        click.echo(f"It works until {moments.told(made.expires_at, zone)}.")
    click.echo("Put it into the device's password field, alone: no code is added. The dashes don't matter.")


@app_password.command("list")
@click.argument("account_name", metavar="ACCOUNT")
@json_option
@pass_context
@reports_errors
def list_(context: Context, account_name: str, as_json: bool) -> None:
    """List an account's app passwords, revoked ones as well; the secrets themselves are not stored."""
    with context.installation() as installation:
        found = installation.app_passwords.all(account_name)
        now = installation.clock()
    if as_json:
        print_json(
            [
                {
                    "id": item.id,
                    "name": item.name,
                    "services": item.services,
                    "networks": [str(network) for network in item.networks],
                    "created_at": item.created_at,
                    "expires_at": item.expires_at,
                    "revoked_at": item.revoked_at,
                }
                for item in found
            ]
        )
        return
    rows = []
    for item in found:
        state = "works"
        if has_expired(item, now):
            state = f"expired {spoken(item.expires_at)}"
        elif item.revoked_at is not None:
            state = f"revoked {spoken(item.revoked_at)}"
        elif item.expires_at is not None:
            state = f"until {spoken(item.expires_at)}"
        services = " ".join(sorted(item.services)) or "all mail"
        rows.append((item.id, item.name, services, " ".join(map(str, item.networks)) or "any", state))
    print_table(rows, ("ID", "NAME", "SERVICES", "NETWORKS", "STATE"), "no app passwords")


@app_password.command()
@click.argument("account_name", metavar="ACCOUNT")
@click.argument("app_password_id", metavar="ID", type=row_id, required=False)
@click.option("--all", "is_all", is_flag=True, help="Revoke all of the account's app passwords.")
@pass_context
@reports_errors
def revoke(context: Context, account_name: str, app_password_id: int | None, is_all: bool) -> None:
    """Revoke an app password by its ID (see `app-password list`), or all. New logins fail within a second.

    A session that was opened by it goes on until it ends: `doveadm kick ACCOUNT` ends those in Dovecot.
    """
    if (app_password_id is None) != is_all:
        raise click.UsageError("name one ID, or give --all")
    with context.installation() as installation:
        count = installation.app_passwords.revoke(account_name, app_password_id)
        account = installation.accounts.get(account_name).name
    click.echo(f"revoked {count} app password{'s' if count > 1 else ''}")
    say_what_goes_on(account)
