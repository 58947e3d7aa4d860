"""`mailauth`, the command that administrators use: the top of its tree; commands live in the modules beside it."""

import errno
import importlib
import io
import os
import sys
from pathlib import Path

import click

from mailauth import __version__
from mailauth.edges.cli.context import Context

_COMMANDS = {
    "init": ("init", "init"),
    "serve": ("serve", "serve"),
    "account": ("accounts", "account"),
    "totp": ("totp", "totp"),
    "recovery": ("recovery", "recovery"),
    "app-password": ("app_passwords", "app_password"),
    "check": ("check", "check"),
    "explain": ("check", "explain"),
    "policy": ("policy", "policy"),
    "directory": ("directory", "directory"),
    "import": ("importing", "import_"),
    "limits": ("limits", "limits"),
    "campaign": ("campaign", "campaign"),
    "outbox": ("outbox", "outbox"),
    "config": ("config", "config"),
    "db": ("db", "db"),
}
"""Where each command is; imported when it is asked for, so that `--help` and errors are quick."""


_FIRST_SESSION = """\b
A first session:
  mailauth init                           asks for your name, addresses and date
  mailauth account add alice@example.org
  mailauth totp enrol alice@example.org
  mailauth totp confirm alice@example.org
  mailauth serve
"""
"""Behind the list of commands. Click wraps no paragraph that begins with \\b on a line of its own."""


class LateGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what is no text at once: no name, reason or file of ours is other than UTF-8."""
        for word in args:
            if not word.isascii() and not _is_text(word):
                ctx.fail(f"this argument is no UTF-8: {word[:80]!a}")
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order in which an administrator meets them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None where there is none of that name."""
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module = importlib.import_module(f"mailauth.edges.cli.{place[0]}")
        command: click.Command = getattr(module, place[1])
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is meant. For one that there is not, Click suggests only from those imported."""
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = " or ".join(map(repr, get_close_matches(name, _COMMANDS)))
            advice = f" Did you mean {near}?" if near else ""
            ctx.fail(f"No such command {name!r}.{advice}")
        return super().resolve_command(ctx, args)


@click.group(cls=LateGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_FIRST_SESSION)
@click.version_option(__version__, prog_name="mailauth")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="MAILAUTH_CONFIG",
    default=Path("/etc/mailauth/mailauth.toml"),
    show_default=True,
    help="The configuration file; also from MAILAUTH_CONFIG.",
)
@click.pass_context
def cli(ctx: click.Context, config_path: Path) -> None:
    """The second factor for mail servers.

    A login is password + verification code, password + recovery code, or an app password. Secrets are read from
    standard input or the terminal, never from arguments.
    """
    ctx.obj = Context(config_path)


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


_CANNOT_BE_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main() -> None:
    """Run the command line. A character that the terminal's encoding lacks is escaped, and no traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        cli(prog_name="mailauth")
    except OSError as error:
        if error.filename is not None or error.errno not in _CANNOT_BE_WRITTEN:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left of it has no place to go
        click.echo(f"mailauth: standard output cannot be written: {error.strerror}", err=True)
        sys.exit(1)
