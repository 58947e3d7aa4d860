"""Listening sockets: those that systemd hands over, or our own, made and removed with care.

systemd's are better where there is systemd: they outlive a restart, so that logins wait instead of failing.
"""

import errno
import fcntl
import grp
import os
import pwd
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mailauth.effects.configuration.schema import Socket
from mailauth.vocabulary.errors import InvalidConfiguration, MailauthError, Mistake

BACKLOG = 1024
_FIRST_FD = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""


class CannotListen(MailauthError):
    """A socket could not be made."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket, who may connect (None: whom its permissions let in), and the file that is ours, if any."""

    socket: socket.socket
    path: str
    allowed_uids: frozenset[int] | None
    inode: int | None

    def remove(self) -> None:
        """Close, and remove the file if it is still the one that we made."""
        self.socket.close()
        if self.inode is None:
            return
        try:
            if os.stat(self.path).st_ino == self.inode:
                os.unlink(self.path)
        except FileNotFoundError:
            pass


def open_all(configured: Sequence[Socket]) -> list[Listener]:
    """Return systemd's sockets where there are any, otherwise those of the configuration.

    Raises CannotListen or InvalidConfiguration; what was made until then is removed again.
    """
    uids = {entry.path: allowed_uids(entry.allow_users) for entry in configured}
    handed_over = _from_systemd()
    if handed_over:
        return [Listener(given, path, _uids_of(path, uids), None) for path, given in handed_over]
    listeners: list[Listener] = []
    try:
        for entry in configured:
            listeners.append(_listen(entry, uids[entry.path]))  # noqa: PERF401  (those made so far are cleaned up)
    except BaseException:
        for listener in listeners:
            listener.remove()
        raise
    return listeners


def allowed_uids(users: Sequence[str]) -> frozenset[int] | None:
    """Return the uids of users who may connect, with root and ourselves; None where anybody may."""
    if not users:
        return None
    uids = {0, os.geteuid()}
    for user in users:
        try:
            uids.add(pwd.getpwnam(user).pw_uid)
        except KeyError:
            mistake = Mistake("server.socket.allow_users", f"there is no user {user!a} on this machine")
            raise InvalidConfiguration("configuration", (mistake,)) from None
    return frozenset(uids)


def _uids_of(handed_over: str, uids: Mapping[str, frozenset[int] | None]) -> frozenset[int] | None:
    """Return who may connect to a socket that systemd made. Raises InvalidConfiguration for one not configured."""
    for path, allowed in uids.items():
        if os.path.realpath(path) == os.path.realpath(handed_over):
            return allowed
    problem = f"systemd hands over {handed_over}, which has no table here that says who may connect (allow_users)"
    raise InvalidConfiguration("configuration", (Mistake("server.socket", problem),))


def _from_systemd() -> list[tuple[str, socket.socket]]:
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    found = []
    for descriptor in range(_FIRST_FD, _FIRST_FD + count):
        os.set_inheritable(descriptor, False)
        given = socket.socket(fileno=descriptor)
        if given.family != socket.AF_UNIX or given.type != socket.SOCK_STREAM:
            raise CannotListen("systemd handed over a socket that is not a Unix stream socket")
        given.setblocking(False)
        found.append((str(given.getsockname()), given))
    return found


def _listen(entry: Socket, uids: frozenset[int] | None) -> Listener:
    path = Path(entry.path)
    try:
        gid = grp.getgrnam(entry.group).gr_gid if entry.group else -1
    except KeyError:
        mistake = Mistake("server.socket.group", f"there is no group {entry.group!a} on this machine")
        raise InvalidConfiguration("configuration", (mistake,)) from None
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _alone_in(path.parent):
            _remove_stale(path)
            listening = _bound(entry, gid)
    except OSError as error:
        raise CannotListen(f"cannot listen on {path}: {error.strerror or error}") from error
    return Listener(listening, entry.path, uids, path.stat().st_ino)


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Keep other servers that start from taking each other's new sockets for stale ones."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _bound(entry: Socket, gid: int) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # nobody else until owner and mode are right
    try:
        listening.bind(entry.path)
    finally:
        os.umask(before)
    os.chown(entry.path, -1, gid)
    os.chmod(entry.path, int(entry.mode, 8))
    listening.listen(BACKLOG)
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
