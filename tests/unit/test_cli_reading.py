"""What the command line reads from people (secrets from a terminal or a pipe), and how JSON shows values."""

import io
import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import click
import pytest

from mailauth.edges.cli.context import MAX_STDIN_BYTES, print_json, read_secret, spoken
from mailauth.vocabulary.secret import Secret
from tests.cases import case

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)


def pipe(content: bytes) -> Any:
    return SimpleNamespace(isatty=lambda: False, buffer=io.BytesIO(content))


def test_one_line_break_ends_a_secret_from_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    for content, secret in (
        (b"", b""),
        (b"\n", b""),
        (b"\r\n", b""),
        (b"pw", b"pw"),
        (b"pw\n", b"pw"),
        (b"pw\r\n", b"pw"),
        (b"pw\n\n", b"pw\n"),
        (b" p w \n", b" p w "),
        (b"\x00\xff\n", b"\x00\xff"),
        (b"x" * MAX_STDIN_BYTES, b"x" * MAX_STDIN_BYTES),
    ):
        with case(content, secret):
            monkeypatch.setattr(sys, "stdin", pipe(content))
            assert read_secret("Password") == Secret(secret)


def test_secret_from_a_pipe_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", pipe(b"x" * (MAX_STDIN_BYTES + 1)))
    with pytest.raises(click.UsageError, match="more than 65536 bytes"):
        read_secret("Password")


@pytest.mark.parametrize("confirm", [True, False])
def test_secret_from_a_terminal_is_asked_for_unseen(monkeypatch: pytest.MonkeyPatch, confirm: bool) -> None:
    asked: list[dict[str, Any]] = []

    def prompt(text: str, **options: Any) -> str:
        asked.append({"text": text, **options})
        return "p\u00e4ss \udcff"

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(click, "prompt", prompt)
    assert read_secret("New password", confirm=confirm) == Secret("päss ".encode() + b"\xff")
    (only,) = asked
    assert only == {"text": "New password", "hide_input": True, "confirmation_prompt": confirm, "err": True}


def test_moment_is_spoken_in_utc() -> None:
    assert spoken(datetime(2025, 6, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))) == "2025-05-31 23:30 UTC"
    assert spoken(None) == ""


def test_json_shows_moments_sets_and_secrets_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"at": NOW, "names": frozenset({"b", "a"}), "word": "zoë", "secret": Secret(b"canary")})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {
        "at": "2025-06-01T12:00:00+00:00",
        "names": ["a", "b"],
        "word": "zoë",
        "secret": "Secret(...)",
    }
    assert "zoë" in shown
