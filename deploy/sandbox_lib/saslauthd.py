"""The sandbox's own saslauthd, run with the shipped options of ../postfix/saslauthd.

It stands between Postfix and PAM: the services are those of pam.install(). Writes
files; starts nothing.
"""

from __future__ import annotations

import shlex
import shutil

from . import mounts, pam
from .ground import REPOSITORY, Ground, SandboxError

SHIPPED = REPOSITORY / "deploy" / "postfix" / "saslauthd"
OPTIONS = "/etc/default/saslauthd"
FOLDER = "/var/spool/postfix/var/run/saslauthd"
SOCKET = f"{FOLDER}/mux"


def write(ground: Ground) -> None:
    """Write options, Cyrus SASL's configuration for smtpd, and the socket's folder, for Postfix alone."""
    if ground.system.find("saslauthd") is None:
        raise SandboxError("saslauthd is not installed (package sasl2-bin): run `make dev`")
    ground.transplant(SHIPPED / "saslauthd", OPTIONS)
    ground.transplant(SHIPPED / "smtpd.conf", "/etc/postfix/sasl/smtpd.conf")
    folder = ground.at(FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.chown(folder, "root", ground.system.user("postfix")[1])
    folder.chmod(0o710)


def command(ground: Ground) -> list[str]:
    """As Debian's unit starts it, but in the foreground (-d, which logs no secret)."""
    options = dict(shlex_pairs(ground.at(OPTIONS).read_text()))
    words = ["-d", "-a", options["MECHANISMS"], *shlex.split(options["MECH_OPTIONS"])]
    words += [*shlex.split(options["OPTIONS"]), "-n", options["THREADS"]]
    return mounts.behind(ground, (pam.SERVICES,), ground.system.argv("saslauthd", *words))


def shlex_pairs(text: str) -> list[tuple[str, str]]:
    """The NAME=VALUE lines of a shell fragment."""
    pairs = (word.partition("=") for word in shlex.split(text, comments=True))
    return [(name, value) for name, _, value in pairs]
