"""Which systemd unit holds a socket, for what an administrator is told. Reads unit files; asks systemd nothing."""

from collections.abc import Iterable
from pathlib import Path

UNIT_DIRECTORIES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)
"""The directories that administrators and packages use (systemd.unit(5))."""
SERVICE = "mailauth-auth.service"


def socket_unit(path: str) -> str | None:
    """Return the name of the installed .socket unit that listens on a path, or None."""
    for directory in UNIT_DIRECTORIES:
        for unit in sorted(Path(directory).glob("*.socket")):
            try:
                lines = unit.read_text("utf-8", "replace").splitlines()
            except OSError:
                continue  # a link to a file that is gone
            if f"ListenStream={path}" in lines:
                return unit.name
    return None


def advice(path: str, configured: Iterable[str]) -> str:
    """Return what to do where systemd holds other sockets of ours, but not the one of a path.

    All are stopped first: systemd does not open a socket while its service runs, and a login on another one starts it.
    So all that are configured are started again.
    """
    if socket_unit(path) is None:
        return f"make a .socket unit for it, as deploy/systemd/mailauth-auth-postfix.socket is, for {SERVICE}"
    units = filter(None, map(socket_unit, configured))
    return f"systemctl stop 'mailauth-auth*.socket' {SERVICE}; systemctl enable --now {' '.join(units)}"
