"""A Dovecot 2.3 of a test's own that asks a scripted server as it would ask mailauth, by passdbs of its choice.

Holds no tests. Starting it takes root; `WHY_NOT` says why it cannot be had here.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pam_module.harness.fake_server import Answer, FakeServer
from pam_module.harness.helper import build
from tests.integration.serving import until

DENY = """
passdb {{
  driver = passwd-file
  args = {dir}/deny
}}
"""
CONFIGURATION = """
base_dir = {dir}/run
state_dir = {dir}/state
instance_name = {name}
log_path = {dir}/dovecot.log
protocols = imap pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_cache_size = 0
auth_debug = yes
first_valid_uid = 1
mail_location = maildir:{dir}/mail/%u
{passdbs}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={dir}/mail/%u allow_all_users=yes
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener auth-client {{
    mode = 0666
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Dovecot:
    dir: Path
    imap_port: int
    pop3_port: int

    def say(self, port: int, *lines: str) -> str:
        """Sends each line after the reply to the one before; the last reply line."""
        with socket.create_connection(("127.0.0.1", port), timeout=15) as client:
            stream = client.makefile("rwb")
            with stream:
                reply = stream.readline()
                for line in lines:
                    stream.write(line.encode() + b"\r\n")
                    stream.flush()
                    reply = stream.readline()
                    while reply.startswith(b"* "):
                        reply = stream.readline()
                return reply.decode().rstrip("\r\n")

    def imap(self, user: str = "anna", secret: str = "secret123456") -> str:
        return self.say(self.imap_port, f'a LOGIN "{user}" "{secret}"')

    def pop3(self, user: str = "anna", secret: str = "secret123456") -> str:
        return self.say(self.pop3_port, f"USER {user}", f"PASS {secret}")

    def log(self) -> str:
        return (self.dir / "dovecot.log").read_text()

    def wait_for_line_with(self, text: str) -> None:
        """Dovecot's processes log by a process of their own: a line may come after the reply it is about."""
        until(lambda: text in self.log(), f"a line with {text!r} in Dovecot's log")


def wait_until_accepting(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            ended = server.poll() is not None
            if ended or time.monotonic() > deadline:
                pytest.fail("\n".join(path.read_text() for path in log.parent.glob("*.log")))
            time.sleep(0.02)  # between two looks at the port
        else:
            return


@contextmanager
def running(passdbs: str, more_files: Callable[[Path], None] = lambda _: None) -> Iterator[Dovecot]:
    # Short: a socket's path has 108 bytes. Readable by Dovecot's own user.
    directory = Path(tempfile.mkdtemp(prefix="mac-"))
    directory.chmod(0o755)
    built = build()
    for name in ("mailauth-checkpassword", "pam_mailauth.so"):
        shutil.copy2(built / name, directory / name)
    services = directory / "pam.d"
    services.mkdir()
    for name in ("imap", "pop3"):
        module = f"{directory}/pam_mailauth.so socket={directory}/auth.sock timeout=3"
        (services / name).write_text(f"auth required {module} set_user\naccount required {module}\n")
    second = f"auth required {directory}/pam_mailauth.so socket={directory}/auth.sock second_factor_only forward_pass"
    for name, behind in (("smtp", "pam_deny.so"), ("sieve", "pam_permit.so")):
        (services / name).write_text(f"{second}\nauth required {behind}\naccount required pam_permit.so\n")
    (directory / "deny").write_text("")
    more_files(directory)
    (directory / "mail").mkdir(mode=0o777)
    (directory / "mail").chmod(0o777)
    imap, pop3 = free_port(), free_port()
    configuration = directory / "dovecot.conf"
    configuration.write_text(
        CONFIGURATION.format(
            dir=directory,
            name=directory.name,
            imap=imap,
            pop3=pop3,
            passdbs=passdbs.format(dir=directory),
        )
    )
    with open(directory / "start.log", "wb") as start_log:
        server = subprocess.Popen(  # Dovecot's PAM finds its services in a mount namespace: /etc/pam.d stays as it is.
            [
                "unshare",
                "-m",
                "sh",
                "-c",
                'mount --bind "$0" /etc/pam.d && exec dovecot -F -c "$1"',
                services,
                configuration,
            ],
            stdout=start_log,
            stderr=start_log,
        )
    try:
        wait_until_accepting(imap, server, directory / "dovecot.log")
        yield Dovecot(directory, imap, pop3)
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(directory, ignore_errors=True)


def unsupported() -> str | None:
    if shutil.which("dovecot") is None:
        return "Dovecot is not installed"
    version = subprocess.run(["dovecot", "--version"], capture_output=True, text=True, check=True)
    if not version.stdout.startswith("2.3."):
        return "Dovecot 2.4 and later have no checkpassword passdb"
    if getpass.getuser() != "root" or os.geteuid() != 0:
        return "starting Dovecot takes root"
    return None


WHY_NOT = unsupported()


@contextmanager
def answering(dovecot: Dovecot, answer: Answer) -> Iterator[FakeServer]:
    with FakeServer(dovecot.dir / "auth.sock", answer) as server:
        yield server
