"""Fixtures for tests on real servers.

`sandbox` is one sandbox for the whole run for each way that this machine's Dovecot can
ask mailauth ("door"): tests on it use accounts of their own and leave it up. Tests that
change the configuration or stop servers take one of their own from `make_sandbox`; each
costs three seconds of a processor.
On a failure, what the servers logged meanwhile is in the report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.stack import sandboxes
from tests.stack.sandboxes import Account, Sandbox

# What a test may log before the report shows only the end of it.
MAX_SHOWN_CHARACTERS = 20_000

_alive: dict[Path, Sandbox] = {}
_sizes: dict[Path, int] = {}


SPARE = "spare"


@pytest.fixture(scope="session")
def sandboxes_at_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Sandbox]]:
    """One sandbox for each door, and a spare one that tests may change and stop; all started in the same moment."""
    options = {door: ("--dovecot", door) for door in sandboxes.doors()} | {SPARE: ()}

    # Made one by one: the first of a process makes pytest's own folder, which two threads can't at once.
    places = {name: tmp_path_factory.mktemp(f"sandbox-{name}") for name in options}

    def start(name: str) -> Sandbox:
        return sandboxes.up(places[name], *options[name])

    with ThreadPoolExecutor(len(options)) as pool:
        made = dict(zip(options, pool.map(start, options), strict=True))
        _alive.update((each.dir, each) for each in made.values())
        yield made
        for each in made.values():
            _alive.pop(each.dir, None)
        list(pool.map(Sandbox.down, made.values()))


@pytest.fixture(scope="session", params=sandboxes.doors())
def sandbox(request: pytest.FixtureRequest, sandboxes_at_once: dict[str, Sandbox]) -> Sandbox:
    """The shared sandbox of one door, enforcing since a date long past."""
    return sandboxes_at_once[request.param]


@pytest.fixture
def make_sandbox(tmp_path: Path) -> Iterator[Callable[..., Sandbox]]:
    """Make sandboxes of the test's own: make_sandbox("--set", "cutover.date=...")."""
    made: list[Sandbox] = []

    def make(*options: str) -> Sandbox:
        sandbox = sandboxes.up(tmp_path / f"s{len(made)}", *options)
        _alive[sandbox.dir] = sandbox
        made.append(sandbox)
        return sandbox

    yield make
    for sandbox in made:
        sandbox.down()
        _alive.pop(sandbox.dir, None)


@pytest.fixture
def account(sandbox: Sandbox) -> Account:
    """A new account without a second factor."""
    return sandbox.account()


@pytest.fixture
def enrolled(sandbox: Sandbox) -> Account:
    """A new account with an authenticator; two codes can be used without waiting."""
    return sandbox.account(enrolled=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    _sizes.clear()
    for sandbox in _alive.values():
        for path in sandbox.log_files.values():
            _sizes[path] = path.stat().st_size if path.exists() else 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for sandbox in _alive.values():
            for name, path in sandbox.log_files.items():
                text = _new_text(path)
                if text:
                    report.sections.append((f"{sandbox.dir.name}: log of {name}", text))
    return report


def _new_text(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as log:
        log.seek(_sizes.get(path, 0))
        text = log.read().decode(errors="replace")
    text = re.sub(r"[^\n\t -~\u00a0-\uffff]", "?", text)
    return text[-MAX_SHOWN_CHARACTERS:].strip()
