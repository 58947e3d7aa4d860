"""The worker's other task: listing the password sources every now and then."""

import asyncio
import contextlib
import logging
from datetime import timedelta

from mailauth.effects.log_lines import FIELDS
from mailauth.usecases.directory import Directory
from mailauth.vocabulary.errors import MailauthError
from mailauth.wiring import Installation

_log = logging.getLogger(__name__)

LOOK_S = 5.0
"""How often it is asked whether a source is due."""


async def follow_directories(installation: Installation, stop: asyncio.Event) -> None:
    """List each source that can be listed whenever it is due, until `stop` is set; what is begun is finished.

    The first time at once, since the configuration may be another one.
    """
    every = timedelta(seconds=installation.configuration.directory.every_s)
    directory, not_within = installation.directory, timedelta(0)
    while not stop.is_set() and directory.sources:
        for source in directory.sources:
            if not stop.is_set():
                await asyncio.to_thread(_follow, directory, source, not_within)
        not_within = every
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), min(LOOK_S, every.total_seconds()))


def _follow(directory: Directory, source: str, not_within: timedelta) -> None:
    try:
        if not directory.is_due(source, not_within):
            return
        report = directory.sync(source)
    except MailauthError as error:
        _log.error("%s was not followed: %s", source, error)
        return
    except Exception:
        _log.exception("%s was not followed", source)  # logins and mails go on; the next time may do
        return
    counts = {kind: getattr(report, kind) for kind in ("listed", "added", "updated", "renamed", "replaced")}
    counts |= {kind: getattr(report, kind) for kind in ("returned", "inactive", "absent", "removed", "refused")}
    _log.info("directory followed", extra={FIELDS: {"source": source, **{k: n for k, n in counts.items() if n}}})
