"""`init` and `config`: making, checking, changing and explaining the configuration file."""

import json
import shlex
import textwrap
from datetime import datetime
from pathlib import Path

import click
from click.core import ParameterSource

from mailauth.edges.cli import database_state, first_answers
from mailauth.edges.cli.context import Context, json_option, pass_context, print_json, reports_errors
from mailauth.effects import keyring
from mailauth.effects.configuration import describing, foreign, loading, outside
from mailauth.effects.configuration.schema import Configuration, embedded_database
from mailauth.effects.store import database as databases
from mailauth.effects.store import schema
from mailauth.usecases import key_fingerprints, pam_conflicts
from mailauth.vocabulary.errors import InvalidConfiguration, MailauthError, Mistake

EXAMPLE_DATE = describing.required()["cutover.date"]
FIRST_KEY_ID = "1"

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
    path = context.config_path
    if directory is not None:
        if not _is_named("config_path"):
            path = directory / loading.DEFAULT_PATH.name
        settings = (*_settings_in(directory), *settings)
    if path.exists() and not force:
        if settings and not _are_in_force(path, settings):
            problem = "exists; change it with `mailauth config set`, or replace it with --force"
            raise InvalidConfiguration(str(path), (Mistake("file", problem),))
        click.echo(f"kept     {path}")
        configuration = loading.load(path)
    else:
        text = loading.with_settings(describing.first_file(first_answers.answers(settings, path)), settings, str(path))
        configuration = loading.parse(text, str(path))
        _make_parent(path)
        loading.replace_file(path, text)
        click.echo(f"written  {path}")
    _make_key(configuration)
    _make_database(configuration)
    _note_key(configuration, context.now())
    click.echo(_next_steps(path, configuration, context.now()), nl=False)
    _warn(configuration)


def _is_named(parameter: str) -> bool:
    """Tell whether the caller chose the value of a parameter of the program."""
    return click.get_current_context().find_root().get_parameter_source(parameter) is not ParameterSource.DEFAULT


def _settings_in(directory: Path) -> tuple[str, ...]:
    return (
        f"keys.file={directory}/mailauth.key",
        f"database.url={embedded_database(directory)}",
        f"server.socket=[{{path = {json.dumps(str(directory / 'auth.sock'))}, lookups = true}}]",
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
    if databases.is_missing(configuration.database.url):
        return
    database = databases.Database(configuration.database.url)
    try:
        if schema.current(database) is not None:
            key_fingerprints.require_none_in_use(database, Path(configuration.keys.file))
    finally:
        database.close()


def _note_key(configuration: Configuration, now: datetime) -> None:
    path = Path(configuration.keys.file)
    database = databases.Database(configuration.database.url)
    try:
        key_fingerprints.begin(database, keyring.read(path), path, now)
    finally:
        database.close()


def _make_database(configuration: Configuration) -> None:
    url = configuration.database.url
    try:
        databases.create(url)
    except OSError as error:
        raise MailauthError(f"cannot make the database {url}: {error.strerror}") from error
    database = databases.Database(url)
    try:
        before, after = schema.upgrade(database)
    finally:
        database.close()
    click.echo(f"{'kept    ' if before == after else 'migrated'} {url} (revision {after})")


def _next_steps(path: Path, configuration: Configuration, now: datetime) -> str:
    first = f"From {configuration.cutover.date} a second factor is required."
    if configuration.cutover.policy().announced(configuration.accounts.default_domain, now).has_passed:
        first = _passed_sentence(path, configuration)
    option, portal = _config_option(path), configuration.portal
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


def _warn(configuration: Configuration) -> None:
    for warning in (*foreign.warnings(configuration), *outside.warnings(configuration)):
        click.echo(f"warning: {warning.place}: {warning.problem}", err=True)


def _passed_sentence(path: Path, configuration: Configuration) -> str:
    return (
        f"The cut-over of {configuration.cutover.date} has passed: a password alone is refused now. Another date: "
        f"mailauth{_config_option(path)} config set 'cutover.date={EXAMPLE_DATE}'."
    )


def _config_option(path: Path) -> str:
    return "" if path == loading.DEFAULT_PATH else f" --config {shlex.quote(str(path))}"


@click.group()
def config() -> None:
    """Check, change and explain the configuration file."""


@config.command()
@json_option
@pass_context
@reports_errors
def check(context: Context, as_json: bool) -> None:
    """Report every mistake in the configuration file, each with its place; exit 1 if there is one.

    The files that it names are looked at too: the key, which has to be the one that the database is sealed with, the
    logo, the password for the SMTP server; and whether two accounts are one PAM user. What is still the default of
    another provider is a warning.
    """
    try:
        configuration = context.configuration()
        found = outside.mistakes(configuration) + pam_conflicts.mistakes(configuration)
        state = database_state.of(configuration, context.config_path, context.now)
        found += state.mistakes
        if found:
            raise InvalidConfiguration(str(context.config_path), found)
    except InvalidConfiguration as error:
        if not as_json:
            raise
        print_json({"file": error.source, "ok": False, "mistakes": _listed(error.mistakes)})
        raise SystemExit(1) from error
    cutover = state.policy.announced(configuration.accounts.default_domain, context.now())
    if as_json:
        warnings = _listed((*foreign.warnings(configuration), *outside.warnings(configuration), *state.warnings))
        shown = {"file": str(context.config_path), "ok": True, "mistakes": []}
        print_json({**shown, "warnings": warnings, "cutover_has_passed": cutover.has_passed})
        return
    click.echo(f"{context.config_path}: no mistake. The cut-over is {cutover.moment:%Y-%m-%d %H:%M:%S %Z}.")
    if cutover.has_passed:
        click.echo(_passed_sentence(context.config_path, configuration))
    _warn(configuration)
    for warning in state.warnings:
        click.echo(f"warning: {warning.place}: {warning.problem}", err=True)


def _listed(mistakes: tuple[Mistake, ...]) -> list[dict[str, str]]:
    return [{"place": mistake.place, "problem": mistake.problem} for mistake in mistakes]


@config.command()
@json_option
@reports_errors
def describe(as_json: bool) -> None:
    """Explain every key: what it is for, its type, its default."""
    keys = describing.describe()
    if as_json:
        print_json([key._asdict() for key in keys])
        return
    for key in keys:
        default = "required" if key.default is None else f"default {key.default}"
        click.echo(f"{key.place}  ({key.type}; {default})")
        click.echo(textwrap.indent(textwrap.fill(key.description, 100), "    "))


@config.command("set")
@click.argument("settings", metavar="KEY=VALUE...", nargs=-1, required=True)
@pass_context
@reports_errors
def set_(context: Context, settings: tuple[str, ...]) -> None:
    """Change keys in the file, keeping its comments; nothing is written unless the result is right.

    A running server keeps what it read when it started: restart it.
    """
    path = context.config_path
    loading.replace_file(path, loading.with_settings(loading.read(path), settings, str(path)))
    click.echo(f"changed  {path}; restart mailauth to put it in force")
