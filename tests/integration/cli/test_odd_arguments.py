"""Arguments that nobody means: each ends in a sentence, and nothing is done by halves."""

import os
from pathlib import Path

import pytest

from tests.cases import case
from tests.integration.cli.conftest import CommandLine

NO_TEXT = os.fsdecode(b"\xff\xfe")


def test_number_that_no_row_has_is_refused(mailauth: CommandLine) -> None:
    mailauth.run("account", "add", "anna", stdin="correct horse")
    for number in ("99999999999999999999", "0", "-1"):
        for words in (("app-password", "revoke", "anna"), ("outbox", "retry")):
            with case(words, number):
                result = mailauth.run(*words, "--", number, code=2)
                assert "is not in the range" in result.stderr


def test_file_name_that_the_system_does_not_take_is_told(mailauth: CommandLine, tmp_path: Path) -> None:
    long = str(tmp_path / ("x" * 300))
    for words in (
        ("db", "backup", long),
        ("import", "pam-oath", long),
        ("import", "google-authenticator", long),
        ("import", "otpauth-migration", f"{long}.png"),
    ):
        with case(words):
            assert "File name too long" in mailauth.run(*words, code=1).stderr


@pytest.mark.parametrize(
    "words",
    [
        ("account", "list", "--domain", NO_TEXT),
        ("account", "list", "--after", NO_TEXT),
        ("account", "list", "--source", NO_TEXT),
        ("db", "backup", NO_TEXT),
        ("policy", "exempt", "anna", "--until", "2099-01-01", "--reason", NO_TEXT),
        ("import", "otpauth", NO_TEXT),
    ],
)
def test_argument_that_is_no_text_is_refused(mailauth: CommandLine, words: tuple[str, ...]) -> None:
    result = mailauth.run(*words, code=2)
    assert "this argument is no UTF-8" in result.stderr
    assert not Path(NO_TEXT).exists()
