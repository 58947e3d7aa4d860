"""What `init` does: it makes what is missing, and keeps what is there."""

import json
import textwrap
from datetime import datetime
from pathlib import Path

import click
from click.core import ParameterSource

from mailauth.edges.cli import first_answers
from mailauth.edges.cli.configuration_words import config_option, passed_sentence, warn
from mailauth.edges.cli.context import Context
from mailauth.effects import keyring
from mailauth.effects.configuration import loading, reference
from mailauth.effects.configuration.schema import Configuration, embedded_database
from mailauth.effects.store import schema, upkeep
from mailauth.effects.store.database import Database
from mailauth.usecases import key_fingerprints
from mailauth.vocabulary.errors import InvalidConfiguration, MailauthError, Mistake

FIRST_KEY_ID = "1"


def install(context: Context, settings: tuple[str, ...], directory: Path | None, *, is_forced: bool) -> None:
    """Make the configuration file, the key file and the database, and say what is next. `directory`: for all of them.

    Raises MailauthError for what cannot be made; what is made by then stays, and another run goes on from there.
    """
    path = context.config_path
    if directory is not None:
        if not _is_named("config_path"):
            path = directory / loading.DEFAULT_PATH.name
        settings = (*_settings_in(directory), *settings)
    if path.exists() and not is_forced:
        if settings and not _are_in_force(path, settings):
            problem = "exists; change it with `mailauth config set`, or replace it with --force"
            raise InvalidConfiguration(str(path), (Mistake("file", problem),))
        click.echo(f"kept     {path}")
        configuration = loading.load(path)
    else:
        text = loading.with_settings(reference.first_file(first_answers.answers(settings, path)), settings, str(path))
        configuration = loading.parse(text, str(path))
        _make_parent(path)
        loading.replace_file(path, text)
        click.echo(f"written  {path}")
    _make_key(configuration)
    _make_database(configuration)
    _note_key(configuration, context.now())
    click.echo(_next_steps(path, configuration, context.now()), nl=False)
    warn(configuration)


def _is_named(parameter: str) -> bool:
    """Tell whether the caller chose the value of a parameter of the program."""
    return click.get_current_context().find_root().get_parameter_source(parameter) is not ParameterSource.DEFAULT


def _settings_in(directory: Path) -> tuple[str, ...]:
    return (
        f"keys.file={directory}/mailauth.key",
        f"database.url={embedded_database(directory)}",
        f"server.socket=[{{path = {json.dumps(str(directory / 'auth.sock'))}, lookups = true, fields = true}}]",
    )


def _are_in_force(path: Path, settings: tuple[str, ...]) -> bool:
    text = loading.read(path)
    return loading.parse(loading.with_settings(text, settings, str(path)), str(path)) == loading.load(path)


def _make_parent(path: Path) -> None:
    try:
        _make_directory(path.parent)
    except OSError as error:
        raise MailauthError(
            f"cannot make {path.parent}: {error.strerror}; name another place with --config"
        ) from error


def _make_directory(directory: Path) -> None:
    """Make a directory that others may enter, whatever root's umask: mailauth's own user has to read what is in it."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for each in missing:
        each.chmod(0o755)


def _make_key(configuration: Configuration) -> None:
    path = Path(configuration.keys.file)
    try:
        if not path.exists():
            _refuse_beside_sealed_database(configuration)
        _make_directory(path.parent)
        keyring.create(path, FIRST_KEY_ID)
    except FileExistsError:
        keyring.read(path)
        click.echo(f"kept     {path}")
        return
    except OSError as error:
        raise MailauthError(f"cannot make the key file {path}: {error.strerror}") from error
    click.echo(f"written  {path} (back it up apart from the database)")


def _refuse_beside_sealed_database(configuration: Configuration) -> None:
    """Make no new key where one is missing: it would open nothing."""
    if upkeep.is_missing(configuration.database.url):
        return
    database = Database(configuration.database.url)
    try:
        if schema.current(database) is not None:
            key_fingerprints.require_none_in_use(database, Path(configuration.keys.file))
    finally:
        database.close()


def _note_key(configuration: Configuration, now: datetime) -> None:
    path = Path(configuration.keys.file)
    database = Database(configuration.database.url)
    try:
        key_fingerprints.begin(database, keyring.read(path), path, now)
    finally:
        database.close()


def _make_database(configuration: Configuration) -> None:
    url = configuration.database.url
    try:
        upkeep.create(url)
    except OSError as error:
        raise MailauthError(f"cannot make the database {url}: {error.strerror}") from error
    database = Database(url)
    try:
        before, after = schema.upgrade(database)
    finally:
        database.close()
    click.echo(f"{'kept    ' if before == after else 'migrated'} {url} (revision {after})")


def _next_steps(path: Path, configuration: Configuration, now: datetime) -> str:
    first = f"From {configuration.cutover.date} a second factor is required."
    if configuration.cutover.policy().announced(configuration.accounts.default_domain, now).has_passed:
        first = passed_sentence(path, configuration)
    option, portal = config_option(path), configuration.portal
    return textwrap.dedent(
        f"""
        {first}
        Names without a domain are of {configuration.accounts.default_domain}; mails link to {portal.url};
        beside app passwords stand {portal.imap} and {portal.smtp}. Next:
          mailauth{option} config check               after each change of {path}
          mailauth{option} account add NAME           password on standard input, or asked for
          mailauth{option} totp enrol NAME            shows a QR code; then: totp confirm NAME
          mailauth{option} serve                      answers on {configuration.server.socket[0].path}
        Then point Dovecot and Postfix at it: see deploy/ and README.md.
        """
    )
