"""The sandbox's own Dovecot configuration, around the shipped passdb files.

Here is what a site has of its own: ports, mail location, userdb, certificate. How
logins are decided comes from ../dovecot-2.3 or ../dovecot-2.4, as it stands. Writes
files; starts nothing.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from . import userdb
from .ground import REPOSITORY, Ground, SandboxError, System
from .ports import HOST

DEPLOY = REPOSITORY / "deploy"
PORTS = ("imap", "pop3", "submission", "sieve", "lmtp")
TLS_PORTS = ("imaps", "pop3s", "submissions")
DOORS = {"2.3": ("checkpassword", "lua", "pam"), "2.4": ("lua", "pam")}


def version(system: System) -> str:
    """`2.3.19.1` or the like."""
    if system.find("dovecot") is None:
        raise SandboxError("Dovecot is not installed: run `make dev`")
    found = re.match(r"\d+(\.\d+)+", system.output("dovecot", "--version"))
    if found is None:
        raise SandboxError("`dovecot --version` shows no version")
    return found.group()


def series(full: str) -> str:
    short = ".".join(full.split(".")[:2])
    if short not in DOORS:
        raise SandboxError(f"Dovecot {full} is neither 2.3 nor 2.4")
    return short


def choose_door(wanted: str | None, full: str) -> str:
    doors = DOORS[series(full)]
    door = wanted or doors[0]
    if door == "checkpassword" and door not in doors:
        raise SandboxError(f"Dovecot {full} has no checkpassword passdb any more: use lua")
    if door not in doors:
        raise SandboxError(f"there is no door {door} for Dovecot {full}: {', '.join(doors)}")
    return door


def install_helper(ground: Ground, helper: Path) -> None:
    """Put the checkpassword helper where unprivileged processes can run it."""
    if not helper.exists():
        raise SandboxError(f"{helper} is missing: run `make build`")
    place = ground.at("/usr/lib/mailauth/mailauth-checkpassword")
    shutil.copy(helper, place)
    place.chmod(0o755)


def write(ground: Ground, full: str, door: str, ports: dict[str, int], postfix: str, users: str) -> Path:
    """Write the configuration; return its main file. With ports for TLS from the start, logins are never in clear."""
    tls = TLS_PORTS[0] in ports
    short = series(full)
    folder = DEPLOY / f"dovecot-{short}"
    ground.transplant(DEPLOY / "dovecot-2.3" / "mailauth.deny", "/etc/dovecot/mailauth.deny")
    if not ground.system.outer("/usr/lib/dovecot/lmtp").exists():
        raise SandboxError("dovecot-lmtpd is not installed: run `make dev`")
    if door != "checkpassword":  # with PAM it answers look-ups
        if not lua_is_installed(ground.system):
            raise SandboxError("dovecot-auth-lua or lua-socket is not installed: run `make dev`")
        ground.transplant(folder / "mailauth.lua", "/usr/lib/mailauth/mailauth.lua")
    name = f"mailauth-{door}.conf"
    includes = [ground.transplant(folder / name, f"/etc/dovecot/{name}")]
    if postfix == "dovecot":
        socket = DEPLOY / "postfix" / "dovecot" / "auth-socket.conf"
        includes.append(ground.transplant(socket, "/etc/dovecot/mailauth-postfix.conf"))
    base = BASE_2_4 if short == "2.4" else BASE_2_3
    uid, gid = ground.system.user("mail")
    run = ground.at("/run/dovecot")
    run.mkdir(mode=0o755, exist_ok=True)
    mail = ground.at("/var/mail")
    mail.mkdir(exist_ok=True)
    mail.chmod(0o2770)
    shutil.chown(mail, uid, gid)
    values = {
        "version": full,
        "base_dir": ground.inner("/run/dovecot"),
        "state_dir": ground.inner("/run/dovecot"),
        "log": ground.system.inner(ground.log("dovecot"))
        if ground.system.root is None
        else ground.inner("/var/dovecot.log"),
        "host": HOST,
        "mail": ground.inner("/var/mail"),
        "certificate": ground.inner("/etc/dovecot/tls.pem"),
        "key": ground.inner("/etc/dovecot/tls.key"),
        "uid": uid,
        "userdb": userdb.write(ground, users, short, uid, gid),
        "ssl": "required" if tls else "yes",
        "may_be_clear": "no" if tls else "yes",
        "never_clear": "yes" if tls else "no",
        **{f"{name}_port": ports[name] for name in (*PORTS, "sink")},
        **{f"{name}_port": ports.get(name, 0) for name in TLS_PORTS},
    }
    text = base.format(**values) + "".join(f"!include {path}\n" for path in includes)
    main = ground.at("/etc/dovecot/dovecot.conf")
    main.write_text(text)
    return main


def lua_is_installed(system: System) -> bool:
    modules = system.outer("/usr/lib/dovecot/modules/auth/libauthdb_lua.so")
    sockets = list(system.outer("/usr/share/lua/5.4").glob("socket.lua"))
    return modules.exists() and bool(sockets)


def log_path(ground: Ground) -> Path:
    """Where Dovecot's log lies: below a root it cannot be in DIR."""
    return ground.log("dovecot") if ground.system.root is None else ground.at("/var/dovecot.log")


SERVICES = """
service imap-login {{
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3_port}
  }}
  inet_listener pop3s {{
    port = {pop3s_port}
    ssl = yes
  }}
}}
service submission-login {{
  inet_listener submission {{
    port = {submission_port}
  }}
  inet_listener submissions {{
    port = {submissions_port}
    ssl = yes
  }}
}}
service managesieve-login {{
  inet_listener sieve {{
    port = {sieve_port}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
}}
# Accounts may have a + in their name here.
recipient_delimiter =
service auth {{
  # For `doveadm auth test -a`, as any user of this machine.
  unix_listener auth-sandbox {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
submission_relay_host = {host}
submission_relay_port = {sink_port}
hostname = sandbox.test
auth_verbose = yes
base_dir = {base_dir}
state_dir = {state_dir}
log_path = {log}
listen = {host}
first_valid_uid = {uid}
"""

BASE_2_3 = (
    """# A sandbox of mailauth: Dovecot 2.3.
instance_name = mailauth-sandbox
protocols = imap pop3 submission sieve lmtp
ssl = {ssl}
ssl_cert = <{certificate}
ssl_key = <{key}
# Without --tls clients come in clear over loopback, from other addresses of it too.
disable_plaintext_auth = {never_clear}
mail_location = maildir:{mail}/%d/%n/Maildir
mail_max_userip_connections = 0
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
}}
{userdb}"""
    + SERVICES
)

BASE_2_4 = (
    """# A sandbox of mailauth: Dovecot 2.4.
dovecot_config_version = {version}
dovecot_storage_version = {version}
instance_name = mailauth-sandbox
protocols {{
  imap = yes
  pop3 = yes
  submission = yes
  sieve = yes
  lmtp = yes
}}
ssl = {ssl}
ssl_server_cert_file = {certificate}
ssl_server_key_file = {key}
# Without --tls clients come in clear over loopback, from other addresses of it too.
auth_allow_cleartext = {may_be_clear}
mail_driver = maildir
mail_path = {mail}/%{{user | domain}}/%{{user | username}}/Maildir
mail_max_userip_connections = 0
sieve_script personal {{
  path = ~/sieve
  active_path = ~/.dovecot.sieve
}}
# As Debian 13 has it in conf.d/20-lmtp.conf.
protocol lmtp {{
  auth_username_format = %{{user | username | lower}}
}}
{userdb}"""
    + SERVICES
)
