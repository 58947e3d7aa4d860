"""The command line on an installation of its own, under a clock that tests set. No process is started."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mailauth import wiring
from mailauth.edges.cli.main import cli
from mailauth.effects.configuration.schema import Configuration
from mailauth.vocabulary.model import AccountName
from tests.world import CUTOVER, FakeClock, Person, install

NOW = CUTOVER.replace(month=6)


class CommandLine:
    """Runs commands, and holds what they did and said."""

    def __init__(self, config: Path, clock: FakeClock) -> None:
        self.config = config
        self.clock = clock

    def run(self, *words: str, stdin: str | bytes = b"", code: int = 0) -> Result:
        """Run a command; its exit code has to be the given one, and an error is a sentence, not a traceback."""
        result = CliRunner().invoke(cli, ["--config", str(self.config), *words], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, f"{result.exit_code}: {result.stdout}{result.stderr}"
        assert "Traceback" not in result.stderr
        return result

    def json(self, *words: str, stdin: str | bytes = b"", code: int = 0) -> Any:
        """Run a command with --json and return what it printed."""
        result = self.run(*words, "--json", stdin=stdin, code=code)
        assert result.stderr == ""
        return json.loads(result.stdout)

    def enrol(self, name: str, password: str = "correct horse") -> Person:
        """Add an account and enrol it, all by commands; this step's code is unspent."""
        import base64

        self.run("account", "add", name, stdin=f"{password}\n")
        begun = self.json("totp", "enrol", name)
        person = Person(AccountName(begun["account"]), password, base64.b32decode(begun["secret"]))
        self.run("totp", "confirm", name, stdin=person.code(self.clock(), -1))
        return person

    def check(self, name: str, secret: str | bytes, *words: str, code: int = 0) -> Any:
        """Return the verdict on a login."""
        return self.json("check", name, *words, stdin=secret, code=code)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock(NOW)
    build = wiring.build

    def under_the_clock(configuration: Configuration) -> wiring.Installation:
        return build(configuration, clock)

    monkeypatch.setattr(wiring, "build", under_the_clock)
    return clock


@pytest.fixture
def make_mailauth(tmp_path: Path, clock: FakeClock) -> Callable[..., CommandLine]:
    """Give a maker of command lines on new installations, with settings."""

    def make(*settings: str) -> CommandLine:
        return CommandLine(install(tmp_path, *settings), clock)

    return make


@pytest.fixture
def mailauth(make_mailauth: Callable[..., CommandLine]) -> CommandLine:
    return make_mailauth()
