"""`serve`: run the parts of mailauth in the foreground, for systemd or for trying out. Only here they meet."""

import logging
from typing import TYPE_CHECKING

import click

from mailauth.edges import hangup
from mailauth.edges.cli.context import Context, pass_context, reports_errors

if TYPE_CHECKING:
    from mailauth.edges.process import Part

INSPECTED_FOR_S = 1.0
"""How long the start waits for damage in the database to be found; after that it is looked for beside serving."""
PARTS = ("auth", "portal", "worker")
"""Every part, in the order in which they start."""


@click.command()
@click.argument("part", type=click.Choice(PARTS), required=False)
@pass_context
@reports_errors
def serve(context: Context, part: str | None) -> None:
    """Serve until SIGTERM or SIGINT. SIGHUP is ignored: a change of the configuration needs a restart.

    PART is auth, which answers the logins of mail servers; portal, the pages for users; or worker, which delivers
    mails to users. Without PART all of them run in one process.

    Logs go to standard error. Refuses to start without a right configuration, key file and database, and ends where
    one of its parts does.
    """
    hangup.outlive()
    from mailauth import __version__
    from mailauth.edges import process
    from mailauth.effects import log_lines
    from mailauth.effects.configuration import pam_service
    from mailauth.usecases import pam_conflicts

    configuration = context.configuration()
    log_lines.set_up(configuration.log.level)
    with context.installation(INSPECTED_FOR_S) as installation:
        cutover = " ".join(date.isoformat() for date in installation.policy.dates)
        fields = {"version": __version__, "cutover": cutover, "config": context.config_path, "part": part}
        fields["digest"] = installation.presence.digest
        logging.getLogger(__name__).info("starting", extra={log_lines.FIELDS: fields})
        for problem in (*pam_conflicts.mistakes(configuration), *pam_service.warnings_at_start(configuration)):
            logging.getLogger(__name__).error("%s: %s", problem.place, problem.problem)
        chosen = PARTS if part is None else (part,)
        process.run(installation, {name: _load(name) for name in chosen}, context.config_path)


def _load(name: str) -> "Part":
    """Return a part. Imported late, so that a process of one part does not carry the others."""
    if name == "portal":
        from mailauth.edges.portal.service import serve_pages

        return serve_pages
    if name == "worker":
        from mailauth.edges.outbox.service import work

        return work
    from mailauth.edges.server.service import answer_logins

    return answer_logins
