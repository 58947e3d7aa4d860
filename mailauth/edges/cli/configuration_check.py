"""What `config check` does: it looks at the file, at what the file names, and at the database. Changes nothing."""

import click

from mailauth.edges.cli import database_state, refusal_floor, sources_check
from mailauth.edges.cli.configuration_words import passed_sentence, warn
from mailauth.edges.cli.context import Context, print_json
from mailauth.edges.cli.refusal_floor import Kinds
from mailauth.effects.configuration import files, leftovers
from mailauth.usecases import pam_conflicts
from mailauth.vocabulary.errors import InvalidConfiguration, Mistake


def report(context: Context, *, as_json: bool) -> None:
    """Print what is found. Raises InvalidConfiguration for mistakes, or, with JSON printed, SystemExit."""
    try:
        configuration = context.configuration()
        found = files.mistakes(configuration) + pam_conflicts.mistakes(configuration)
        state = database_state.of(configuration, context.config_path, context.now)
        of_sources = sources_check.of(configuration)
        found += state.mistakes + of_sources.mistakes
        if found:
            raise InvalidConfiguration(str(context.config_path), found)
    except InvalidConfiguration as error:
        if not as_json:
            raise
        print_json({"file": error.source, "ok": False, "mistakes": _listed(error.mistakes)})
        raise SystemExit(1) from error
    kinds = state.kinds or Kinds()
    kinds.merge(of_sources.kinds)
    floor = refusal_floor.warnings(configuration, state.foreign_hashes, kinds, of_sources.look_up_s)
    strange = (*state.warnings, *of_sources.warnings, *floor)
    cutover = state.policy.announced(configuration.accounts.default_domain, context.now())
    if as_json:
        warnings = _listed((*leftovers.warnings(configuration), *files.warnings(configuration), *strange))
        shown = {"file": str(context.config_path), "ok": True, "mistakes": []}
        print_json({**shown, "warnings": warnings, "cutover_has_passed": cutover.has_passed})
        return
    click.echo(f"{context.config_path}: no mistake. The cut-over is {cutover.moment:%Y-%m-%d %H:%M:%S %Z}.")
    if cutover.has_passed:
        click.echo(passed_sentence(context.config_path, configuration))
    warn(configuration)
    for warning in strange:
        click.echo(f"warning: {warning.place}: {warning.problem}", err=True)


def _listed(mistakes: tuple[Mistake, ...]) -> list[dict[str, str]]:
    return [{"place": mistake.place, "problem": mistake.problem} for mistake in mistakes]
