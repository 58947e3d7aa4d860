"""`totp`: binding an authenticator app to an account."""

from typing import TYPE_CHECKING

import click

from mailauth.edges.cli import qr_codes
from mailauth.edges.cli.context import (
    Context,
    json_option,
    pass_context,
    print_json,
    read_secret,
    reports_errors,
    say_what_goes_on,
)
from mailauth.vocabulary.errors import InvalidValue

if TYPE_CHECKING:
    from mailauth.wiring import Installation


@click.group()
def totp() -> None:
    """Bind, prove and remove an account's authenticator."""


@totp.command()
@click.argument("account_name", metavar="ACCOUNT")
@json_option
@pass_context
@reports_errors
def enrol(context: Context, account_name: str, as_json: bool) -> None:
    """Make a secret for an authenticator app, shown as a key and a QR code; `totp confirm` puts it in force.

    An authenticator that is in force works until the new one is confirmed.
    """
    from mailauth.core.alphabet import grouped

    with context.installation() as installation:
        begun = installation.enrolment.begin(account_name)
    if as_json:
        print_json({"account": begun.account, "secret": begun.secret, "uri": begun.uri})
        return
    picture = qr_codes.on_terminal(begun.uri)
    # The text first: whatever becomes of the picture, the key is shown.
    click.echo(f"Type this key: {grouped(begun.secret).replace('-', ' ')}")
    click.echo(f"Then prove it with a code that the app shows: mailauth totp confirm {begun.account}")
    if picture is None:
        click.echo("This terminal cannot show the QR code: it would take UTF-8, or twice the width.")
        return
    click.echo(f"Or scan this with Google Authenticator, Microsoft Authenticator or another app, for {begun.account}:")
    click.echo(picture, nl=False)


@totp.command()
@click.argument("account_name", metavar="ACCOUNT")
@json_option
@pass_context
@reports_errors
def confirm(context: Context, account_name: str, as_json: bool) -> None:
    """Put the new authenticator in force by a code of it, read from standard input or asked for.

    The code is spent by this: a login takes the app's next one. Exit 1 for a wrong code, which changes nothing.
    """
    from mailauth.core import typed
    from mailauth.usecases.enrolment import Confirmed

    code = read_secret("Verification code")
    if not code.reveal().strip():
        raise InvalidValue("no code was given; type the one that the app shows, or write it to standard input")
    strange = typed.strange_in_code(typed.code(code.reveal().decode("utf-8", "replace")), takes_recovery=False)
    if strange:
        raise InvalidValue(f"a verification code has digits only; this is none: {strange[:10]!a}")
    with context.installation() as installation:
        result = installation.enrolment.confirm(account_name, code)
        name = installation.accounts.get(account_name).name
        exempt_until = _exempt_until(installation, name)
    if isinstance(result, Confirmed):
        if as_json:
            print_json({"account": name, "confirmed": True})
        else:
            click.echo(f"{name} is enrolled: a login takes password + code now, from the next code on")
            if exempt_until:
                click.echo(f"Its exemption until {exempt_until} has no effect while it is enrolled.")
        return
    if as_json:
        print_json({"account": name, "confirmed": False, "seconds_off": _seconds(result.steps_off)})
    elif result.steps_off is None:
        click.echo("that code is wrong; type the one that the app shows now", err=True)
    else:
        seconds = _seconds(result.steps_off) or 0
        way = "ahead" if seconds > 0 else "behind"
        click.echo(
            f"that code is right, but the clock of the device that made it is about {abs(seconds)} s {way}; "
            "set it to network time, then try again",
            err=True,
        )
    raise SystemExit(1)


@totp.command()
@click.argument("account_name", metavar="ACCOUNT")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_context
@reports_errors
def reset(context: Context, account_name: str, yes: bool) -> None:
    """Remove an account's authenticator and recovery codes, so that it can enrol afresh.

    Make sure that it is the owner who asks. After the cut-over the account cannot log in until it has enrolled.
    """
    with context.installation() as installation:
        name = installation.accounts.get(account_name).name
        if not yes:
            click.confirm(f"Remove the authenticator and the recovery codes of {name}?", abort=True, err=True)
        installation.enrolment.reset(name)
        exempt_until = _exempt_until(installation, name)
    click.echo(f"{name} is not enrolled any more")
    say_what_goes_on(name)
    if exempt_until:
        click.echo(f"It is exempt until {exempt_until}: its password alone is enough.")
        click.echo(f"End that: mailauth policy exempt {name} --end")


@totp.command("set-back")
@click.argument("account_name", metavar="[ACCOUNT]", required=False)
@click.option("--all", "everybody", is_flag=True, help="Every account.")
@pass_context
@reports_errors
def set_back(context: Context, account_name: str | None, everybody: bool) -> None:
    """Accept fresh codes again where the clock had been ahead, and codes of that time were accepted.

    Until that time comes, every fresh code would be refused as spent; `mailauth explain` says so. Make sure that the
    clock is right now. Codes of this minute stay spent.
    """
    if everybody == (account_name is not None):
        raise click.UsageError("give ACCOUNT, or --all")
    with context.installation() as installation:
        count = installation.time_watch.set_steps_back(account_name)
    if count == 0:
        click.echo("no code that lies ahead was accepted; nothing was changed")
    else:
        click.echo(
            f"{count} authenticator{'s' if count > 1 else ''}: codes are accepted again from the next minute on"
        )


def _exempt_until(installation: "Installation", name: str) -> str:
    """Return until when an account is exempt, in words; nothing where it is not."""
    from mailauth.core import moments

    until = installation.accounts.get(name).exempt_until
    if until is None or until <= installation.clock():
        return ""
    return moments.told(until, installation.policy.zone)


def _seconds(steps: int | None) -> int | None:
    from mailauth.core.otp import STEP_S

    return None if steps is None else steps * STEP_S
