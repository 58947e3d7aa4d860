"""`outbox`: the mails to users that wait or were sent. Never shows what a mail says."""

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
def outbox() -> None:
    """See which mails to users wait, and why; try again."""


@outbox.command("list")
@click.option("--waiting", "only_waiting", is_flag=True, help="Only those that have not been sent.")
@json_option
@pass_context
@reports_errors
def list_(context: Context, only_waiting: bool, as_json: bool) -> None:
    """List mails, the oldest in front; those sent are remembered for 30 days, without what they said."""
    with context.installation() as installation:
        found = [mail for mail in installation.delivery.all() if not only_waiting or mail.state == "waiting"]
    if as_json:
        print_json([mail._asdict() for mail in found])
        return
    rows = [
        (
            mail.id,
            mail.state,
            mail.recipient,
            mail.kind,
            mail.tries,
            spoken(mail.created_at),
            spoken(mail.next_at),
            mail.last_error,
        )
        for mail in found
    ]
    headers = ("ID", "STATE", "TO", "ABOUT", "TRIES", "QUEUED", "NEXT TRY", "LAST ERROR")
    print_table(rows, headers, "no mails")


@outbox.command()
@click.argument("ids", metavar="ID...", nargs=-1, type=int)
@click.option("--all", "all_waiting", is_flag=True, help="Every mail that waits.")
@pass_context
@reports_errors
def retry(context: Context, ids: tuple[int, ...], all_waiting: bool) -> None:
    """Have waiting mails tried again now, by their ID in `mailauth outbox list`."""
    if bool(ids) == all_waiting:
        raise click.UsageError("name the mails by their ID, or all by --all")
    with context.installation() as installation:
        delivery = installation.delivery
        chosen = ids or [mail.id for mail in delivery.all() if mail.state == "waiting"]
        for mail_id in chosen:
            delivery.retry(mail_id)
    click.echo(f"{len(chosen)} mail{'s' if len(chosen) != 1 else ''} due now")
