"""Another Debian release in a directory, with its Dovecot, Postfix, saslauthd and Exim.

Made by debootstrap for `up --root`: Dovecot 2.4 on a machine that has 2.3, and the other
way round. Made once: asking again for one that is there costs nothing. No daemon is
started in it, nothing is mounted outside a namespace of its own, and it may be deleted
like any directory. Needs root, debootstrap and a Debian mirror.

Exim cannot be installed beside Postfix (both are Debian's mail-transport-agent), so
that only its program is taken out of its package, with the libraries it needs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from . import mounts
from .ground import SandboxError

SUITES = ("trixie", "bookworm")
MIRROR = "http://deb.debian.org/debian"
MARKER = ".mailauth-root"
LOG_TAIL_LINES = 25
PACKAGES = (
    "dovecot-core dovecot-imapd dovecot-pop3d dovecot-submissiond dovecot-lmtpd dovecot-managesieved dovecot-sieve "
    "dovecot-auth-lua lua-socket postfix sasl2-bin libsasl2-modules openssl"
)
# What mailauth imports, as Debian 13 has it: all of it is there, new enough.
PYTHON_PACKAGES = {
    "trixie": (
        "alembic python3-aiosmtplib python3-argon2 python3-babel python3-click python3-cryptography "
        "python3-email-validator python3-h11 python3-idna python3-jinja2 python3-pampy python3-precis-i18n "
        "python3-pydantic python3-pyotp python3-python-multipart python3-segno python3-sqlalchemy python3-starlette "
        "python3-tabulate python3-tomlkit python3-uvicorn python3-wtforms tzdata"
    )
}
# `Debian-exim` and the folders are what Debian's exim4-base would make; over the folders
# a sandbox mounts its own.
SCRIPT = f"""set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/mailauth
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
apt-get -q update
apt-get -q -y install --no-install-recommends {PACKAGES} $PYTHON_PACKAGES
mkdir /tmp/exim
cd /tmp/exim
apt-get -q -o APT::Sandbox::User=root download exim4-daemon-heavy
libraries=$(dpkg-deb -f exim4-daemon-heavy_*.deb Depends | tr ',' '\\n' |
  sed 's/[|(].*//; /exim4-base/d; /debconf/d')
apt-get -q -y install --no-install-recommends $libraries
dpkg-deb -x exim4-daemon-heavy_*.deb unpacked
mv unpacked/usr/sbin/exim4 /usr/sbin/exim4
cd /
rm -r /tmp/exim
groupadd --system Debian-exim
useradd --system --gid Debian-exim --home-dir /var/spool/exim4 --shell /usr/sbin/nologin Debian-exim
mkdir /etc/exim4 /var/spool/exim4 /var/log/exim4
apt-get clean
rm -rf /var/lib/apt/lists/*
"""


def make(directory: Path, suite: str, mirror: str) -> bool:
    """Make the system in `directory`; return False if it is there already."""
    if is_made(directory, suite):
        return False
    if shutil.which("debootstrap") is None:
        raise SandboxError("debootstrap is not installed: run `make dev`")
    mounts.check()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with taking_turns(directory):
        if is_made(directory, suite):
            return False
        discard(directory)
        unfinished = directory.with_name(directory.name + ".unfinished")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        log = directory.with_name(directory.name + ".log")
        with log.open("wb") as output:
            run(
                log,
                output,
                ["debootstrap", "--variant=minbase", "--include=ca-certificates", suite, str(unfinished), mirror],
            )
            run(log, output, ["chroot", str(unfinished), "sh", "-c", script(suite)])
        (unfinished / MARKER).write_text(recipe(suite))
        unfinished.rename(directory)
    return True


def script(suite: str) -> str:
    """What is done inside a new system."""
    return f"PYTHON_PACKAGES='{PYTHON_PACKAGES.get(suite, '')}'\n{SCRIPT}"


def recipe(suite: str) -> str:
    """What a system was made by; another recipe means making it again."""
    return f"{suite}\n{script(suite)}"


def is_made(directory: Path, suite: str) -> bool:
    marker = directory / MARKER
    return marker.exists() and marker.read_text() == recipe(suite)


def discard(directory: Path) -> None:
    """Remove a system that an older recipe made; nothing else."""
    if not directory.exists() or not any(directory.iterdir()):
        return
    if not (directory / MARKER).exists():
        raise SandboxError(f"{directory} holds something else: name another directory")
    shutil.rmtree(directory)


@contextlib.contextmanager
def taking_turns(directory: Path) -> Iterator[None]:
    """Two that want the same system: the second waits, and finds it made."""
    descriptor = os.open(directory.with_name(directory.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def run(log: Path, output: object, command: list[str]) -> None:
    """What debootstrap mounts (/proc) is gone with it, however it ends."""
    done = subprocess.run(
        ["unshare", "--mount", *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        check=False,  # type: ignore[call-overload]
    )
    if done.returncode != 0:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        raise SandboxError(f"{command[0]} failed; the whole log is {log}:\n{end}")
