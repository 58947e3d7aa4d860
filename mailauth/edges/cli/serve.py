"""`serve`: run the parts of mailauth in the foreground, for systemd or for trying out."""

import logging

import click

from mailauth.edges.cli.context import Context, pass_context, reports_errors


@click.command()
@click.argument("part", type=click.Choice(["auth"]), required=False)
@pass_context
@reports_errors
def serve(context: Context, part: str | None) -> None:
    """Answer logins until SIGTERM or SIGINT. PART is `auth`, so far the only one; without it, all parts run.

    Logs go to standard error. Refuses to start without a right configuration, key file and database.
    """
    from mailauth import __version__
    from mailauth.edges.server import service
    from mailauth.effects import log_lines

    configuration = context.configuration()
    log_lines.set_up(configuration.log.level)
    with context.installation() as installation:
        cutover = installation.policy.cutover.moment.isoformat()
        fields = {"version": __version__, "cutover": cutover, "config": context.config_path, "part": part}
        logging.getLogger(__name__).info("starting", extra={log_lines.FIELDS: fields})
        service.serve(installation)
