"""`check` and `explain`: what a login would get, tried for real or told in words."""

import asyncio
from typing import TYPE_CHECKING

import click

from mailauth.core import services
from mailauth.core.addresses import parse_address
from mailauth.edges.cli.context import (
    EX_TEMPFAIL,
    Context,
    json_option,
    pass_context,
    print_json,
    read_secret,
    reports_errors,
    reports_errors_by,
)
from mailauth.vocabulary.errors import InvalidValue

if TYPE_CHECKING:
    from mailauth.vocabulary.model import Address


@click.command()
@click.argument("account_name", metavar="ACCOUNT")
@click.option(
    "--service",
    type=click.Choice(services.KNOWN, case_sensitive=False),
    default="imap",
    show_default=True,
    help="The service that is logged in to.",
)
@click.option("--ip", "client", help="The client's address.")
@json_option
@pass_context
@reports_errors_by(EX_TEMPFAIL)
def check(context: Context, account_name: str, service: str, client: str | None, as_json: bool) -> None:
    """Try a login: the verdict as the server would give it, with its reason. The secret comes from standard input.

    It is a real login: a code that is accepted is spent. Exit 0 granted, 1 denied, 75 where nothing can be said:
    temporarily unavailable, or the configuration, the key file or the database cannot be used.
    """
    from mailauth.vocabulary.model import Attempt, Denied, Granted

    address = _address(client)
    attempt = Attempt(account_name, read_secret("Secret, as a mail client would send it"), service, address)
    with context.installation() as installation:
        verdict = asyncio.run(installation.verifier.verify(attempt))
    credential = hint = None
    if isinstance(verdict, Granted):
        word, code, credential = "granted", 0, verdict.credential.value
    elif isinstance(verdict, Denied):
        word, code, hint = "denied", 1, verdict.hint
    else:
        word, code = "unavailable", EX_TEMPFAIL
    if as_json:
        print_json({"verdict": word, "reason": verdict.reason.value, "credential": credential})
    else:
        besides = credential or hint
        click.echo(f"{word}: {verdict.reason.value}" + (f" ({besides})" if besides else ""))
    raise SystemExit(code)


@click.command()
@click.argument("account_name", metavar="ACCOUNT")
@click.option("--ip", "client", help="The client's address, where that of one client matters.")
@json_option
@pass_context
@reports_errors
def explain(context: Context, account_name: str, client: str | None, as_json: bool) -> None:
    """Say what would happen to a login of ACCOUNT now, and why: also whether wrong logins block it, and until when.

    Needs no secret, tries nothing. With --ip it is about logins from there alone.
    """
    from dataclasses import asdict, replace

    address = _address(client)
    with context.installation() as installation:
        explanation = installation.explainer.explain(account_name, address)
        running = installation.presence.warnings(context.config_path)
    explanation = replace(explanation, sentences=(*running, *explanation.sentences))
    if as_json:
        print_json(asdict(explanation))
        return
    click.echo(explanation.account)
    for sentence in explanation.sentences:
        click.echo(f"  {sentence}")


def _address(text: str | None) -> "Address | None":
    try:
        return None if text is None else parse_address(text)
    except InvalidValue as error:
        raise click.BadParameter(str(error), param_hint="--ip") from error
