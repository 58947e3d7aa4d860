"""`config`: checking, changing and explaining the configuration file."""

import textwrap

import click

from mailauth.edges.cli.context import Context, json_option, pass_context, print_json, reports_errors


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
    from mailauth.edges.cli import configuration_check

    configuration_check.report(context, as_json=as_json)


@config.command()
@json_option
@reports_errors
def describe(as_json: bool) -> None:
    """Explain every key: what it is for, its type, its default."""
    from mailauth.effects.configuration import reference

    keys = reference.describe()
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
    from mailauth.effects.configuration import loading

    path = context.config_path
    loading.replace_file(path, loading.with_settings(loading.read(path), settings, str(path)))
    click.echo(f"changed  {path}; restart mailauth to put it in force")
