"""Debian 13's own packages are enough to run mailauth: nothing from elsewhere has to be installed there."""

import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ROOT = REPOSITORY / "build" / "roots" / "trixie"

# By the letters of this program: all modules, then an installation of their own, and a login over its socket.
PROGRAM = """
import asyncio, importlib, pkgutil, sys, tempfile, warnings
from pathlib import Path

warnings.simplefilter("error")
import mailauth

names = [one.name for one in pkgutil.walk_packages(mailauth.__path__, "mailauth.")]
names = [name for name in names if not name.endswith("__main__") and ".migrations" not in name]
assert len(names) > 150, names
for name in names:
    importlib.import_module(name)
assert not any("/site-packages/" in path for path in sys.path), sys.path

from click.testing import CliRunner
from mailauth.core import otp
from mailauth.edges.cli.main import cli
from mailauth.effects.configuration import loading
from mailauth.usecases.enrolment import Confirmed
from mailauth.vocabulary.model import Attempt, Granted
from mailauth.vocabulary.secret import Secret
from mailauth import wiring
from mailauth.edges.portal import app
from mailauth.wiring import mailing
import base64

directory = tempfile.mkdtemp()
settings = ["cutover.date=2025-05-05T00:00 Europe/Brussels", "provider.name=Mail-IT-Wize",
            "provider.support=support@mailitwize.be", "provider.url=https://www.mailitwize.be/2fa",
            "mail.sender=support@mailitwize.be"]
done = CliRunner().invoke(cli, ["--config", directory + "/mailauth.toml", "init", "--dir", directory,
                                *(word for one in settings for word in ("--set", one))])
assert done.exit_code == 0, done.output
ours = wiring.build(loading.load(Path(directory, "mailauth.toml")))
ours.accounts.add("alice", Secret(b"correct horse"))
begun = ours.enrolment.begin("alice")
seed, step = base64.b32decode(begun.secret), otp.step_at(ours.clock())
assert isinstance(ours.enrolment.confirm("alice", Secret(otp.code_at(seed, step - 1).encode())), Confirmed)
secret = Secret(b"correct horse" + otp.code_at(seed, step + 1).encode())
verdict = asyncio.run(ours.verifier.verify(Attempt("alice", secret, "imap")))
assert isinstance(verdict, Granted), verdict
app.build(ours), mailing.of(ours)
ours.close()
print("let in by", Path(sys.modules["sqlalchemy"].__file__).parent)
"""


@pytest.mark.skipif(not ROOT.exists(), reason="this machine is Debian 13 itself: there is no root of it here")
def test_all_modules_are_imported_and_a_login_is_let_in_by_debian_13s_own_packages() -> None:
    inside = (
        'mount --bind "$1" "$2/mnt" && exec chroot "$2" env PYTHONPATH=/mnt PYTHONDONTWRITEBYTECODE=1 python3 -c "$3"'
    )
    command = ["unshare", "--mount", "sh", "-c", inside, "sh", str(REPOSITORY), str(ROOT), PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "let in by /usr/lib/python3/dist-packages/sqlalchemy"
