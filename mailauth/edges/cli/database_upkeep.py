"""What the commands of `db` do: tables that are made or altered, damage that is looked for, copies, their return."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple, NoReturn

import click
from sqlalchemy import URL, make_url

from mailauth.core import otp
from mailauth.edges.cli.context import Context, print_json, spoken
from mailauth.edges.cli.database_state import clock_warnings, key_mistakes
from mailauth.effects import keyring
from mailauth.effects.configuration.places import key_file
from mailauth.effects.configuration.schema import Configuration
from mailauth.effects.store import restored, schema, upkeep
from mailauth.effects.store.database import Database
from mailauth.usecases import key_fingerprints
from mailauth.vocabulary.errors import MailauthError, Mistake


def upgrade(context: Context) -> None:
    """Make or alter the tables, and say from which revision to which. Raises MailauthError."""
    url = context.configuration().database.url
    try:
        upkeep.create(url)
    except OSError as error:
        raise MailauthError(f"cannot make the database {url}: {error.strerror}") from error
    database = Database(url)
    try:
        before, after = schema.upgrade(database)
    finally:
        database.close()
    if before == after:
        click.echo(f"{url}: is at revision {after} already")
    else:
        click.echo(f"{url}: from {before or 'nothing'} to revision {after}")


def check(context: Context, *, as_json: bool) -> NoReturn:
    """Print what is wrong with the database. Raises SystemExit: 0 where nothing is, otherwise 1."""
    configuration = context.configuration()
    database = Database(configuration.database.url)
    try:
        damage = database.findings()
        if damage:
            _report_damage(database, damage, as_json)
        revision = schema.current(database)
        is_current = revision == schema.HEAD
        differences = schema.differences(database) if is_current else []
        mistakes = key_mistakes(configuration, database) if is_current and not differences else ()
        strange = clock_warnings(configuration, database, context.now) if is_current and not differences else ()
    finally:
        database.close()
    ok = is_current and not differences and not mistakes
    if as_json:
        found = {
            "differences": differences,
            "mistakes": _listed(mistakes),
            "warnings": _listed(strange),
        }
        print_json({"ok": ok, "damage": [], "revision": revision, "needed": schema.HEAD, **found})
    elif ok:
        click.echo(f"revision {revision}, tables as they should be; the key file is the one that they are sealed with")
    elif mistakes:
        for words in _listed(mistakes):
            click.echo(words, err=True)
    elif revision != schema.HEAD:
        # Revisions are numbered; what a newer mailauth upgraded, this one cannot.
        advice = "update mailauth" if (revision or "") > schema.HEAD else "run: mailauth db upgrade"
        click.echo(f"revision {revision or 'none'}, needed is {schema.HEAD}; {advice}", err=True)
    else:
        click.echo("the tables differ from what this version needs:", err=True)
        for difference in differences:
            click.echo(f"  {difference}", err=True)
    if not as_json:
        for warning in _listed(strange):
            click.echo(f"warning: {warning}", err=True)
    raise SystemExit(0 if ok else 1)


def back_up(context: Context, file: Path, *, is_forced: bool) -> None:
    """Copy the database into a file. Raises MailauthError."""
    configuration = context.configuration()
    for path, what in ((key_file(configuration), "the key file"), (context.config_path, "the configuration")):
        if file.exists() and path.exists() and file.samefile(path):
            raise MailauthError(f"{file} is {what}, which no backup can bring back; name another file")
    size = upkeep.back_up(configuration.database.url, file, replace=is_forced)
    click.echo(f"written  {file} ({size} bytes); it needs the key file, which is not part of it")


def restore(context: Context, file: Path) -> None:
    """Put a backup in the place of the database, and say what it does not know. Raises MailauthError."""
    configuration = context.configuration()
    url = configuration.database.url
    with upkeep.in_place_of(url, file) as draft:
        done = _prepared(configuration, draft, file, context.now())
    place, contents = make_url(url).database, done.contents
    click.echo(f"restored {place} from {file}: {contents.accounts} accounts, {_until(contents.last_login_at)}")
    kept = upkeep.aside(url)
    if kept:
        click.echo(f"kept     {kept[-1]}: what was there before")
    if done.revision_before != schema.HEAD:
        click.echo(f"migrated from revision {done.revision_before} to {schema.HEAD}")
    closed = done.closed
    click.echo(
        f"ended    {closed.sessions} sessions of the portal, {closed.memories} remembered logins, {closed.links} "
        "links in mails; codes of authenticators are spent up to the next minute"
    )
    click.echo(
        "Since the backup was made these may be back: recovery codes that were used, app passwords that were revoked, "
        "passwords that were changed, accounts that were disabled or removed; mails that waited then are sent again. "
        "Repeat what you know of before you start mailauth: account disable, account password --revoke-app-passwords, "
        "recovery issue, app-password revoke."
    )


def _listed(mistakes: tuple[Mistake, ...]) -> list[str]:
    return [f"{mistake.place}: {mistake.problem}" for mistake in mistakes]


def _report_damage(database: Database, damage: tuple[str, ...], as_json: bool) -> NoReturn:
    if as_json:
        print_json({"ok": False, "damage": damage})
    else:
        click.echo(f"the database {database.damage_words(damage)}", err=True)
    raise SystemExit(1)


class _Prepared(NamedTuple):
    contents: restored.Contents
    closed: restored.Closed
    revision_before: str


def _prepared(configuration: Configuration, draft: URL, source: Path, now: datetime) -> _Prepared:
    """Make a draft of a backup ready to be put in force, or raise what is wrong with it."""
    database = Database(draft)
    try:
        revision = schema.current(database)
        if revision is None:
            raise MailauthError(f"nothing was changed: {source} is no backup of mailauth's database")
        schema.upgrade(database)
        path = key_file(configuration)
        if path.is_absolute():  # else systemd has it, and the start looks at it
            found = key_fingerprints.mistakes(database, keyring.read(path))
            if found:
                raise MailauthError(f"nothing was changed: key file {path}, for {source}: {'; '.join(found)}")
        # Any code that may be shown or accepted now may have been spent before.
        steps = otp.latest_steps(now)
        contents = database.read(restored.contents)
        closed = database.write(lambda connection: restored.close(connection, steps, now))
        return _Prepared(contents, closed, revision)
    finally:
        database.close()


def _until(moment: datetime | None) -> str:
    return "no login yet" if moment is None else f"the last login at {spoken(moment)}"
