"""`outbox`: the mails to users that wait or were sent. Never shows what a mail says."""

import click

from mailauth.edges.cli.context import (
    Context,
    json_option,
    pass_context,
    print_json,
    print_table,
    reports_errors,
    row_id,
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
    """List mails, the oldest in front, and say whether the SMTP server takes none at all.

    Mails are remembered for 30 days after they were sent or given up, without what they said. One is given up after
    three days of tries, or where the server says that there is no such mailbox; it can be tried again for 14 days.
    """
    with context.installation() as installation:
        from mailauth.wiring import mailing

        delivery = mailing.of(installation).delivery
        found = [mail for mail in delivery.all() if not only_waiting or mail.state == "waiting"]
        pause = delivery.pause()
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
    if pause is not None:
        click.echo(
            f"\nThe SMTP server has taken no mail since {spoken(pause.since)}, and says: {pause.error}\n"
            f"One is tried at {spoken(pause.until)}, or at once: mailauth outbox retry --all"
        )


@outbox.command()
@click.argument("ids", metavar="ID...", nargs=-1, type=row_id)
@click.option("--all", "all_waiting", is_flag=True, help="Every mail that waits.")
@click.option("--given-up", "all_given_up", is_flag=True, help="Every mail that was given up and is kept (14 days).")
@pass_context
@reports_errors
def retry(context: Context, ids: tuple[int, ...], all_waiting: bool, all_given_up: bool) -> None:
    """Have mails tried again now, for three days, by their ID in `mailauth outbox list`.

    Mails are as they were written: codes and links in an old one may serve no more.
    """
    if bool(ids) == (all_waiting or all_given_up):
        raise click.UsageError("name the mails by their ID, or all by --all, --given-up or both")
    with context.installation() as installation:
        from mailauth.wiring import mailing

        delivery = mailing.of(installation).delivery
        for mail_id in ids:
            delivery.retry(mail_id)
        count = len(ids) or delivery.retry_all(waiting=all_waiting, given_up=all_given_up)
    click.echo(f"{count} mail{'s' if count != 1 else ''} due now")
