"""What the configuration names outside itself: files, users, groups, sockets, as they are now. For `config check`."""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from mailauth.effects import keyring, logo, smtp, systemd_units
from mailauth.effects.configuration import pam_service
from mailauth.effects.configuration.places import key_file
from mailauth.effects.configuration.schema import Configuration, SocketSection
from mailauth.vocabulary.errors import InvalidConfiguration, KeyUnusable, Mistake

DOVECOT = "dovecot"
"""The user and group that Dovecot's packages make."""


def mistakes(configuration: Configuration) -> tuple[Mistake, ...]:
    """Return what is missing or of no use: key, logo, password file, users and groups of sockets, PAM's service."""
    return (*_mistakes(configuration), *pam_service.mistakes(configuration))


def warnings(configuration: Configuration) -> tuple[Mistake, ...]:
    """Return what is there and probably does not serve: sockets, PAM's service."""
    return (
        *_missing_sockets(configuration),
        *_unknown_group_of_portal(configuration),
        *_without_lookups(configuration),
        *pam_service.warnings(configuration),
    )


def _missing_sockets(configuration: Configuration) -> tuple[Mistake, ...]:
    """Return each socket that does not exist although others of the configuration do: nobody will answer there."""
    sockets = configuration.server.socket
    missing = [(number, socket) for number, socket in enumerate(sockets, start=1) if not _is_there(socket)]
    if len(missing) == len(sockets):  # nothing runs yet
        return ()
    problem = "does not exist, while other sockets do: if systemd holds them, {}"
    paths = [socket.path for socket in sockets]
    return tuple(
        Mistake(
            f"server.socket[{number}].path",
            f"{socket.path} {problem.format(systemd_units.advice(socket.path, paths))}",
        )
        for number, socket in missing
    )


def _without_lookups(configuration: Configuration) -> Iterator[Mistake]:
    """Yield the sockets that are Dovecot's, to all appearance, and do not tell it who exists."""
    sockets = enumerate(configuration.server.socket, start=1)
    for number, socket in sockets:
        if DOVECOT in (socket.group, *socket.allow_users) and not socket.lookups:
            problem = "Dovecot is not told here who exists: mail (LMTP) waits, unless its userdb knows; set it to true"
            yield Mistake(f"server.socket[{number}].lookups", problem)


def _is_there(socket: SocketSection) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(socket.path).st_mode)
    except PermissionError:
        return True  # in a directory that is closed to us
    except OSError:
        return False


def _mistakes(configuration: Configuration) -> Iterator[Mistake]:
    path = key_file(configuration)
    if path.is_absolute():  # else it is there only where systemd starts the server
        try:
            keyring.read(path)
        except KeyUnusable as error:
            yield Mistake("keys.file", str(error))
    try:
        logo.read(configuration.portal.logo)
    except InvalidConfiguration as error:
        yield from error.mistakes
    if configuration.mail.password_file:
        try:
            smtp.read_password(Path(configuration.mail.password_file))
        except smtp.PasswordFileUnusable as error:
            yield Mistake("mail.password_file", str(error))
    for number, socket in enumerate(configuration.server.socket, start=1):
        yield from _unknown_names(socket, f"server.socket[{number}]")

    yield from _named_twice(configuration)


def _named_twice(configuration: Configuration) -> Iterator[Mistake]:
    """Yield the sockets that have another one's path: the second to be made finds a server listening there."""
    places = [(f"server.socket[{n}].path", each.path) for n, each in enumerate(configuration.server.socket, start=1)]
    if configuration.portal.socket_path is not None:
        places.append(("portal.listen", configuration.portal.socket_path))
    first: dict[str, str] = {}
    for place, path in places:
        other = first.setdefault(os.path.realpath(path), place)
        if other != place:
            yield Mistake(place, f"{path} is the path of {other}, too; each socket needs one of its own")


def _unknown_group_of_portal(configuration: Configuration) -> Iterator[Mistake]:
    """Yield the portal's group where there is none: a mistake, were it not that systemd may hold the socket."""
    group = configuration.portal.socket_group
    try:
        grp.getgrnam(group or "root")
    except KeyError:
        if configuration.portal.socket_path is not None:
            problem = f"there is no group {group!a} here; the portal starts with a socket of systemd's alone"
            yield Mistake("portal.socket_group", problem)


def _unknown_names(socket: SocketSection, place: str) -> Iterator[Mistake]:
    """Yield what the server would refuse to start with."""
    for user in socket.allow_users:
        try:
            pwd.getpwnam(user)
        except KeyError:
            yield Mistake(f"{place}.allow_users", f"there is no user {user!a} on this machine")
    try:
        grp.getgrnam(socket.group or "root")
    except KeyError:
        yield Mistake(f"{place}.group", f"there is no group {socket.group!a} on this machine")
