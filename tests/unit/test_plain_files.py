"""What is named as a file and is none is refused, and not waited for: of a pipe nothing may ever come."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mailauth.effects import keyring, logo, plain_files, smtp
from mailauth.effects.sources import ldap_connections
from mailauth.vocabulary.errors import MailauthError

READERS: dict[str, Callable[[Path], object]] = {
    "key file": keyring.read,
    "logo": lambda path: logo.read(str(path)),
    "relay's password": smtp.read_password,
    "directory's password": lambda path: ldap_connections.read_password(str(path)),
}


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe.png"
    os.mkfifo(path, 0o400)
    return path


def test_pipe_device_and_folder_are_no_plain_files(pipe: Path, tmp_path: Path) -> None:
    for path in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="no plain file"):
            plain_files.opened(path)


def test_plain_file_is_read_also_through_a_link_but_where_that_is_a_users_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("words\n")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert plain_files.text_of(tmp_path / "link") == "words\n"
    with pytest.raises(OSError, match="symbolic link"):
        plain_files.opened(tmp_path / "link", follows_links=False)


@pytest.mark.parametrize("reader", READERS)
def test_configured_file_that_is_a_pipe_is_told(pipe: Path, reader: str) -> None:
    with pytest.raises((MailauthError, smtp.PasswordFileUnusable)) as refused:
        READERS[reader](pipe)
    said = str(refused.value) + repr(getattr(refused.value, "mistakes", ""))
    assert "no plain file" in said
