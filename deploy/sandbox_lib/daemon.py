"""mailauth itself in a sandbox: set up by its own commands, as a sysadmin would.

Runs the mailauth command line; never writes its files by hand.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from . import exim, nginx, ports
from .ground import REPOSITORY, Ground, SandboxError

CONFIG = "/etc/mailauth/mailauth.toml"
DOVECOT_SOCKET = "/run/mailauth/auth.sock"
POSTFIX_SOCKET = "/var/spool/postfix/mailauth/auth.sock"
PORTAL_PORT = "portal"
COMMAND_TIMEOUT_S = 120.0


def find(named: Path | None) -> Path:
    program = named or REPOSITORY / ".venv" / "bin" / "mailauth"
    if not os.access(program, os.X_OK):
        raise SandboxError(f"{program} is missing: run `make dev`")
    return program


def settings(ground: Ground, wanted: list[str], with_exim: bool, chosen: dict[str, int]) -> list[str]:
    """The KEY=VALUEs for `mailauth init`: the sandbox's own, then those of the caller."""
    sockets = ", ".join(
        socket(ground, path, user, more)
        for path, user, more in (
            (DOVECOT_SOCKET, "dovecot", ", lookups = true, fields = true"),
            (POSTFIX_SOCKET, "postfix", ""),
            *(((exim.SOCKET, exim.USER, ""),) if with_exim else ()),
        )
    )
    own = {
        "provider.name": "Mail-IT-Wize",
        "provider.support": "support@mailitwize.be",
        "provider.url": "https://www.mailitwize.be/2fa",
        "mail.sender": "support@mailitwize.be",
        "accounts.default_domain": "mailitwize.be",
        "cutover.date": "2025-05-05T00:00 Europe/Brussels",
        "database.url": f"sqlite:///{ground.at('/var/lib/mailauth/mailauth.db')}",
        "keys.file": str(ground.at("/etc/mailauth/mailauth.key")),
        "server.socket": f"[{sockets}]",
    }
    return without_named(own, wanted) + on_ports(ground, wanted, chosen) + wanted


def on_ports(ground: Ground, wanted: list[str], chosen: dict[str, int]) -> list[str]:
    """The KEY=VALUEs that change with the sandbox's ports: where the portal is, and who takes mails."""
    by_port = chosen.get(PORTAL_PORT)
    own = {
        "portal.url": portal_url(chosen, portal_name(wanted)),
        "portal.listen": f"unix:{ground.at(nginx.PORTAL_SOCKET)}" if by_port is None else f"{ports.HOST}:{by_port}",
        "mail.host": ports.HOST,
        "mail.port": str(chosen["postfix_smtp"]),
    }
    return without_named(own, wanted)


def portal_url(chosen: dict[str, int], name: str) -> str:
    """Where a browser finds the portal: nginx with TLS, or the portal itself."""
    by_port = chosen.get(PORTAL_PORT)
    return f"https://{name}:{chosen['portal_https']}" if by_port is None else f"http://{ports.HOST}:{by_port}"


def portal_name(wanted: list[str]) -> str:
    """The name in the portal.url that the caller wants, if any."""
    urls = [word.removeprefix("portal.url=") for word in wanted if word.startswith("portal.url=")]
    return (urlsplit(urls[-1]).hostname if urls else None) or "localhost"


def without_named(own: dict[str, str], wanted: list[str]) -> list[str]:
    """As KEY=VALUEs, what the caller wants nothing else for."""
    named = {word.partition("=")[0] for word in wanted}
    return [f"{key}={value}" for key, value in own.items() if key not in named]


def socket(ground: Ground, path: str, user: str, more: str) -> str:
    """A `[[server.socket]]` for one server. The users of a system below a root are none of this machine."""
    if ground.system.root is not None:
        return f'{{path = "{ground.at(path)}", mode = "0666"{more}}}'
    allowed = f'mode = "0660", group = "{user}", allow_users = ["root", "{user}"]'
    return f'{{path = "{ground.at(path)}", {allowed}{more}}}'


def initialise(ground: Ground, program: Path, wanted: list[str], with_exim: bool, chosen: dict[str, int]) -> None:
    """`mailauth init`, or only other ports where that was done already."""
    if ground.at(CONFIG).exists():
        configure(ground, program, on_ports(ground, wanted, chosen))
        return
    for path in (CONFIG, "/var/lib/mailauth/mailauth.db"):
        ground.at(path).parent.mkdir(parents=True, exist_ok=True)
    ground.at(POSTFIX_SOCKET).parent.mkdir(parents=True, exist_ok=True)
    words = [word for setting in settings(ground, wanted, with_exim, chosen) for word in ("--set", setting)]
    call(ground, program, "init", *words)


def configure(ground: Ground, program: Path, wanted: list[str]) -> None:
    call(ground, program, "config", "set", *wanted)


def call(ground: Ground, program: Path, *words: str) -> None:
    command = [str(program), "--config", str(ground.at(CONFIG)), *words]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    with ground.log("setup").open("a") as log:
        log.write(f"$ mailauth {' '.join(words)}\n{done.stdout}{done.stderr}")
    if done.returncode != 0:
        raise SandboxError(f"`mailauth {words[0]}` failed:\n{done.stdout}{done.stderr}".rstrip())


def write_wrapper(ground: Ground, name: str, command: list[str]) -> Path:
    """A script DIR/NAME that runs a command as root with what it is given."""
    place = ground.dir / name
    words = " ".join("'" + word.replace("'", "'\\''") + "'" for word in command)
    place.write_text(
        "#!/bin/sh\n"
        "# Made by deploy/sandbox: this sandbox's own files, as root.\n"
        '[ "$(id -u)" = 0 ] || exec sudo "$0" "$@"\n'
        f'exec {words} "$@"\n'
    )
    place.chmod(0o755)
    return place
