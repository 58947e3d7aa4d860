"""The command as a process: exit codes, streams, environment. Few, because each start costs."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailauth import __version__
from tests.world import install

CANARY = "canary-password"


def run(*words: str, stdin: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "mailauth", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "MAILAUTH_CONFIG": "/nonexistent/mailauth.toml", **environment},
        check=False,
    )


@pytest.fixture
def config(tmp_path: Path) -> str:
    return str(install(tmp_path, "cutover.date=2099-01-01T00:00 UTC"))


def test_script_and_module_are_one_command() -> None:
    script = Path(sys.executable).with_name("mailauth")
    shown = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout == run("--version").stdout == f"mailauth, version {__version__}\n"


def test_exit_codes_are_0_1_2_and_75(config: str) -> None:
    assert run("account", "add", "alice", stdin=CANARY, MAILAUTH_CONFIG=config).returncode == 0
    granted = run("check", "alice", "--json", stdin=CANARY + "\n", MAILAUTH_CONFIG=config)
    assert (granted.returncode, granted.stderr) == (0, "")
    assert json.loads(granted.stdout)["verdict"] == "granted"
    denied = run("check", "alice", stdin="wrong", MAILAUTH_CONFIG=config)
    assert (denied.returncode, denied.stdout) == (1, "denied: password-wrong\n")
    assert run("check", MAILAUTH_CONFIG=config).returncode == 2
    assert run("no-such-command").returncode == 2
    Path(config).with_name("mailauth.db").unlink()
    assert run("check", "alice", stdin=CANARY, MAILAUTH_CONFIG=config).returncode == 75


def test_option_comes_before_the_environment(config: str) -> None:
    assert run("--config", config, "config", "check").returncode == 0
    assert run("--config", "/nonexistent/other.toml", "config", "check", MAILAUTH_CONFIG=config).returncode == 1


def test_error_is_a_sentence_on_stderr(config: str) -> None:
    refused = run("totp", "enrol", "nobody", MAILAUTH_CONFIG=config)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("mailauth: there is no account nobody@mailitwize.be")
    assert refused.stderr.count("\n") == 1


def test_command_works_without_a_locale(config: str) -> None:
    added = run("account", "add", "zo\u00eb", stdin="p\u00e4ssw\u00f6rd", MAILAUTH_CONFIG=config, LC_ALL="C", LANG="C")
    assert added.returncode == 0, added.stderr


def test_whole_enrolment_by_processes(config: str) -> None:
    """The sequence that scripts rely on; only here does the real clock count."""
    import base64

    from mailauth.core import otp

    run("account", "add", "alice", stdin=CANARY, MAILAUTH_CONFIG=config)
    begun = json.loads(run("totp", "enrol", "alice", "--json", MAILAUTH_CONFIG=config).stdout)
    seed = base64.b32decode(begun["secret"])
    step = otp.step_at(datetime.now(UTC))
    confirmed = run("totp", "confirm", "alice", stdin=otp.code_at(seed, step), MAILAUTH_CONFIG=config)
    assert confirmed.returncode == 0, confirmed.stderr
    checked = run("check", "alice", "--json", stdin=CANARY + otp.code_at(seed, step + 1), MAILAUTH_CONFIG=config)
    assert json.loads(checked.stdout)["credential"] == "password+code"
    again = run("check", "alice", "--json", stdin=CANARY + otp.code_at(seed, step + 1), MAILAUTH_CONFIG=config)
    assert json.loads(again.stdout)["reason"] == "code-replayed-by-same-client"


def test_nothing_secret_is_said_or_handed_on(config: str) -> None:
    """KEY3, AUD1: neither streams nor environment of what the command itself starts hold the secret."""
    added = run("account", "add", "alice", stdin=CANARY, MAILAUTH_CONFIG=config)
    checked = run("check", "alice", stdin=CANARY + "123456", MAILAUTH_CONFIG=config)
    refused = run("account", "add", "bob", stdin=CANARY + "\ttab", MAILAUTH_CONFIG=config)
    for ran in (added, checked, refused):
        assert CANARY not in ran.stdout + ran.stderr


@pytest.mark.parametrize("words", [("config", "describe"), ("account", "list")])
def test_output_that_has_no_room_ends_in_a_sentence(config: str, words: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "mailauth", "--config", config, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (
        1,
        "mailauth: standard output cannot be written: No space left on device\n",
    )
