"""What `init` and `config check` both say of a configuration."""

import shlex
from pathlib import Path

import click

from mailauth.effects.configuration import files, leftovers, loading, reference
from mailauth.effects.configuration.schema import Configuration


def warn(configuration: Configuration) -> None:
    """Say what is strange about a configuration, though no mistake."""
    for warning in (*leftovers.warnings(configuration), *files.warnings(configuration)):
        click.echo(f"warning: {warning.place}: {warning.problem}", err=True)


def passed_sentence(path: Path, configuration: Configuration) -> str:
    """Return what is said where the date has passed, with how to set another."""
    example = reference.required()["cutover.date"]
    return (
        f"The cut-over of {configuration.cutover.date} has passed: a password alone is refused now. Another date: "
        f"mailauth{config_option(path)} config set 'cutover.date={example}'."
    )


def config_option(path: Path) -> str:
    """Return the option that a command needs for a file in another place than the default one."""
    return "" if path == loading.DEFAULT_PATH else f" --config {shlex.quote(str(path))}"
