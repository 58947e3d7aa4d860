"""Reading the configuration file, and replacing it in one step."""

import os
import stat
from pathlib import Path

import pytest

from mailauth.effects.configuration import loading
from mailauth.effects.configuration.loading import CannotWrite, replace_file
from mailauth.effects.configuration.reference import first_file
from mailauth.vocabulary.errors import InvalidConfiguration
from tests.cases import case
from tests.world import PROVIDER


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mailauth.toml"
    path.write_text("old")
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_first_file_is_loaded(file: Path) -> None:
    file.write_text(first_file(PROVIDER))
    assert loading.load(file).provider.name == "Mail-IT-Wize"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "no such file; make one with `mailauth init`"),
        (b"\xff\xfe", "not UTF-8"),
        ("directory", "cannot be read"),
    ],
)
def test_file_that_cannot_be_read_is_one_mistake(tmp_path: Path, content: bytes | str | None, problem: str) -> None:
    path = tmp_path / "x.toml"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    with pytest.raises(InvalidConfiguration, match=problem) as refused:
        loading.load(path)
    assert [mistake.place for mistake in refused.value.mistakes] == ["file"]


def test_replaced_file_keeps_its_mode_whatever_the_umask(file: Path) -> None:
    for mode in (0o600, 0o640, 0o644, 0o664, 0o400):
        for umask in (0o022, 0o077, 0o000):
            with case(mode, umask):
                file.chmod(mode)
                before = os.umask(umask)
                try:
                    replace_file(file, "new")
                finally:
                    os.umask(before)
                assert file.read_text() == "new"
                assert mode_of(file) == mode


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_new_file_is_for_owner_and_group(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        replace_file(tmp_path / "new.toml", "new")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "new.toml") == 0o640


def test_replaced_file_keeps_its_owner_and_group(file: Path) -> None:
    """Root's `config set` must not take the file away from the server's group."""
    if os.geteuid() == 0:
        os.chown(file, 12345, 23456)
    else:
        os.chown(file, -1, os.getgroups()[0])
    before = file.stat()
    replace_file(file, "new")
    after = file.stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino


def test_failed_replacement_leaves_the_old_file_and_nothing_beside_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CannotWrite, match="No space left on device"):
        replace_file(file, "new")
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]


def test_text_is_on_the_disk_before_it_takes_the_place_of_the_old(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, str]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        seen.append((file.read_text(), Path(f"/proc/self/fd/{descriptor}").read_text()))

    monkeypatch.setattr(os, "fsync", fsync)
    replace_file(file, "new")
    assert seen == [("old", "new")]


def test_draft_that_a_crash_left_is_no_obstacle(file: Path) -> None:
    file.with_name(f".{file.name}.{os.getpid()}").write_text("half")
    replace_file(file, "new")
    assert file.read_text() == "new"
    assert list(file.parent.iterdir()) == [file]


def test_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    replace_file(link, "new")
    assert link.is_symlink()
    assert file.read_text() == "new"


def test_place_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="No such file or directory"):
        replace_file(tmp_path / "missing" / "x.toml", "new")
