"""The worker as a part of the process: deliver mails, and follow the sources' directories, until it is to stop.

Privileges: none beyond the key file, the database, and the way to the SMTP server. What is under way when it is to
stop is finished; what is left is delivered by the next one.
"""

import asyncio
import contextlib
import logging

from mailauth.edges import process
from mailauth.edges.outbox.directories import follow_directories
from mailauth.vocabulary.errors import Overloaded, StoreUnavailable
from mailauth.wiring import Installation, mailing

_log = logging.getLogger(__name__)

POLL_S = 1.0
"""How soon a mail leaves that was queued by another process."""
AFTER_A_SURPRISE_S = 30.0
"""How long nothing is done after what nobody foresaw, for it is likely to be there still."""
PURGE_EVERY_S = 3600.0


async def work(installation: Installation, stop: asyncio.Event) -> None:
    """Do all that the worker does until `stop` is set."""
    await asyncio.gather(deliver_mails(installation, stop), follow_directories(installation, stop))


async def deliver_mails(installation: Installation, stop: asyncio.Event) -> None:
    """Deliver mails until `stop` is set."""
    mail, delivery = installation.configuration.mail, mailing.of(installation).delivery
    _log.info("delivering mails to %s port %d", mail.host, mail.port)
    process.ready()
    loop = asyncio.get_running_loop()
    purge_at = loop.time()
    while not stop.is_set():
        done, wait_s = 0, POLL_S
        try:
            done = (await delivery.run_once(stop)).total
            if loop.time() >= purge_at:
                await installation.database.run(delivery.purge)
                purge_at = loop.time() + PURGE_EVERY_S
        except (StoreUnavailable, Overloaded) as error:
            _log.warning("mails wait: %s", error)
        except Exception:
            # Whatever it is, logins are answered by this very process, and go on.
            _log.exception("mails wait")
            done, wait_s = 0, AFTER_A_SURPRISE_S
        if not done:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait_s)
