"""The process that serves: what belongs to it and to none of its parts.

Holds the event loop, signals, what systemd is told, limits of the process, and the parts that run side by side until
one of them ends or somebody asks the process to. Knows no part by name, and must not: each is handed in, and neither
sees the other. What has to happen now and then wherever mailauth runs (tidying up) happens here.

Privileges: none. The process makes itself undumpable, so that neither a core file nor another process of the same
user shows its keys.
"""

import asyncio
import ctypes
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path

from mailauth.edges import hangup
from mailauth.effects.log_lines import FIELDS
from mailauth.usecases import activity, housekeeping, presence, time_watch
from mailauth.vocabulary.errors import MailauthError, Overloaded, StoreUnavailable
from mailauth.wiring import Installation

_log = logging.getLogger(__name__)

SPARE_DESCRIPTORS = 128
"""For the database (three a thread), the sockets, the log, the event loop, and what is accepted only to be closed."""
_PR_SET_DUMPABLE = 4
"""prctl(2)."""

Part = Callable[[Installation, asyncio.Event], Coroutine[None, None, None]]
"""One thing that mailauth does. It runs until the event is set, then finishes what is under way and returns."""


class PartEnded(MailauthError):
    """A part of the process ended though nobody had asked it to."""


_when_ready: ContextVar[Callable[[], None]] = ContextVar("when_ready")


def ready() -> None:
    """Say that the part which calls this answers now; systemd is told when every part has. Elsewhere: nothing."""
    tell = _when_ready.get(None)
    if tell is not None:
        tell()


def run(installation: Installation, parts: Mapping[str, Part], source: Path = Path()) -> None:
    """Run parts, by name, until SIGTERM or SIGINT; then let them finish, and return.

    `source` is the configuration file, for those who look at what runs with which configuration.

    Raises what a part raised that this package raises on purpose, or PartEnded: where one part has ended the others
    are stopped too, for a service that is half there is restarted by nobody.
    """
    _be_undumpable()
    configuration = installation.configuration
    _allow_descriptors(configuration.server.max_connections + configuration.portal.max_connections)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(installation, parts, source))


async def _run(installation: Installation, parts: Mapping[str, Part], source: Path) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, stop.set if hangup.ends_with_a_terminal() else _say_that_hangup_is_ignored)
    not_ready = set(parts)

    async def alone(name: str, part: Part) -> None:
        def is_ready() -> None:
            if name in not_ready:
                not_ready.remove(name)
                if not not_ready:
                    _notify("READY=1")

        _when_ready.set(is_ready)
        try:
            await part(installation, stop)
        except MailauthError:
            raise
        except Exception as error:
            _log.exception("a part failed", extra={FIELDS: {"part": name}})
            raise PartEnded(f"{name} failed: {error!r}") from error
        if not stop.is_set():
            raise PartEnded(f"{name} ended by itself")

    running = [loop.create_task(alone(name, part), name=name) for name, part in parts.items()]
    keeping = [loop.create_task(job(installation)) for job in KEEPERS]
    keeping.append(loop.create_task(_be_there_for_ever(installation, parts, source)))
    stopping = loop.create_task(stop.wait())
    await asyncio.wait([stopping, *running], return_when=asyncio.FIRST_COMPLETED)
    failed = [task for task in running if task.done()]
    stop.set()
    _notify("STOPPING=1")
    for task in keeping:
        task.cancel()
    await asyncio.wait([stopping, *running])
    await _note(installation, installation.presence.leave)
    _log.info("stopped")
    _raise_the_first(failed, running)


def _raise_the_first(failed: list[asyncio.Task[None]], running: list[asyncio.Task[None]]) -> None:
    """Raise why the first part ended that did not end as it should; why others did is logged."""
    ends = {task: task.exception() for task in (*failed, *running) if not task.cancelled()}
    errors = [(task.get_name(), error) for task, error in ends.items() if error is not None]
    for name, error in errors[1:]:
        _log.error("a part ended as well: %s", error, extra={FIELDS: {"part": name}})
    if errors:
        raise errors[0][1]


async def _keep_house_for_ever(installation: Installation) -> None:
    while True:
        try:
            deleted = await installation.database.run(installation.housekeeping.tidy)
            _log.debug("tidied", extra={FIELDS: {"rows": deleted}})
        except (StoreUnavailable, Overloaded) as error:
            _log.warning("could not tidy up: %s", error)
        except Exception:
            _log.exception("could not tidy up")  # a row that nobody foresaw; the next time may do without it
        await asyncio.sleep(housekeeping.EVERY_S)


async def _write_down_for_ever(installation: Installation) -> None:
    while True:
        await asyncio.sleep(activity.EVERY_S)
        try:
            await installation.database.run(installation.activity.flush)
            await installation.database.run(installation.login_notices.flush)
            await installation.database.run(installation.device_networks.flush)
        except (StoreUnavailable, Overloaded) as error:
            _log.warning("login activity could not be written down yet: %s", error)
        except Exception:
            _log.exception("login activity could not be written down")


async def _watch_the_clock_for_ever(installation: Installation) -> None:
    while True:
        await _note(installation, installation.time_watch.look)
        await asyncio.sleep(time_watch.EVERY_S)


async def _be_there_for_ever(installation: Installation, parts: Iterable[str], source: Path) -> None:
    await _note(installation, lambda: installation.presence.enter(parts, source))
    while True:
        await asyncio.sleep(presence.EVERY_S)
        await _note(installation, installation.presence.confirm)


async def _note(installation: Installation, job: Callable[[], None]) -> None:
    try:
        await installation.database.run(job)
    except (StoreUnavailable, Overloaded) as error:
        _log.warning("what runs here, and what time it is, could not be noted: %s", error)


def _say_that_hangup_is_ignored() -> None:
    _log.warning("SIGHUP is ignored: mailauth keeps the configuration that it started with; restart it to change that")


KEEPERS = (_keep_house_for_ever, _write_down_for_ever, _watch_the_clock_for_ever)
"""What has to be done now and then wherever mailauth runs."""


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return uvloop's event loop where the extra `fast` is installed, else the standard one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _notify(state: str) -> None:
    """Tell systemd, where it wants to be told (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notification:
        try:
            notification.sendto(state.encode(), address.replace("@", "\x00", 1) if address[0] == "@" else address)
        except OSError as error:
            _log.warning("systemd could not be told %s: %s", state, error)


def descriptors_beside(kept: int) -> int:
    """Return how many descriptors a part may take when `kept` of them, and the spare ones, are for the others."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft - SPARE_DESCRIPTORS - kept


def _allow_descriptors(max_connections: int) -> None:
    """Raise the soft limit of open files to what the promised connections need, as far as the hard one allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = max_connections + SPARE_DESCRIPTORS
    if needed <= soft:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        _log.warning("fewer descriptors than max_connections need", extra={FIELDS: {"allowed": allowed}})


def _be_undumpable() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
