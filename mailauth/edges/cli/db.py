"""`db`: the database's tables, whether it is whole, its backup. What the commands do is in `database_upkeep.py`."""

from pathlib import Path

import click

from mailauth.edges.cli.context import Context, json_option, pass_context, reports_errors


@click.group()
def db() -> None:
    """Bring the database up to date, check it, back it up and restore it."""


_file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@db.command()
@pass_context
@reports_errors
def upgrade(context: Context) -> None:
    """Make or alter the tables as this version needs them. Back the database up first."""
    from mailauth.edges.cli import database_upkeep

    database_upkeep.upgrade(context)


@db.command()
@json_option
@pass_context
@reports_errors
def check(context: Context, as_json: bool) -> None:
    """Tell whether the database is whole, has the tables that this version needs, and the key file is its own.

    Exit 1 if not. Reads all of the database.
    """
    from mailauth.edges.cli import database_upkeep

    database_upkeep.check(context, as_json=as_json)


@db.command()
@_file_argument
@click.option("--force", is_flag=True, help="Replace FILE where it exists.")
@pass_context
@reports_errors
def backup(context: Context, file: Path, force: bool) -> None:
    """Copy the database into FILE, while mailauth serves.

    FILE is one state of the database, checked, and readable by its owner alone. A copy made with cp lacks what is only
    in the log yet. The key file is not part of it: keep that elsewhere, since whoever has both has everything.
    """
    from mailauth.edges.cli import database_upkeep

    database_upkeep.back_up(context, file, is_forced=force)


@db.command()
@_file_argument
@pass_context
@reports_errors
def restore(context: Context, file: Path) -> None:
    """Put the backup in FILE in the place of the database, which is kept beside it. Stop mailauth first.

    A backup does not know what has happened since it was made. Sessions of the portal, remembered logins and links
    in mails are ended, and verification codes up to this minute are spent. But recovery codes that were used, app
    passwords that were revoked, passwords that were changed, and accounts that were disabled or removed since then are
    as they were.
    """
    from mailauth.edges.cli import database_upkeep

    database_upkeep.restore(context, file)
