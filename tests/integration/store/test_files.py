"""The database's files are for their owner alone, and are made by nobody but `create`."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailauth.effects.store import schema, upkeep
from mailauth.effects.store.database import Database
from mailauth.vocabulary.errors import StoreUnavailable


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


def test_files_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    url = f"sqlite:///{tmp_path}/mailauth.db"
    upkeep.create(url)
    database = Database(url)
    schema.upgrade(database)
    found = modes(tmp_path)
    database.close()
    assert set(found) >= {"mailauth.db", "mailauth.db-wal", "mailauth.db-shm"}
    assert set(found.values()) == {0o600}


def test_directory_is_made_private(tmp_path: Path, umask: int) -> None:
    upkeep.create(f"sqlite:///{tmp_path}/var/mailauth.db")
    assert stat.S_IMODE((tmp_path / "var").stat().st_mode) == 0o700


def test_existing_file_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "mailauth.db"
    file.write_bytes(b"something")
    file.chmod(0o640)
    upkeep.create(f"sqlite:///{file}")
    assert file.read_bytes() == b"something"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_missing_file_is_not_made_by_looking_at_it(tmp_path: Path) -> None:
    """SQLite would make an empty one that everybody can read, and `db upgrade` would fill that."""
    database = Database(f"sqlite:///{tmp_path}/missing.db")
    with pytest.raises(StoreUnavailable, match="No such file"):
        schema.current(database)
    database.close()
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "mailauth.db").write_bytes(b"this is not a database at all" * 100)
    database = Database(f"sqlite:///{tmp_path}/mailauth.db")
    with pytest.raises(StoreUnavailable, match="not a database"):
        schema.current(database)
    database.close()


def test_database_behind_symbolic_links_is_used_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "link.db").symlink_to(tmp_path / "folder" / "mailauth.db")
    url = f"sqlite:///{tmp_path}/link.db"
    upkeep.create(url)
    for _ in range(2):
        database = Database(url)
        schema.upgrade(database)
        database.write(lambda connection: connection.exec_driver_sql("DELETE FROM account"))
        upkeep.back_up(url, tmp_path / "copy.db", replace=True)
        database.close()
    with upkeep.in_place_of(url, tmp_path / "copy.db"):
        pass
    assert (tmp_path / "link.db").is_symlink()
    assert (tmp_path / "real" / "mailauth.db").is_file()
    assert [path.parent.name for path in upkeep.aside(url)] == ["real"]
