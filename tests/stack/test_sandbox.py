"""deploy/sandbox itself: its shape, several at once, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stack import clients, sandboxes
from tests.stack.conftest import SPARE
from tests.stack.sandboxes import SANDBOX, Sandbox

PORTS = ("imap", "pop3", "submission", "sieve", "postfix_submission", "postfix_submissions", "sink")


def processes_of(directory: Path) -> list[str]:
    """Every process of the machine that has the directory in its command line or open files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            files = [os.readlink(fd) for fd in (process / "fd").iterdir()]
            files.append(os.readlink(process / "cwd"))
        except OSError:
            continue
        if int(process.name) != os.getpid() and any(str(directory) in text for text in (words, *files)):
            found.append(f"{process.name} {words}")
    return found


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)


def is_open(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


def test_several_start_at_once_and_do_not_meet(sandboxes_at_once: dict[str, Sandbox]) -> None:
    first, *others = sandboxes_at_once.values()
    assert others
    assert len({getattr(s, name) for s in (first, *others) for name in PORTS}) == (1 + len(others)) * len(PORTS)
    account = first.account("only here", enrolled=True)
    assert clients.imap(first.imap, account.name, account.typed())
    for other in others:
        assert not clients.imap(other.imap, account.name, account.password)


@dataclass
class Spare:
    """A sandbox that tests may change, kill and replace; it is up again after each but the last."""

    sandbox: Sandbox


@pytest.fixture(scope="module")
def spare(sandboxes_at_once: dict[str, Sandbox]) -> Iterator[Spare]:
    """What is left of it, and what was started in its directory after it, is ended."""
    made = Spare(sandboxes_at_once[SPARE])
    yield made
    made.sandbox.down()


def test_up_prints_one_json_object_with_all_that_a_caller_needs(sandbox: Sandbox) -> None:
    """`sandboxes.up` has read what it printed; it stands in the directory as well."""
    facts = json.loads((sandbox.dir / "sandbox.json").read_text())
    assert Sandbox.from_json(facts) == sandbox
    for name in PORTS:
        host, port = facts[name]
        assert host == "127.0.0.1"
        assert is_open((host, port)), name
    for name in ("auth_socket", "dovecot_auth_socket", "postfix_auth_socket"):
        assert Path(facts[name]).is_socket(), name
    for name in ("config", "mailauth", "doveadm", "dovecot_conf"):
        assert Path(facts[name]).is_file(), name
    for name in ("mail_out", "logs"):
        assert Path(facts[name]).is_dir(), name
    assert os.access(facts["mailauth"], os.X_OK)
    assert facts["dovecot"] in sandboxes.doors()
    assert set(facts["versions"]) == {"dovecot", "postfix"}


def test_mailauth_can_be_killed_and_started_again(spare: Spare) -> None:
    sandbox = spare.sandbox
    pid = sandbox.pid()
    sandbox.stop(kill=True)
    assert not sandbox.status()["services"]["mailauth"]["running"]
    assert sandbox.status()["services"]["dovecot"]["running"]
    sandbox.start()
    assert sandbox.pid() != pid
    account = sandbox.account(enrolled=True)
    assert clients.imap(sandbox.imap, account.name, account.typed())


def test_set_changes_the_configuration_and_restarts_mailauth_only(spare: Spare) -> None:
    sandbox = spare.sandbox
    account = sandbox.account()
    dovecot, postfix = sandbox.pid("dovecot"), sandbox.pid("postfix")
    assert not clients.imap(sandbox.imap, account.name, account.password)
    sandbox.set("cutover.date=2099-01-01T00:00 Europe/Brussels")
    assert clients.imap(sandbox.imap, account.name, account.password)
    assert (sandbox.pid("dovecot"), sandbox.pid("postfix")) == (dovecot, postfix)


def test_a_directory_whose_sandbox_was_killed_can_be_used_again(spare: Spare) -> None:
    before = spare.sandbox
    state = json.loads((before.dir / "sandbox.json").read_text())
    os.kill(state["pids"]["supervisor"], signal.SIGKILL)
    wait_until(lambda: processes_of(Path(state["ground"])) == [], "the servers end with their supervisor")
    spare.sandbox = sandboxes.up(before.dir)
    assert is_open(spare.sandbox.imap)
    assert spare.sandbox.imap != before.imap


def test_down_leaves_nothing_running_and_nothing_but_logs_and_messages(spare: Spare, tmp_path: Path) -> None:
    sandboxes.run([str(SANDBOX), "down", str(tmp_path)])  # where none was ever up: no error
    sandbox = spare.sandbox
    ground = Path(json.loads((sandbox.dir / "sandbox.json").read_text())["ground"])
    assert processes_of(ground)
    sandbox.down()
    assert processes_of(ground) == []
    assert processes_of(sandbox.dir) == []
    assert {path.name for path in sandbox.dir.iterdir()} == {".mailauth-sandbox", "logs", "mail_out"}
    if ground != sandbox.dir:
        assert not ground.exists()
    for name in PORTS:
        assert not is_open(getattr(sandbox, name)), name
    sandbox.down()  # nor the second time


def test_a_second_up_in_the_same_directory_is_refused_and_harms_nothing(sandbox: Sandbox) -> None:
    done = subprocess.run([SANDBOX, "up", sandbox.dir], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "is up" in done.stderr
    assert done.stdout == ""
    assert is_open(sandbox.imap)


def test_a_sandbox_ends_with_its_owner(tmp_path: Path) -> None:
    script = f"""
import os, subprocess
subprocess.run([{str(SANDBOX)!r}, "up", {str(tmp_path)!r}, "--owner", str(os.getpid())], check=True)
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL, timeout=120, check=False)
    ground = Path(json.loads((tmp_path / "sandbox.json").read_text())["ground"])
    wait_until(lambda: processes_of(ground) == [], "the sandbox ends with its owner")
    subprocess.run([SANDBOX, "down", tmp_path], check=True, timeout=60)


def test_an_up_that_is_killed_half_way_leaves_nothing_running(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [SANDBOX, "up", tmp_path],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until((tmp_path / "logs" / "supervisor.log").exists, "the servers are starting")
    process.kill()
    process.wait()
    link = tmp_path / "ground"
    ground = Path(os.readlink(link)) if link.is_symlink() else tmp_path
    wait_until(lambda: processes_of(ground) == [], "what was started ends")
    again = sandboxes.up(tmp_path)
    again.down()
    assert not (ground != tmp_path and ground.exists())


def test_an_up_that_fails_says_why_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = subprocess.run(
        [SANDBOX, "up", tmp_path, "--set", "cutover.date=some day soon"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "cutover.date" in done.stderr
    assert "Traceback" not in done.stderr
    assert processes_of(tmp_path) == []


def test_a_directory_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mailauth").mkdir()
    done = subprocess.run([SANDBOX, "up", tmp_path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "no sandbox" in done.stderr
    assert (tmp_path / "mailauth").is_dir()


def test_server_that_is_not_there_is_named_with_those_that_are(sandbox: Sandbox) -> None:
    for command in ("restart", "stop", "start"):
        words = [SANDBOX, command, sandbox.dir, "exim"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert re.search(r"there is no exim in /\S+, only .*\bdovecot\b", done.stderr), done.stderr


def test_postfix_offers_tls_on_both_ports(sandbox: Sandbox, enrolled: sandboxes.Account) -> None:
    for address, tls in (
        (sandbox.postfix_submission, "--tls"),
        (sandbox.postfix_submissions, "--tls-on-connect"),
    ):
        login = clients.swaks(address, enrolled.name, enrolled.typed(), tls=tls)
        assert login, login.words


def test_every_client_can_log_in(sandbox: Sandbox) -> None:
    account = sandbox.account(enrolled=True)
    secret = account.app_password("imap", "pop3", "smtp", "submission", "sieve")
    for client, address in (
        (clients.imap, sandbox.imap),
        (clients.pop3, sandbox.pop3),
        (clients.sieve, sandbox.sieve),
        (clients.sieve_connect, sandbox.sieve),
        (clients.swaks, sandbox.submission),
        (clients.swaks, sandbox.postfix_submission),
        (clients.smtp_curl, sandbox.postfix_submission),
    ):
        login = client(address, account.name, secret)
        assert login, (client, login.words)
        refused = client(address, account.name, "wrong")
        assert not refused, client
    assert clients.doveadm_auth(sandbox.auth_socket, account.name, secret)
    assert clients.doveadm_auth(sandbox.dovecot_auth_socket, account.name, secret)
    assert not clients.doveadm_auth(sandbox.dovecot_auth_socket, account.name, "wrong")
