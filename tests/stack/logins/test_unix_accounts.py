"""pam.d/mailauth-unix: the code is mailauth's, the password pam_unix's, in one field, as python-pam hands it on.

The Unix account is in a passwd and shadow that only the application sees.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.stack.people import Owner, until
from tests.stack.table import Played
from tests.stack.ways import every_way, params

LOGIN = "import pam, sys; print(pam.pam().authenticate(sys.argv[1], sys.stdin.read(), service='imap'))"
INSIDE = 'for name in pam.d passwd shadow; do mount --bind "$0/$name" "/etc/$name" || exit 9; done; exec "$@"'
PASSWORD = "Unix pa$$word"

on_pam_here = pytest.mark.parametrize(
    "played", params(way for way in every_way() if way.dovecot == "pam" and not way.is_elsewhere), indirect=True
)


@dataclass
class System:
    """An /etc with one more account in it."""

    etc: Path
    owner: Owner

    @property
    def user(self) -> str:
        return self.owner.name.partition("@")[0]

    def lets_in(self, secret: str) -> bool:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", INSIDE, self.etc, sys.executable, "-c", LOGIN, self.user],
            input=secret,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.strip() in {"True", "False"}, done.stderr
        return done.stdout.strip() == "True"


@pytest.fixture
def system(played: Played, tmp_path: Path) -> System:
    owner = played.site.enrolled()
    made = System(tmp_path / "etc", owner)
    ground = Path(json.loads((played.site.sandbox.dir / "sandbox.json").read_text())["ground"])
    shutil.copytree(ground / "etc" / "pam.d", made.etc / "pam.d")
    services = made.etc / "pam.d" / "imap"
    services.write_text(services.read_text().replace("include  mailauth\n", "include  mailauth-unix\n"))
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=PASSWORD, capture_output=True, text=True, check=True
    ).stdout.strip()
    passwd = Path("/etc/passwd").read_text() + f"{made.user}:x:4711:4711::/nonexistent:/usr/sbin/nologin\n"
    (made.etc / "passwd").write_text(passwd)
    (made.etc / "shadow").write_text(f"root:*:19000:0:99999:7:::\n{made.user}:{hashed}:19000:0:99999:7:::\n")
    (made.etc / "shadow").chmod(0o600)
    return made


@on_pam_here
def test_unix_password_and_code_open_the_door_and_neither_alone(system: System) -> None:
    owner = system.owner
    code = owner.code()
    wrong = (PASSWORD, code, PASSWORD + owner.wrong_code())
    with ThreadPoolExecutor(len(wrong)) as pool:  # pam_unix delays each by two seconds
        assert not any(pool.map(system.lets_in, wrong))
    assert not system.lets_in(owner.password + code), "mailauth's own password is not asked for"
    assert not system.lets_in("wrong" + code), "and the code is given back"
    assert system.lets_in(PASSWORD + code), owner.site.log_of(owner.name)
    assert not system.lets_in(PASSWORD + code), "spent"
    assert system.lets_in(PASSWORD + owner.recovery_codes()[0])


@on_pam_here
def test_guess_at_a_unix_password_that_needs_no_code_is_logged_as_refused_and_counts(system: System) -> None:
    """LIM8: mailauth asks for nothing here, and learns from pam_unix what came of it."""
    owner = system.owner
    owner.site.installation.enrolment.reset(owner.name)
    owner.site.installation.accounts.exempt(owner.name, datetime.now(UTC) + timedelta(hours=1), "scans to mail")
    assert system.lets_in(PASSWORD), owner.site.log_of(owner.name)
    assert not system.lets_in("a guess")
    until(lambda: "reason=password-refused-elsewhere" in owner.site.log_of(owner.name), "what came of it is logged")
    lines = owner.site.log_of(owner.name)
    assert lines.count("verdict=not-required reason=exempt") == 2
    assert lines.count("verdict=denied reason=password-refused-elsewhere") == 1
    assert "verdict=granted" not in lines
