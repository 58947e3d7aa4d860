"""`init`: making the configuration file, the key file and the database. What it does is in `installing.py`."""

from pathlib import Path

import click

from mailauth.edges.cli.context import Context, pass_context, reports_errors

_set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key (dotted); may be given several times.",
)


@click.command()
@_set_option
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="Put all in there: key, database and socket, and the configuration file unless --config names another.",
)
@click.option("--force", is_flag=True, help="Replace an existing configuration file. Key and database stay.")
@pass_context
@reports_errors
def init(context: Context, settings: tuple[str, ...], directory: Path | None, force: bool) -> None:
    """Make the configuration file, the key file and the database; say what to do next.

    A new file needs the cut-over, from which a password alone is refused, and what users are shown of you:
    cutover.date, provider.name, provider.support, provider.url and mail.sender. They are asked for at a terminal;
    elsewhere give each as --set 'cutover.date=2030-05-06T00:00 Europe/Brussels'.

    Key, database and socket are where the configuration says, whichever file that is: by default
    /etc/mailauth/mailauth.key, /var/lib/mailauth/mailauth.db and /run/mailauth/auth.sock. To try it out, use --dir.

    What exists is kept: running it again after a failure goes on where it stopped. A key file that is missing beside a
    database that is sealed with it is not made anew, but has to be restored.
    """
    from mailauth.edges.cli import installing

    installing.install(context, settings, directory, is_forced=force)
