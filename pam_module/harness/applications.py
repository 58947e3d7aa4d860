"""Other people's PAM applications, run on a private service directory: pamtester, python-pam, saslauthd.

Must not be used by anything but tests.  Privileges: root for python-pam, which takes a mount namespace.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pam_module.harness.pam_stack import PamStack

PYTHON_PAM = """
import pam, sys
module = pam.pam()
print(module.authenticate(sys.argv[1], sys.stdin.read(), service=sys.argv[2]), module.code)
"""


def wrapped(stack: PamStack) -> dict[str, str]:
    """The environment that makes any program use the private service directory."""
    return {
        **os.environ,
        "LD_PRELOAD": "libpam_wrapper.so",
        "PAM_WRAPPER": "1",
        "PAM_WRAPPER_SERVICE_DIR": str(stack.directory / "pam.d"),
    }


def pamtester(stack: PamStack, user: str, secret: str, service: str = "imap") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["pamtester", service, user, "authenticate", "acct_mgmt", "setcred"],
        input=secret + "\n",
        capture_output=True,
        text=True,
        check=False,
        env=wrapped(stack),
        timeout=30,
    )


def python_pam(stack: PamStack, user: str, secret: str, service: str = "imap") -> str:
    """What it returns, and its code.

    It opens libpam by itself, past libpam_wrapper: a mount namespace of its own hides /etc/pam.d.
    """
    inside = 'mount --bind "$0" /etc/pam.d && exec "$@"'
    services = str(stack.directory / "pam.d")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", inside, services, sys.executable, "-c", PYTHON_PAM, user, service],
        input=secret,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def saslauthd(stack: PamStack, directory: Path) -> Iterator[Path]:
    """Runs one; the path that `testsaslauthd -f` takes."""
    mux = directory / "mux"
    daemon = subprocess.Popen(
        ["saslauthd", "-d", "-a", "pam", "-n", "1", "-m", str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=wrapped(stack),
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    try:
        while not mux.exists():
            assert daemon.poll() is None, daemon.communicate()[0].decode(errors="replace")
            assert time.monotonic() < deadline, "saslauthd does not listen"
            time.sleep(0.01)
        yield mux
    finally:
        daemon.terminate()
        daemon.communicate(timeout=20)


def ask_saslauthd(mux: Path, user: str, secret: str, service: str = "imap") -> str:
    """What saslauthd answers, such as `0: OK "Success."`."""
    done = subprocess.run(
        ["testsaslauthd", "-u", user, "-p", secret, "-s", service, "-f", str(mux)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout.strip()
