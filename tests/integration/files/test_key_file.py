"""KEY3: the key file is private, or it is refused; whatever is wrong with it, its content is not shown."""

import base64
import errno
import os
import stat
from pathlib import Path

import pytest

from mailauth.effects import keyring
from mailauth.effects.keyring import Purpose
from mailauth.vocabulary.errors import KeyUnusable
from tests.cases import case

HEADER = "mailauth-key-file 1\n"
KEY = base64.b64encode(b"canary-key-canary-key-canary-key").decode()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "mailauth.key"


def written(path: Path, text: str | bytes, mode: int = 0o400) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def test_created_key_file_is_private_and_works(key_file: Path) -> None:
    keyring.create(key_file, "1")
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o400
    ring = keyring.read(key_file)
    assert ring.ids == ("1",)
    assert ring.unseal(Purpose.TOTP_SEED, "a", ring.seal(Purpose.TOTP_SEED, "a", b"x")) == b"x"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_created_key_file_is_private_whatever_the_umask(key_file: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        keyring.create(key_file, "1")
    finally:
        os.umask(before)
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o400


def test_created_key_has_256_bits_from_the_source_of_randomness(key_file: Path) -> None:
    drawn: list[int] = []

    def draw(size: int) -> bytes:
        drawn.append(size)
        return b"\x07" * size

    keyring.create(key_file, "main", draw)
    assert drawn == [32]
    assert f"\nmain {base64.b64encode(bytes([7]) * 32).decode()}\n" in key_file.read_text()


def test_two_created_keys_differ(tmp_path: Path) -> None:
    texts = set()
    for name in ("a", "b"):
        keyring.create(tmp_path / name, "1")
        texts.add((tmp_path / name).read_text())
    assert len(texts) == 2


def test_existing_key_file_is_never_replaced(key_file: Path) -> None:
    keyring.create(key_file, "1")
    before = key_file.read_bytes()
    with pytest.raises(FileExistsError):
        keyring.create(key_file, "2")
    assert key_file.read_bytes() == before


@pytest.mark.parametrize("step", ["fsync", "link"])
def test_key_file_that_is_interrupted_is_made_the_next_time(
    key_file: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space"):
        keyring.create(key_file, "1")
    monkeypatch.undo()
    assert list(key_file.parent.iterdir()) == []
    written(key_file.with_name(f".{key_file.name}.draft"), "of one that was killed")
    keyring.create(key_file, "1")
    assert keyring.read(key_file).ids == ("1",)
    assert list(key_file.parent.iterdir()) == [key_file]


def test_key_file_of_a_looser_mode_is_refused(key_file: Path) -> None:
    for mode in (0o600, 0o440, 0o404, 0o644, 0o500, 0o4400, 0o640, 0o777, 0o420):
        with case(mode):
            written(key_file, f"{HEADER}1 {KEY}\n", mode)
            with pytest.raises(KeyUnusable, match=f"mode {mode:04o}.*chmod 0400"):
                keyring.read(key_file)


def test_key_file_of_somebody_else_is_refused(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(key_file, f"{HEADER}1 {KEY}\n")
    if os.geteuid() == 0:
        os.chown(key_file, 12345, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 23456)
    with pytest.raises(KeyUnusable, match="belongs to uid"):
        keyring.read(key_file)


def test_key_file_of_root_is_fine_for_anybody(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(key_file, f"{HEADER}1 {KEY}\n")
    if os.geteuid() == 0:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert keyring.read(key_file).ids == ("1",)


@pytest.mark.parametrize(("mode", "is_fine"), [(0o400, True), (0o440, True), (0o444, False), (0o600, False)])
def test_systemd_credential_may_show_the_bit_of_its_access_list(
    key_file: Path, monkeypatch: pytest.MonkeyPatch, mode: int, is_fine: bool
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key_file.parent))
    written(key_file, f"{HEADER}1 {KEY}\n", mode)
    if is_fine:
        assert keyring.read(key_file).ids == ("1",)
    else:
        with pytest.raises(KeyUnusable, match="mode"):
            keyring.read(key_file)


def test_credentials_directory_excuses_its_own_files_only(
    key_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    with pytest.raises(KeyUnusable, match="mode 0440"):
        keyring.read(written(key_file, f"{HEADER}1 {KEY}\n", 0o440))


def test_missing_key_file_is_named(key_file: Path) -> None:
    with pytest.raises(KeyUnusable, match=f"{key_file}: No such file"):
        keyring.read(key_file)


def test_directory_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable, match="directory"):
        keyring.read(tmp_path)


def test_several_keys_keep_their_order(key_file: Path) -> None:
    other = base64.b64encode(b"y" * 32).decode()
    ring = keyring.read(written(key_file, f"{HEADER}# the new one\nnew {KEY}\n\n  \nold {other}\n"))
    assert ring.ids == ("new", "old")
    assert ring.current_id == "new"


def test_damaged_key_file_is_refused_without_showing_it(key_file: Path) -> None:
    for text, problem in (
        ("", "is empty"),
        (f"1 {KEY}\n", "first line"),
        (f"mailauth-key-file 2\n1 {KEY}\n", "first line"),
        (f" {HEADER}1 {KEY}\n", "first line"),
        (HEADER, "holds no key"),
        (f"{HEADER}# 1 {KEY}\n", "holds no key"),
        (f"{HEADER}1 {KEY[:-8]}\n", "line 2"),
        (f"{HEADER}1 {KEY}{KEY}\n", "line 2"),
        (f"{HEADER}1 {KEY[:-4]}!!!!\n", "line 2"),
        (f"{HEADER}{KEY}\n", "line 2"),
        (f"{HEADER} {KEY}\n", "line 2"),
        (f"{HEADER}1-a {KEY}\n", "line 2"),
        (f"{HEADER}1  {KEY}\n", "line 2"),
        (f"{HEADER}1 {KEY} x\n", "line 2"),
        (f"{HEADER}{'k' * 33} {KEY}\n", "line 2"),
        (f"{HEADER}1 {KEY}\n1 {KEY}\n", "line 3"),
        (f"{HEADER}1 {KEY}\n2\n", "line 3"),
        (f"{HEADER}1 {KEY}\n\xff\n", "not a key file"),
    ):
        with case(text, problem):
            with pytest.raises(KeyUnusable, match=problem) as refused:
                keyring.read(written(key_file, text.encode("latin-1")))
            shown = f"{refused.value!s} {refused.value!r} {refused.value.__cause__!s}"
            assert KEY[:8] not in shown
            assert "canary" not in shown
