"""What other people's PAM applications tell pam_end, and so what becomes of a code whose password was wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pam_module.harness.applications import ask_saslauthd, pamtester, python_pam, saslauthd
from pam_module.harness.fake_server import Asked, FakeServer, Say, fail, ok
from pam_module.harness.pam_stack import PamStack

USER = "anna@example.org"
TOKEN = "0123456789abcdef0123456789abcdef"


def decide(asked: Asked) -> Say:
    return ok(USER, tail="6", release=TOKEN) if asked.parameters["factor"] == "second" else fail()


@pytest.fixture
def server(plain: PamStack) -> Iterator[FakeServer]:
    """Two services, behind one of which the password is wrong."""
    first = "auth required MODULE second_factor_only forward_pass"
    plain.service("wrong", first, "auth required pam_deny.so", "account required pam_permit.so")
    plain.service("right", first, "auth required pam_permit.so", "account required pam_permit.so")
    with FakeServer(plain.socket, decide) as server:
        yield server


def given_back(server: FakeServer) -> list[str]:
    return [asked.parameters["service"] for asked in server.asked if asked.parameters["factor"] == "release"]


def test_python_pam_gives_the_code_back(plain: PamStack, server: FakeServer) -> None:
    assert python_pam(plain, USER, "secret123456", "wrong") == "False 7"
    assert python_pam(plain, USER, "secret123456", "right") == "True 0"
    assert given_back(server) == ["wrong"]


def test_saslauthd_gives_the_code_back(plain: PamStack, server: FakeServer, tmp_path: Path) -> None:
    directory = tmp_path / "saslauthd"
    directory.mkdir()
    with saslauthd(plain, directory) as mux:
        assert ask_saslauthd(mux, USER, "secret123456", "wrong").startswith("0: NO")
        assert ask_saslauthd(mux, USER, "secret123456", "right").startswith("0: OK")
    assert given_back(server) == ["wrong"]


def test_pamtester_leaves_the_code_spent(plain: PamStack, server: FakeServer) -> None:
    """It passes PAM_SUCCESS whatever happened: the safe side."""
    assert pamtester(plain, USER, "secret123456", "wrong").returncode != 0
    assert pamtester(plain, USER, "secret123456", "right").returncode == 0
    assert given_back(server) == []
