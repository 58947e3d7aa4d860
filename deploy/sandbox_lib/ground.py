"""Where a sandbox keeps its files, and the system whose servers it runs.

A sandbox has two places. DIR, which the caller names, holds what people read: the
state, logs, messages and wrapper scripts. The *ground* is a miniature file system
under which every path of an installation (/run/mailauth, /etc/dovecot, ...) is
found again. The ground is DIR itself, unless Dovecot's and Postfix's unprivileged
processes could not get there (a directory above it is closed to others) or a socket
path would be too long; then it is a new directory below /tmp.

Runs as root; touches nothing outside the two places.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# sun_path holds 108 bytes (unix(7)); the longest socket below the ground is
# `run/dovecot/` + a login service's name + a pid: 45 characters with room to spare.
MAX_GROUND_CHARACTERS = 60

SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postfix/sbin"


class SandboxError(Exception):
    """Something a person can put right; the text says what and how."""


@dataclass(frozen=True)
class System:
    """The Debian system that the servers come from: this one, or one below a root."""

    root: Path | None = None

    def outer(self, path: str | Path) -> Path:
        """A path of that system, as this process sees it."""
        return Path(path) if self.root is None else self.root / str(path).lstrip("/")

    def inner(self, path: Path) -> str:
        """A path of this process, as that system's programs see it."""
        return str(path) if self.root is None else "/" + str(path.relative_to(self.root))

    def argv(self, program: str, *arguments: str) -> list[str]:
        """The command that runs a program of that system."""
        found = self.find(program)
        if found is None:
            raise SandboxError(f"{program} is not installed: run `make dev`")
        command = [found, *arguments]
        return command if self.root is None else ["chroot", str(self.root), *command]

    def find(self, program: str) -> str | None:
        if self.root is None:
            return shutil.which(program, path=SEARCH_PATH)
        for folder in SEARCH_PATH.split(":"):
            if os.access(self.outer(f"{folder}/{program}"), os.X_OK):
                return f"{folder}/{program}"
        return None

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self.argv(program, *arguments)
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def output(self, program: str, *arguments: str) -> str:
        done = self.run(program, *arguments)
        if done.returncode != 0:
            raise SandboxError(f"{program} {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def user(self, name: str) -> tuple[int, int]:
        """The uid and gid of a user of that system."""
        for line in self.outer("/etc/passwd").read_text().splitlines():
            fields = line.split(":")
            if fields[0] == name:
                return int(fields[2]), int(fields[3])
        raise SandboxError(f"there is no user {name}: is its package installed? run `make dev`")


@dataclass(frozen=True)
class Ground:
    """The directories of one sandbox."""

    dir: Path
    base: Path
    system: System

    def at(self, path: str) -> Path:
        """Where the installation's `path` lies in this sandbox."""
        return self.base / path.lstrip("/")

    def inner(self, path: str) -> str:
        """The same, as the system's programs see it."""
        return self.system.inner(self.at(path))

    @property
    def state(self) -> Path:
        return self.dir / "sandbox.json"

    @property
    def logs(self) -> Path:
        return self.dir / "logs"

    @property
    def mail_out(self) -> Path:
        return self.dir / "mail_out"

    @property
    def control(self) -> Path:
        return self.base / "run" / "control.sock"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def transplant(self, shipped: Path, target: str) -> str:
        """Copy a shipped file to the installation's `target`; return its path for servers.

        The file stays as it stands, but for the absolute paths of an installation.
        """
        text = shipped.read_text()
        for path in INSTALLED_PATHS:
            text = text.replace(path, self.inner(path))
        place = self.at(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return self.system.inner(place)


INSTALLED_PATHS = ("/run/mailauth", "/usr/lib/mailauth", "/etc/dovecot", "/etc/postfix", "/var/spool/postfix")

# All that a sandbox puts into DIR or its ground, and so all that it clears away.
OWN_NAMES = (
    "etc",
    "ground",
    "logs",
    "mail_out",
    "run",
    "usr",
    "var",
    "doveadm",
    "mailauth",
    "root",
    "sandbox.json",
)
# What outlives a sandbox, for people to read.
LEFT_BEHIND = ("logs", "mail_out")
MARKER = ".mailauth-sandbox"


def prepare(directory: Path, system: System) -> Ground:
    """Make an empty sandbox directory, clearing what an earlier sandbox left there."""
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    if not is_sandbox(directory):
        foreign = [name for name in OWN_NAMES if (directory / name).exists()]
        if foreign:
            raise SandboxError(f"{directory} holds {', '.join(foreign)} and is no sandbox: name another directory")
    clear(directory)
    (directory / MARKER).write_text("A sandbox of mailauth (deploy/sandbox). `up` here clears its own files.\n")
    if system.root is None and fits(directory):
        base = directory
    else:
        system = by_a_short_name(system, directory)
        base = Path(tempfile.mkdtemp(prefix="mailauth-", dir=system.outer("/tmp")))
        base.chmod(0o755)
        (directory / "ground").symlink_to(base)
    ground = Ground(directory, base, system)
    for path in ("/run/mailauth", "/etc/dovecot", "/usr/lib/mailauth", "/var"):
        ground.at(path).mkdir(parents=True, exist_ok=True)
    ground.logs.mkdir()
    ground.mail_out.mkdir()
    return ground


def is_sandbox(directory: Path) -> bool:
    return (directory / MARKER).exists()


def by_a_short_name(system: System, directory: Path) -> System:
    """The same system below a symlink in /tmp, so that its sockets' names are not too long for us."""
    if system.root is None:
        return system
    holder = Path(tempfile.mkdtemp(prefix="mailauth-"))
    holder.chmod(0o755)
    (holder / "root").symlink_to(system.root)
    (directory / "root").symlink_to(holder)
    return System(holder / "root")


def fits(directory: Path) -> bool:
    """True if unprivileged servers can reach it and its sockets' names are not too long."""
    if len(str(directory)) > MAX_GROUND_CHARACTERS:
        return False
    return all(d.stat().st_mode & stat.S_IXOTH for d in (directory, *directory.parents))


def clear(directory: Path, keep: tuple[str, ...] = ()) -> None:
    """Remove a stopped sandbox's files, its ground below /tmp included."""
    for link in (directory / "ground", directory / "root"):
        if link.is_symlink():
            base = Path(os.readlink(link))
            if base.name.startswith("mailauth-"):
                shutil.rmtree(base, ignore_errors=True)
    for name in OWN_NAMES:
        path = directory / name
        if name in keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
