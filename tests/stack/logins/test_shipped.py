"""What a sysadmin copies for PAM, saslauthd and Exim: it says what it is, and the sandbox runs it unchanged."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.stack import clients
from tests.stack.sandboxes import REPOSITORY, SANDBOX
from tests.stack.table import Played
from tests.stack.ways import every_way, on_each_way, other_release, params

DEPLOY = REPOSITORY / "deploy"
WITH_A_HEAD = [
    *(DEPLOY / "pam.d" / name for name in ("mailauth", "mailauth-unix")),
    *sorted((DEPLOY / "postfix" / "saslauthd").iterdir()),
    *sorted((DEPLOY / "exim").iterdir()),
    *sorted(DEPLOY.glob("dovecot-2.*/mailauth-pam.conf")),
]


def of_kind(**wanted: object) -> pytest.MarkDecorator:
    found = [way for way in every_way() if all(getattr(way, name) == value for name, value in wanted.items())]
    return pytest.mark.parametrize("played", params(found), indirect=True)


def ground(played: Played) -> Path:
    state = json.loads((played.site.sandbox.dir / "sandbox.json").read_text())
    return Path(state["ground"])


def inner(played: Played) -> str:
    """Return the ground's path as the servers see it."""
    state = json.loads((played.site.sandbox.dir / "sandbox.json").read_text())
    return str(state["ground"]).removeprefix(state["root"] or "")


@pytest.mark.parametrize("path", WITH_A_HEAD, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_each_file_says_what_it_is_for_what_it_cannot_and_what_must_not_stand_beside_it(path: Path) -> None:
    head = re.match(r"(#.*\n)+", path.read_text())
    assert head is not None
    assert {"For:", "Copy:", "must NOT stand"} <= set(re.findall(r"For:|Copy:|must NOT stand", head.group()))
    if "pam" in path.name or path.name == "main.cf" or path.parent.name in {"pam.d", "exim"}:
        assert "Cannot" in head.group()


@on_each_way
def test_dovecots_part_is_used_as_it_stands(played: Played) -> None:
    sandbox = played.site.sandbox
    series = ".".join(sandbox.versions["dovecot"].split(".")[:2])
    name = f"mailauth-{sandbox.dovecot}.conf"
    used = (ground(played) / "etc" / "dovecot" / name).read_text()
    assert used.replace(inner(played), "") == (DEPLOY / f"dovecot-{series}" / name).read_text()


@of_kind(dovecot="pam")
def test_pams_services_are_used_as_they_stand_but_for_module_and_socket(played: Played) -> None:
    base = inner(played)
    ours = f"{base}/usr/lib/mailauth/pam_mailauth.so socket={base}/run/mailauth/auth.sock"
    for shipped in (DEPLOY / "pam.d").iterdir():
        used = (ground(played) / "etc" / "pam.d" / shipped.name).read_text()
        assert used.replace(ours, "pam_mailauth.so") == shipped.read_text()


@of_kind(dovecot="pam")
def test_dovecot_asks_pam_for_logins_and_lua_for_look_ups_only(played: Played) -> None:
    shown = subprocess.run([*doveconf(played), "passdb"], capture_output=True, text=True, check=True).stdout
    blocks = re.findall(r"^passdb\b.*?^}", shown, re.MULTILINE | re.DOTALL)
    assert ["lua" in block for block in blocks] == [True, False], shown
    asked = [re.findall(r"mechanisms\w* = (.*)", block) for block in blocks]
    # `external` is not among auth_mechanisms: it is there because 2.3 ignores a `none` that stands alone.
    assert asked in ([["none external"], ["plain login"]], [["lookup"], ["plain login"]]), shown


def doveconf(played: Played) -> list[str]:
    state = json.loads((played.site.sandbox.dir / "sandbox.json").read_text())
    conf = f"{inner(played)}/etc/dovecot/dovecot.conf"
    return [*(["chroot", state["root"]] if state["root"] else []), "doveconf", "-c", conf]


@of_kind(postfix="saslauthd")
def test_saslauthds_parts_are_used_as_they_stand_and_cache_nothing(played: Played) -> None:
    shipped = DEPLOY / "postfix" / "saslauthd"
    base, etc = inner(played), ground(played) / "etc"
    assert (etc / "default" / "saslauthd").read_text().replace(base, "") == (shipped / "saslauthd").read_text()
    assert (etc / "postfix" / "sasl" / "smtpd.conf").read_text().replace(base, "") == (
        shipped / "smtpd.conf"
    ).read_text()
    assert (shipped / "main.cf").read_text() in (etc / "postfix" / "main.cf").read_text().replace(base, "")
    pid = played.site.pid("saslauthd")
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    assert "-r" in words
    assert not any(re.fullmatch(r"-\w*c\w*", word) for word in words)


@of_kind(postfix="saslauthd")
def test_saslauthds_socket_is_for_postfix_alone(played: Played) -> None:
    folder = ground(played) / "var/spool/postfix/var/run/saslauthd"
    assert folder.stat().st_mode & 0o777 == 0o710
    root = json.loads((played.site.sandbox.dir / "sandbox.json").read_text())["root"] or "/"
    users = [line.split(":") for line in (Path(root) / "etc" / "passwd").read_text().splitlines()]
    assert str(folder.stat().st_gid) in {fields[3] for fields in users if fields[0] == "postfix"}


@of_kind(exim=True)
def test_exims_part_is_used_as_it_stands(played: Played) -> None:
    used = (ground(played) / "etc" / "exim4" / "exim4.conf").read_text().replace(inner(played), "")
    assert used.endswith((DEPLOY / "exim" / "mailauth.auth").read_text())


@of_kind(exim=True)
def test_exim_relays_for_nobody_who_has_not_logged_in_and_offers_tls(played: Played) -> None:
    site = played.site
    host, port = json.loads((site.sandbox.dir / "sandbox.json").read_text())["exim"]
    commands = [b"EHLO client.test", b"MAIL FROM:<a@mailitwize.be>", b"RCPT TO:<friend@example.org>"]
    assert clients.smtp_session((host, port), commands)[-1].startswith(b"550 ")
    owner = site.enrolled()
    typed = owner.typed()
    for mechanism in ("PLAIN", "LOGIN"):
        login = clients.swaks((host, port), owner.name, typed, mechanism=mechanism, tls="--tls")
        assert login, login.words
    sent = clients.swaks((host, port), owner.name, typed, send_to="friend@example.org", subject=f"by {owner.name}")
    assert sent, sent.words
    assert "Sent by a test." in site.sandbox.wait_for_message(f"by {owner.name}")


@on_each_way
def test_nothing_of_it_is_mounted_where_others_see_it(played: Played) -> None:
    assert str(ground(played).resolve()) not in Path("/proc/self/mountinfo").read_text()


def test_a_root_that_is_there_is_not_made_again_and_a_foreign_directory_is_left_alone(
    tmp_path: Path,
) -> None:
    other_root = other_release()
    before = other_root.stat().st_ino
    done = subprocess.run([SANDBOX, "root", other_root, other_root.name], capture_output=True, text=True, check=True)
    assert "already" in done.stderr
    assert other_root.stat().st_ino == before
    (tmp_path / "file").write_text("mine")
    done = subprocess.run([SANDBOX, "root", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "holds something else" in done.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_without_exim_the_sandbox_says_where_to_get_it(tmp_path: Path) -> None:
    if Path("/usr/sbin/exim4").exists():
        pytest.skip("this machine has an Exim of its own")
    done = subprocess.run([SANDBOX, "up", tmp_path, "--exim"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--root" in done.stderr
