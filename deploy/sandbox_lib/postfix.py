"""The sandbox's own Postfix configuration, around the shipped SASL snippets.

Here is what a site has of its own: queue, log, where mail goes. How logins are
decided comes from ../postfix/, as it stands, but for paths and the two service names
(`submission`, `submissions`), which become high ports. Starts no server.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from . import saslauthd
from .ground import REPOSITORY, Ground, SandboxError, System
from .ports import HOST

PORTS = ("postfix_submission", "postfix_submissions", "postfix_smtp")
MODES = ("direct", "dovecot", "saslauthd")


def version(system: System) -> str:
    if system.find("postfix") is None:
        raise SandboxError("Postfix is not installed: run `make dev`")
    return system.output("postconf", "-d", "-h", "mail_version").strip()


def write(ground: Ground, mode: str, ports: dict[str, int], *, tls: bool) -> Path:
    """Write main.cf and master.cf and the queue's top; return the configuration folder."""
    shipped = REPOSITORY / "deploy" / "postfix" / mode
    folder = ground.at("/etc/postfix")
    folder.mkdir(exist_ok=True)
    queue = ground.at("/var/spool/postfix")
    queue.mkdir(parents=True, exist_ok=True)
    # Dovecot may make its socket here before Postfix's own set-up makes the folder.
    private = queue / "private"
    private.mkdir(mode=0o700, exist_ok=True)
    shutil.chown(private, *ground.system.user("postfix"))
    if mode == "saslauthd":
        saslauthd.write(ground)
    data = ground.at("/var/lib/postfix")
    data.mkdir(parents=True, exist_ok=True)
    shutil.chown(data, *ground.system.user("postfix"))
    values = {
        "queue": ground.inner("/var/spool/postfix"),
        "data": ground.inner("/var/lib/postfix"),
        "log": ground.system.inner(log_path(ground)),
        "log_folder": ground.system.inner(log_path(ground).parent),
        "host": HOST,
        "sink_port": ports["sink"],
        "certificate": ground.inner("/etc/dovecot/tls.pem"),
        "key": ground.inner("/etc/dovecot/tls.key"),
    }
    ground.transplant(shipped / "main.cf", "/etc/postfix/main.cf")
    main = folder / "main.cf"
    main.write_text(MAIN.format(**values) + main.read_text())
    ground.transplant(shipped / "master.cf", "/etc/postfix/master.cf")
    master = folder / "master.cf"
    text = master.read_text()
    for service in ("submissions", "submission"):
        port = ports[f"postfix_{service}"]
        text = re.sub(rf"^{service}(?= )", f"{HOST}:{port}", text, flags=re.MULTILINE)
    if not tls:
        text = text.replace(TLS_ALONE, TLS_OFFERED)
    master.write_text(MASTER.format(host=HOST, smtp_port=ports["postfix_smtp"]) + text)
    return folder


def prepare_queue(ground: Ground) -> None:
    """Let Postfix make its queue directories and judge the configuration."""
    ground.system.output("postfix", "-c", ground.inner("/etc/postfix"), "check")


def command(ground: Ground) -> list[str]:
    """Its master in the foreground. `postfix start-fg` would put it into another session."""
    return ground.system.argv("master", "-c", ground.inner("/etc/postfix"), "-s")


def log_path(ground: Ground) -> Path:
    """Where Postfix's log lies: below a root it cannot be in DIR."""
    return ground.log("postfix") if ground.system.root is None else ground.at("/var/postfix.log")


# Without --tls clients come in clear over loopback.
TLS_ALONE = "-o smtpd_tls_security_level=encrypt"
TLS_OFFERED = "-o smtpd_tls_security_level=may"

MAIN = """# A sandbox of mailauth: Postfix.
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
maillog_file = {log}
maillog_file_prefixes = {log_folder}
inet_interfaces = {host}
inet_protocols = ipv4
myhostname = sandbox.test
mydestination =
mynetworks =
local_recipient_maps =
alias_maps =
alias_database =
smtputf8_enable = no
# Everything leaves to the sink, at once, and is asked of no name server.
relayhost = [{host}]:{sink_port}
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_tls_chain_files = {key}, {certificate}
minimal_backoff_time = 2s
queue_run_delay = 2s
# Tests come in hundreds, from few addresses.
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0

# ---- from here on as shipped ----
"""

# The first service is for programs of this machine, mailauth's worker above all: no login.
MASTER = """# A sandbox of mailauth: Postfix. Chrooted where Debian chroots.
{host}:{smtp_port} inet n  -    y       -       -       smtpd
  -o syslog_name=postfix/smtp
  -o smtpd_sasl_auth_enable=no
  -o mynetworks=127.0.0.0/8
  -o smtpd_relay_restrictions=permit_mynetworks,reject
cleanup   unix  n       -       y       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       y       1000?   1       tlsmgr
rewrite   unix  -       -       y       -       -       trivial-rewrite
bounce    unix  -       -       y       -       0       bounce
defer     unix  -       -       y       -       0       bounce
trace     unix  -       -       y       -       0       bounce
verify    unix  -       -       y       -       1       verify
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       y       -       -       smtp
relay     unix  -       -       y       -       -       smtp
showq     unix  n       -       y       -       -       showq
error     unix  -       -       y       -       -       error
retry     unix  -       -       y       -       -       error
anvil     unix  -       -       y       -       1       anvil
scache    unix  -       -       y       -       1       scache
pickup    unix  n       -       y       60      1       pickup
postlog   unix-dgram n  -       n       -       1       postlogd

# ---- from here on as shipped ----
"""
