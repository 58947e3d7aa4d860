"""Unix sockets to listen on: those that systemd hands over, or our own, made and removed with care.

systemd's are better where there is systemd: they outlive a restart, so that clients wait instead of failing. Knows
no part of the process; each asks for the paths that its configuration names.
"""

import errno
import fcntl
import grp
import logging
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mailauth.vocabulary.errors import InvalidConfiguration, MailauthError, Mistake

_log = logging.getLogger(__name__)

BACKLOG = 1024
OTHERS_START_WITHIN_S = 2.0
"""How long another server may take over making its socket, which takes it a millisecond."""
_FIRST_FD = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""


class CannotListen(MailauthError):
    """A socket could not be made: its address is taken, is not this machine's, or may not be used by us."""


def handed_over(is_ours: Callable[[str], bool]) -> list[tuple[str, socket.socket]]:
    """Return those of systemd's sockets whose paths are ours, each with its path.

    They are copies: another part of the process may ask for its own. Raises CannotListen.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    found = []
    for descriptor in range(_FIRST_FD, _FIRST_FD + count):
        os.set_inheritable(descriptor, False)
        given = socket.socket(fileno=os.dup(descriptor))
        if given.family != socket.AF_UNIX or given.type != socket.SOCK_STREAM:
            raise CannotListen("systemd handed over a socket that is not a Unix stream socket")
        path = str(given.getsockname())
        if not is_ours(path):
            given.close()
            continue
        given.setblocking(False)
        found.append((path, given))
    return found


def is_same(path: str, other: str) -> bool:
    """Tell whether two paths mean one file, through whatever links."""
    return os.path.realpath(path) == os.path.realpath(other)


def group_id(name: str, place: str) -> int:
    """Return a group's id, -1 for no name. Raises InvalidConfiguration, at the key that named it."""
    try:
        return grp.getgrnam(name).gr_gid if name else -1
    except KeyError:
        mistake = Mistake(place, f"there is no group {name!a} on this machine")
        raise InvalidConfiguration("configuration", (mistake,)) from None


def listen(path_: str, mode: int, gid: int) -> tuple[socket.socket, int]:
    """Return a new listening socket and its file's inode; its directory is made. Raises CannotListen."""
    path = Path(path_)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _alone_in(path.parent):
            _remove_stale(path)
            listening = _bound(path, mode, gid)
        return listening, path.stat().st_ino
    except OSError as error:
        raise CannotListen(f"cannot listen on {path}: {error.strerror or error}") from error


def remove(path: str, inode: int) -> None:
    """Remove a socket's file if it is still the one that was made."""
    try:
        if os.stat(path).st_ino == inode:
            os.unlink(path)
    except FileNotFoundError:
        pass


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Keep other servers that start from taking each other's new sockets for stale ones.

    Not for long: whoever may look into the directory may lock it as well, and would keep all of them from starting.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _locks(descriptor):
            _log.warning("somebody holds a lock on %s; listening there without one", directory)
        yield
    finally:
        os.close(descriptor)


def _locks(descriptor: int) -> bool:
    until = time.monotonic() + OTHERS_START_WITHIN_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        else:
            return True


def _bound(path: Path, mode: int, gid: int) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)  # nobody else until owner and mode are right
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        try:
            os.chown(path, -1, gid)
            os.chmod(path, mode)
            listening.listen(BACKLOG)
        except BaseException:
            path.unlink()
            raise
    except BaseException:
        listening.close()
        raise
    listening.setblocking(False)
    return listening


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody listens on any more. Raises CannotListen for one in use, or another file."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise CannotListen(f"cannot listen on {path}: a file that is not a socket is there")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # where the other's queue is full, connecting would wait: EAGAIN says the same
        result = probe.connect_ex(str(path))
    if result in (0, errno.EAGAIN):
        raise CannotListen(f"cannot listen on {path}: another server is listening there")
    path.unlink()
