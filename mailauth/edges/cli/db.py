"""`db`: the database's tables."""

import click

from mailauth.edges.cli.context import Context, json_option, pass_context, print_json, reports_errors
from mailauth.edges.cli.database_state import key_mistakes
from mailauth.effects.store import database as databases
from mailauth.effects.store import schema
from mailauth.vocabulary.errors import MailauthError


@click.group()
def db() -> None:
    """Bring the database up to date, and check it."""


@db.command()
@pass_context
@reports_errors
def upgrade(context: Context) -> None:
    """Make or alter the tables as this version needs them. Back the database up first."""
    url = context.configuration().database.url
    try:
        databases.create_file(url)
    except OSError as error:
        raise MailauthError(f"cannot make the database {url}: {error.strerror}") from error
    database = databases.Database(url)
    try:
        before, after = schema.upgrade(database)
    finally:
        database.close()
    if before == after:
        click.echo(f"{url}: is at revision {after} already")
    else:
        click.echo(f"{url}: from {before or 'nothing'} to revision {after}")


@db.command()
@json_option
@pass_context
@reports_errors
def check(context: Context, as_json: bool) -> None:
    """Tell whether the tables are those that this version needs, and the key file is theirs; exit 1 if not."""
    configuration = context.configuration()
    database = databases.Database(configuration.database.url)
    try:
        revision = schema.current(database)
        is_current = revision == schema.HEAD
        differences = schema.differences(database) if is_current else []
        mistakes = key_mistakes(configuration, database) if is_current and not differences else ()
    finally:
        database.close()
    ok = is_current and not differences and not mistakes
    if as_json:
        found = {
            "differences": differences,
            "mistakes": [f"{mistake.place}: {mistake.problem}" for mistake in mistakes],
        }
        print_json({"ok": ok, "revision": revision, "needed": schema.HEAD, **found})
    elif ok:
        click.echo(f"revision {revision}, tables as they should be; the key file is the one that they are sealed with")
    elif mistakes:
        for mistake in mistakes:
            click.echo(f"{mistake.place}: {mistake.problem}", err=True)
    elif revision != schema.HEAD:
        # Revisions are numbered; what a newer mailauth upgraded, this one cannot.
        advice = "update mailauth" if (revision or "") > schema.HEAD else "run: mailauth db upgrade"
        click.echo(f"revision {revision or 'none'}, needed is {schema.HEAD}; {advice}", err=True)
    else:
        click.echo("the tables differ from what this version needs:", err=True)
        for difference in differences:
            click.echo(f"  {difference}", err=True)
    raise SystemExit(0 if ok else 1)
