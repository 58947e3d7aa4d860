"""Parts of one process side by side: ready when all are, ended when one is."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mailauth.effects.configuration import loading
from tests.integration.serving import PATIENCE_S, Site

SCRIPT = """
import asyncio, logging, sys
from pathlib import Path
from mailauth import wiring
from mailauth.edges import process
from mailauth.effects import log_lines
from mailauth.effects.configuration import loading
from mailauth.vocabulary.errors import StoreUnavailable

async def patient(installation, stop):
    process.ready()
    await stop.wait()
    print("patient has finished", flush=True)

async def brief(installation, stop):
    process.ready()

async def failing(installation, stop):
    raise ValueError("it broke")

async def refusing(installation, stop):
    raise StoreUnavailable("the disk is gone")

async def failing_late(installation, stop):
    process.ready()
    await stop.wait()
    raise ValueError("it broke late")

log_lines.set_up("info")
chosen = {name: globals()[name] for name in sys.argv[2:]}
process.run(wiring.build(loading.load(Path(sys.argv[1]))), chosen)
"""


class Process:
    """A process that runs parts of the script above."""

    def __init__(self, site: Site, *parts: str) -> None:
        path = str(site.directory / "notify")
        Path(path).unlink(missing_ok=True)
        self.notification = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notification.bind(path)
        self.notification.settimeout(PATIENCE_S)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(site.config), *parts],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"NOTIFY_SOCKET": path},
            cwd=Path(__file__).parents[3],
        )

    def told(self) -> str:
        """Return what systemd is told next."""
        return self.notification.recv(100).decode()

    def ended(self) -> tuple[int, str, str]:
        """Wait for its end; return exit status, what it printed and what it logged."""
        printed, logged = self.process.communicate(timeout=PATIENCE_S)
        self.notification.close()
        return self.process.returncode, printed, logged


def test_systemd_is_told_when_every_part_is_ready(site: Site) -> None:
    process = Process(site, "patient", "brief")
    assert process.told() == "READY=1"
    process.ended()


def test_systemd_is_not_told_where_a_part_is_not_ready(site: Site) -> None:
    process = Process(site, "patient", "failing")
    assert process.told() == "STOPPING=1"
    process.ended()


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("brief", "PartEnded: brief ended by itself"),
        ("failing", r"PartEnded: failing failed: ValueError\('it broke'\)"),
        ("refusing", "StoreUnavailable: the disk is gone"),
    ],
)
def test_part_that_ends_ends_the_process_and_the_others_finish_first(site: Site, part: str, words: str) -> None:
    status, printed, logged = Process(site, "patient", part).ended()
    assert status == 1
    assert printed == "patient has finished\n"
    assert re.search(words, logged.splitlines()[-1]), logged


def test_parts_that_end_at_once_are_told_each_on_one_line(site: Site) -> None:
    status, _, logged = Process(site, "refusing", "brief", "failing").ended()
    assert status == 1
    assert "never retrieved" not in logged
    lines = [line for line in logged.splitlines() if "a part ended as well" in line]
    assert len(lines) == 2, logged


def test_part_that_fails_while_it_stops_is_an_error(site: Site) -> None:
    process = Process(site, "patient", "failing_late")
    assert process.told() == "READY=1"
    process.process.terminate()
    status, printed, logged = process.ended()
    assert (status, printed) == (1, "patient has finished\n")
    assert "it broke late" in logged


def serve(site: Site, *settings: str, part: str | None = "portal") -> "subprocess.CompletedProcess[str]":
    """Run `mailauth serve` with settings under which it should not start."""
    path = site.directory / "refused.toml"
    path.write_text(loading.with_settings(site.config.read_text(), settings, "test"))
    words = [] if part is None else [part]
    return subprocess.run(
        [sys.executable, "-m", "mailauth", "--config", str(path), "serve", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


NAMED = 'portal.trusted_proxies=["192.0.2.9"]'


@pytest.mark.parametrize("part", ["portal", None])
def test_portal_whose_port_is_taken_does_not_start(site: Site, part: str | None) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = serve(site, f"portal.listen={where}", NAMED, part=part)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == f"mailauth: the portal cannot listen on {where}: Address already in use"
    assert "Traceback" not in ended.stderr
    assert not site.socket.exists(), "the other parts went on"


@pytest.mark.parametrize("name", ["missing.png", "auth.sock"], ids=["missing", "no-picture"])
def test_logo_that_is_no_picture_is_a_warning_and_the_portal_goes_on(site: Site, name: str) -> None:
    """It is the taken port that ends it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = serve(site, f"portal.logo={site.directory / name}", f"portal.listen={where}", NAMED)
    [warning] = [line for line in ended.stderr.splitlines() if "portal.logo: " in line]
    assert " warning " in warning
    assert "pages show the provider's name instead" in warning
    assert ended.stderr.splitlines()[-1].startswith("mailauth: the portal cannot listen on")
    assert "Traceback" not in ended.stderr


def test_missing_key_file_is_no_start(site: Site) -> None:
    ended = serve(site, f"keys.file={site.directory}/missing.key")
    assert ended.returncode == 1
    assert "missing.key" in ended.stderr
    assert "Traceback" not in ended.stderr
