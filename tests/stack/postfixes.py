"""A Postfix of a test's own, with many SMTP services, each with restrictions that sites have.

One instance, since starting one takes a second: each restriction is a service in master.cf with options of its own,
on a port of its own. What is accepted is discarded. Needs root, and changes nothing outside its folder.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.sandbox_lib import ports

HOST = "127.0.0.1"
DEADLINE_S = 60.0

MAIN = """compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = relay.test
mydestination = mailitwize.be
local_recipient_maps = inline:{{known@mailitwize.be=x}}
local_transport = discard:
default_transport = discard:
relay_transport = discard:
alias_maps =
alias_database =
mynetworks =
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
disable_dns_lookups = yes
smtputf8_enable = no
"""
MASTER = """cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
anvil     unix  -       -       n       -       1       anvil
postlog   unix-dgram n  -       n       -       1       postlogd
"""


@contextmanager
def postfix(services: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[Path, dict[str, int]]]:
    """Run one with a service for each set of options; give its folder and their ports.

    `{folder}` in an option is that folder. It is not a test's own, which other users cannot reach.
    """
    with tempfile.TemporaryDirectory() as name, _running(Path(name), services) as numbers:
        yield Path(name), numbers


@contextmanager
def _running(folder: Path, services: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, int]]:
    numbers = ports.choose(tuple(services))
    for name in ("queue", "data"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix", "postfix")
    folder.chmod(0o755)
    (folder / "main.cf").write_text(MAIN.format(folder=folder))
    lines = []
    for name, options in services.items():
        lines.append(f"{HOST}:{numbers[name]} inet n - n - - smtpd")
        values = {"syslog_name": f"postfix/{name}", **options}
        lines += [f"  -o {{ {option} = {value.format(folder=folder)} }}" for option, value in values.items()]
    (folder / "master.cf").write_text(MASTER + "\n".join(lines) + "\n")
    subprocess.run(["/usr/sbin/postfix", "-c", str(folder), "check"], check=True, capture_output=True)
    master = subprocess.Popen(["/usr/lib/postfix/sbin/master", "-c", str(folder), "-s"], start_new_session=True)
    try:
        for number in numbers.values():
            _wait_for(number, folder / "log")
        yield numbers
    finally:
        master.terminate()
        master.wait(DEADLINE_S)


def _wait_for(port: int, log: Path) -> None:
    """Wait until somebody listens, without a connection: an smtpd that has nothing to ask yet would be throttled."""
    deadline = time.monotonic() + DEADLINE_S
    while ports.is_free(port):
        assert time.monotonic() < deadline, log.read_text() if log.exists() else "no log"
        time.sleep(0.05)
