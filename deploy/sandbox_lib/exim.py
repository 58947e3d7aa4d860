"""The sandbox's own Exim, around the shipped authenticators of ../exim.

Here is what a site has of its own: port, spool, where mail goes. Exim insists on the
places that it was built with, so it runs behind mounts.behind(..., PLACES), which have
to exist: on a machine or root with Exim. Writes files; starts nothing.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from . import mounts
from .ground import REPOSITORY, Ground, SandboxError, System
from .ports import HOST

PORT = "exim"
USER = "Debian-exim"
SOCKET = "/run/mailauth/exim.sock"
CONFIGURATION = "/etc/exim4"
SPOOL = "/var/spool/exim4"
LOGS = "/var/log/exim4"
PLACES = (CONFIGURATION, SPOOL, LOGS)


def version(system: System) -> str:
    """`4.98.2` or the like."""
    if system.find("exim4") is None:
        raise SandboxError("Exim is not installed here: take it from a root (`deploy/sandbox root DIR`, `--root DIR`)")
    # -bV reads the configuration, of which there is none yet.
    done = system.run("exim4", "-bV")
    if "dovecot" not in done.stdout:
        raise SandboxError("this Exim has no `dovecot` driver (exim4-daemon-heavy has)")
    return done.stdout.split()[2]


def write(ground: Ground, ports: dict[str, int], *, tls: bool) -> None:
    """Write the configuration, and make spool and log folders, which are Exim's."""
    uid, gid = ground.system.user(USER)
    for path in PLACES:
        ground.at(path).mkdir(parents=True, exist_ok=True)
    for path in (SPOOL, LOGS):
        shutil.chown(ground.at(path), uid, gid)
    # Exim gives up root before it reads its key.
    for name in ("tls.pem", "tls.key"):
        copy = Path(shutil.copy(ground.at(f"/etc/dovecot/{name}"), ground.at(CONFIGURATION)))
        shutil.chown(copy, 0, gid)
        copy.chmod(0o640)
    ground.transplant(REPOSITORY / "deploy" / "exim" / "mailauth.auth", f"{CONFIGURATION}/exim4.conf")
    main = ground.at(f"{CONFIGURATION}/exim4.conf")
    values = {
        "host": HOST,
        "port": ports[PORT],
        "sink_port": ports["sink"],
        "spool": SPOOL,
        "configuration": CONFIGURATION,
        "in_clear": "" if tls else IN_CLEAR,
    }
    main.write_text(MAIN.format(**values) + main.read_text())


def command(ground: Ground) -> list[str]:
    """Its daemon in the foreground."""
    return mounts.behind(ground, PLACES, ground.system.argv("exim4", "-bdf", "-q1m"))


def log_path(ground: Ground) -> Path:
    return ground.at(f"{LOGS}/mainlog")


# Without --tls clients come in clear over loopback.
IN_CLEAR = "AUTH_SERVER_ALLOW_NOTLS_PASSWORDS = yes"

MAIN = """# A sandbox of mailauth: Exim.
primary_hostname = sandbox.test
local_interfaces = {host}
daemon_smtp_ports = {port}
disable_ipv6 = true
pid_file_path = {spool}/exim.pid
keep_environment =
tls_advertise_hosts = *
tls_certificate = {configuration}/tls.pem
tls_privatekey = {configuration}/tls.key
# Tests come in hundreds, from few addresses.
smtp_accept_max = 200
smtp_accept_queue = 0
rfc1413_query_timeout = 0s
acl_smtp_rcpt = acl_rcpt
{in_clear}

begin acl

acl_rcpt:
  accept
    authenticated = *
    control = submission/sender_retain
  deny
    message = relay not permitted

begin routers

# Everything leaves to the sink, at once, and is asked of no name server.
sink:
  driver = manualroute
  route_list = * {host}
  self = send
  transport = sink

begin transports

sink:
  driver = smtp
  port = {sink_port}
  allow_localhost
  hosts_avoid_tls = *

begin retry

* * F,1h,1m

begin authenticators

# ---- from here on as shipped ----
"""
