"""The sockets of logins: systemd's and, for the rest of the configured ones, our own; and who may connect to each."""

import logging
import os
import pwd
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailauth.edges import unix_sockets
from mailauth.edges.unix_sockets import BACKLOG, CannotListen
from mailauth.effects import systemd_units
from mailauth.effects.configuration.schema import SocketSection
from mailauth.effects.log_lines import FIELDS
from mailauth.vocabulary.errors import InvalidConfiguration, Mistake

__all__ = ["BACKLOG", "CannotListen", "Listener", "allowed_uids", "open_all"]

_log = logging.getLogger(__name__)


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
        if self.inode is not None:
            unix_sockets.remove(self.path, self.inode)


def open_all(configured: Sequence[SocketSection], others: str | None = None) -> list[Listener]:
    """Return systemd's sockets, and our own for those of the configuration that systemd did not hand over.

    Where systemd holds some, one that cannot be made is an error in the log: the logins of the others go on. Otherwise
    it raises CannotListen. Also raises InvalidConfiguration. What was made until then is removed again.
    `others`: the path of another part's socket, which systemd may hand over beside ours.
    """
    uids = {entry.path: allowed_uids(entry.allow_users) for entry in configured}
    handed_over = unix_sockets.handed_over(lambda path: others is None or not unix_sockets.is_same(path, others))
    listeners = [Listener(given, path, _uids_of(path, uids), None) for path, given in handed_over]
    try:
        for entry in configured:
            if any(unix_sockets.is_same(path, entry.path) for path, _ in handed_over):
                continue
            gid = unix_sockets.group_id(entry.group, "server.socket.group")
            try:
                listening, inode = unix_sockets.listen(entry.path, int(entry.mode, 8), gid)
            except CannotListen as error:
                if not handed_over:
                    raise
                mend = systemd_units.advice(entry.path, [each.path for each in configured])
                fields = {"socket": entry.path, "problem": str(error), "mend": mend}
                _log.error("systemd does not hand over a socket", extra={FIELDS: fields})
                continue
            listeners.append(Listener(listening, entry.path, uids[entry.path], inode))
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
        if unix_sockets.is_same(path, handed_over):
            return allowed
    problem = f"systemd hands over {handed_over}, which has no table here that says who may connect (allow_users)"
    raise InvalidConfiguration("configuration", (Mistake("server.socket", problem),))
