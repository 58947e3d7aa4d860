"""BAK1: a backup is one sound state, whoever writes meanwhile; what does not belong together is not mixed."""

import contextlib
import os
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection

from mailauth.effects.store import account_listing, accounts, schema, upkeep
from mailauth.effects.store.database import Database
from mailauth.effects.store.dialects import CannotBackUp, CannotRestore
from mailauth.effects.store.dialects.sqlite import backup, soundness, write_ahead_log
from mailauth.vocabulary.errors import StoreUnavailable
from mailauth.vocabulary.model import AccountName

NOW = datetime(2025, 6, 1, tzinfo=UTC)
HASH = "x" * 400
NAMES_BESIDE = ("wal", "shm", "journal")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "var").mkdir()
    file = tmp_path / "var" / "mailauth.db"
    upkeep.create(f"sqlite:///{file}")
    database = Database(f"sqlite:///{file}")
    schema.upgrade(database)
    database.close()
    return file


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{file}")
    yield database
    database.close()


def add(database: Database, *numbers: int) -> None:
    def job(connection: Connection) -> None:
        for number in numbers:
            accounts.add(connection, AccountName(f"a{number:05}@mailitwize.be"), HASH, NOW)

    database.write(job)


def remove_all(database: Database) -> None:
    database.write(lambda connection: connection.exec_driver_sql("DELETE FROM account"))


def names(file: Path) -> list[str]:
    database = Database(f"sqlite:///{file}")
    try:
        return [summary.name for summary in database.read(account_listing.summaries)]
    finally:
        database.close()


def crashed(database: Database, file: Path, to: Path) -> Path:
    """Copy a database and its log as a power cut leaves them, and return where the copy is."""
    to.mkdir()
    for name in (f"{file.name}-wal", file.name):
        shutil.copyfile(file.with_name(name), to / name)
    return to / file.name


def damage(file: Path) -> None:
    """Overwrite pages in the middle, as a disk does."""
    with file.open("r+b") as raw:
        raw.seek(4096 * 5)
        raw.write(os.urandom(4096 * (file.stat().st_size // 4096 - 8)))


def test_backup_while_others_write_is_one_state_in_one_private_file(
    database: Database, file: Path, tmp_path: Path
) -> None:
    """A copy with `cp` lacks what is only in the log, or is torn."""
    add(database, *range(50))
    is_over = threading.Event()

    def write() -> None:
        number = 50
        while not is_over.is_set():
            add(database, *range(number, number + 5))  # five at a time: never some of them
            number += 5

    writer = threading.Thread(target=write)
    writer.start()
    try:
        counts = []
        for number in range(5):
            copy = tmp_path / f"copy{number}.db"
            assert backup.back_up(file, copy) == copy.stat().st_size
            counts.append(len(names(copy)))
    finally:
        is_over.set()
        writer.join()
    assert all(count % 5 == 0 for count in counts)
    assert counts == sorted(counts)
    assert counts[0] >= 50
    assert stat.S_IMODE((tmp_path / "copy0.db").stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"var", *(f"copy{number}.db" for number in range(5))}


def test_backup_replaces_nothing_unless_told_to_and_never_the_database(
    database: Database, file: Path, tmp_path: Path
) -> None:
    add(database, 1)
    copy = tmp_path / "copy.db"
    copy.write_bytes(b"something")
    with pytest.raises(CannotBackUp, match="exists; replace it with --force"):
        backup.back_up(file, copy)
    assert copy.read_bytes() == b"something"
    backup.back_up(file, copy, replace=True)
    assert len(names(copy)) == 1
    (tmp_path / "link.db").symlink_to(file)
    for target in (file, tmp_path / "link.db"):
        with pytest.raises(CannotBackUp, match="is the database itself"):
            backup.back_up(file, target, replace=True)
    os.mkfifo(tmp_path / "pipe")
    for target in (tmp_path / "pipe", tmp_path):
        with pytest.raises(CannotBackUp, match="no file that a copy may replace"):
            backup.back_up(file, target, replace=True)
    database.read(account_listing.summaries)  # so that the log is there
    assert Path(f"{file}-wal").exists()
    (tmp_path / "link").symlink_to(file.parent)
    (tmp_path / "log").hardlink_to(f"{file}-wal")
    beside = [Path(f"{place}-{part}") for place in (file, tmp_path / "link" / file.name) for part in NAMES_BESIDE]
    for is_open in (True, False):
        if not is_open:
            database.close()
        for target in (*beside, *([tmp_path / "log"] if is_open else [])):
            with pytest.raises(CannotBackUp, match="has a name that SQLite uses"):
                backup.back_up(file, target, replace=True)
    with pytest.raises(CannotBackUp, match="No such file"):
        backup.back_up(file, tmp_path / "nowhere" / "copy.db")


def test_damaged_database_does_not_replace_a_good_backup(database: Database, file: Path, tmp_path: Path) -> None:
    add(database, *range(300))
    copy = tmp_path / "copy.db"
    backup.back_up(file, copy)
    good = copy.read_bytes()
    database.close()
    damage(file)
    with pytest.raises(CannotBackUp, match=r"damaged|malformed"):
        backup.back_up(file, copy, replace=True)
    assert copy.read_bytes() == good
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "var"]


def restore(file: Path, source: Path) -> None:
    with backup.in_place_of(file, source):
        pass


def test_restore_puts_a_backup_in_place_and_keeps_what_was_there_with_its_log(
    database: Database, file: Path, tmp_path: Path
) -> None:
    add(database, 1)
    backup.back_up(file, tmp_path / "copy.db")
    add(database, 2)
    place = crashed(database, file, tmp_path / "crashed")
    restore(place, tmp_path / "copy.db")
    assert names(place) == ["a00001@mailitwize.be"], "the log that was left behind undid the restore"
    [kept] = backup.aside(place)
    assert names(kept) == ["a00001@mailitwize.be", "a00002@mailitwize.be"], "its log is lost"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert names(tmp_path / "copy.db") == ["a00001@mailitwize.be"]


def test_log_that_a_restore_has_not_put_aside_any_more_is_put_aside_by_the_next_one(
    database: Database, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the log alone is nowhere else."""
    add(database, 1)
    backup.back_up(file, tmp_path / "copy.db")
    add(database, 2)
    place, rename = crashed(database, file, tmp_path / "crashed"), Path.rename

    def killed(self: Path, target: Path) -> Path:
        if self.name.endswith("-wal"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        restore(place, tmp_path / "copy.db")
    monkeypatch.undo()
    assert not place.exists()
    restore(place, tmp_path / "copy.db")
    assert names(place) == ["a00001@mailitwize.be"]
    [kept] = backup.aside(place)
    assert names(kept) == ["a00001@mailitwize.be", "a00002@mailitwize.be"], "its log is lost"


def test_log_of_nothing_that_was_put_aside_is_kept_by_itself(database: Database, file: Path, tmp_path: Path) -> None:
    add(database, 1)
    backup.back_up(file, tmp_path / "copy.db")
    database.close()
    restore(file, tmp_path / "copy.db")
    stranger = tmp_path / "stranger.db"
    shutil.copyfile(tmp_path / "copy.db", stranger)
    other = Database(f"sqlite:///{stranger}")
    add(other, 7)
    log = Path(f"{stranger}-wal").read_bytes()
    other.close()
    file.unlink()
    Path(f"{file}-wal").write_bytes(log)
    restore(file, tmp_path / "copy.db")
    [kept] = backup.aside(file)
    assert names(kept) == names(file) == ["a00001@mailitwize.be"]
    assert [path.read_bytes() for path in file.parent.glob("*.replaced-*-wal")] == [log]


def test_database_is_not_begun_beside_the_log_of_another(database: Database, file: Path) -> None:
    add(database, 1)
    log = Path(f"{file}-wal").read_bytes()
    database.close()
    file.unlink()
    Path(f"{file}-wal").write_bytes(log)
    with pytest.raises(StoreUnavailable, match="without its database"):
        upkeep.create(f"sqlite:///{file}")
    assert not file.exists()


def test_restore_works_where_the_database_is_damaged_or_gone(database: Database, file: Path, tmp_path: Path) -> None:
    add(database, *range(300))
    backup.back_up(file, tmp_path / "copy.db")
    database.close()
    damage(file)
    restore(file, tmp_path / "copy.db")
    assert len(names(file)) == 300
    file.unlink()
    restore(file, tmp_path / "copy.db")
    assert len(names(file)) == 300


def test_restore_is_refused_while_anybody_has_the_database_open(
    database: Database, file: Path, tmp_path: Path
) -> None:
    """Another process's locks: those of one's own never stand in one's way (fcntl(2))."""
    import subprocess
    import sys

    add(database, 1)
    backup.back_up(file, tmp_path / "copy.db")
    script = (
        "import sys; from pathlib import Path; from mailauth.effects.store.dialects.sqlite import backup\n"
        "with backup.in_place_of(Path(sys.argv[1]), Path(sys.argv[2])): pass"
    )
    add(database, 2)
    words = [sys.executable, "-c", script, str(file), str(tmp_path / "copy.db")]
    refused = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert "is in use; nothing was changed" in refused.stderr
    add(database, 3)
    database.close()
    assert len(names(file)) == 3
    assert subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).returncode == 0
    assert len(names(file)) == 1


def test_damaged_backup_is_not_put_in_place(database: Database, file: Path, tmp_path: Path) -> None:
    add(database, *range(300))
    copy = tmp_path / "copy.db"
    backup.back_up(file, copy)
    database.close()
    damage(copy)
    for source in (copy, tmp_path / "missing.db"):
        with pytest.raises(CannotRestore, match=r"damaged|malformed|No such file"):
            restore(file, source)
    (tmp_path / "text").write_text("this is no database at all" * 200)
    with pytest.raises(CannotRestore, match="not a database"):
        restore(file, tmp_path / "text")
    assert len(names(file)) == 300
    assert backup.aside(file) == ()
    assert sorted(path.name for path in file.parent.iterdir()) == ["mailauth.db"]


def test_log_that_was_left_behind_is_noticed_and_nothing_is_changed(
    database: Database, file: Path, tmp_path: Path
) -> None:
    """Whichever way the file was replaced: by `cp`, by a backup, by an older copy; SQLite would apply the log."""
    add(database, *range(20))
    backup.back_up(file, tmp_path / "backup.db")
    remove_all(database)
    database.close()  # all that the log had is in the file now
    shutil.copyfile(file, tmp_path / "copied.db")
    for _ in range(3):
        again = Database(f"sqlite:///{file}")
        add(again, 7)
        remove_all(again)
        again.close()
    last = Database(f"sqlite:///{file}")
    add(last, *range(100, 140))
    for number, older in enumerate((tmp_path / "backup.db", tmp_path / "copied.db")):
        place = crashed(last, file, tmp_path / f"crashed{number}")
        assert len(names(shutil.copytree(place.parent, tmp_path / f"whole{number}") / place.name)) == 40
        shutil.copyfile(older, place)
        before = {path.name: path.read_bytes() for path in place.parent.iterdir()}
        with pytest.raises(StoreUnavailable, match=r"is not that of .*it was left there when the file was replaced"):
            names(place)
        with pytest.raises(StoreUnavailable, match="left there"):
            soundness.findings(place)
        with pytest.raises(StoreUnavailable, match="left there"):
            backup.back_up(place, tmp_path / "never.db")
        assert {path.name: path.read_bytes() for path in place.parent.iterdir()} == before
    last.close()


def test_log_is_noticed_though_it_began_where_the_copy_ends(file: Path, tmp_path: Path) -> None:
    """The commonest restore: stopped, copied, started, killed, and copied back, the log forgotten."""
    database = Database(f"sqlite:///{file}")
    add(database, 1)
    database.close()
    nightly = tmp_path / "nightly.db"
    shutil.copyfile(file, nightly)
    database = Database(f"sqlite:///{file}")
    add(database, 2)
    assert names(crashed(database, file, tmp_path / "copied")) == ["a00001@mailitwize.be", "a00002@mailitwize.be"]
    shutil.copyfile(nightly, tmp_path / "new.db")
    shutil.copy2(nightly, tmp_path / "newer.db")
    for put in (
        lambda: shutil.copyfile(nightly, file),
        lambda: (tmp_path / "new.db").rename(file),
        lambda: (tmp_path / "newer.db").rename(file),
    ):
        put()
        with pytest.raises(StoreUnavailable, match="left there"):
            write_ahead_log.require_own(file)
    assert not (tmp_path / "new.db").exists()
    database.close()


def test_log_is_taken_though_the_clock_was_set_back_before_it_began(database: Database, file: Path) -> None:
    """CLK1: no lock-out by a clock. The file is from later than its log then, and as it was all the same."""
    add(database, 1)
    database.close()
    ahead_ns = time.time_ns() + 7200 * 10**9
    os.utime(file, ns=(ahead_ns, ahead_ns))
    again = Database(f"sqlite:///{file}")
    add(again, 2)
    file.chmod(0o640)  # a change of the file that is none of its content
    write_ahead_log.require_own(file)
    assert len(names(file)) == 2
    again.close()


def test_log_of_ones_own_is_taken_after_every_crash(database: Database, file: Path, tmp_path: Path) -> None:
    """Also where part of it is in the file already, a new log has begun, or others write meanwhile."""
    other = Database(f"sqlite:///{file}")
    checkpoint = sqlite3.connect(file, isolation_level=None)
    for number in range(40):
        add(database if number % 3 else other, number)
        if number % 7 == 0:
            checkpoint.execute("PRAGMA wal_checkpoint(PASSIVE)")
        if number % 11 == 0:
            checkpoint.execute("PRAGMA wal_checkpoint(RESTART)")
        write_ahead_log.require_own(file)
        place = crashed(database, file, tmp_path / f"crashed{number}")
        assert len(names(place)) == number + 1
    checkpoint.close()
    other.close()


def test_log_that_a_power_cut_tore_is_taken_as_far_as_it_goes(database: Database, file: Path, tmp_path: Path) -> None:
    add(database, *range(100))
    place = crashed(database, file, tmp_path / "crashed")
    log = write_ahead_log.log_of(place)
    whole = log.read_bytes()
    for kept in (0, 10, 32, 40, 60, 500, 4096, len(whole) // 2, len(whole) - 1):
        for rest in (b"", bytes(len(whole) - kept)):
            log.write_bytes(whole[:kept] + rest)
            write_ahead_log.require_own(place)


def test_log_that_is_taken_away_while_it_is_used_ends_writing_to_it(database: Database, file: Path) -> None:
    """What is written to it after that would be gone with the process."""
    add(database, 1)
    write_ahead_log.log_of(file).unlink()
    with pytest.raises(StoreUnavailable, match="the log of the database is gone"):
        add(database, 2)


def test_damage_is_found_and_told_in_time(database: Database, file: Path) -> None:
    add(database, *range(300))
    assert soundness.findings(file) == ()
    told: list[tuple[str, ...]] = []
    sound = soundness.SqliteInspection(file, told.append)
    assert sound.wait(60) == ()
    sound.stop()
    database.close()
    damage(file)
    found = soundness.findings(file)
    assert found
    assert soundness.SqliteInspection(file, told.append).wait(60) == found
    assert told == [(), found]


def test_inspection_that_nobody_waits_for_goes_on_and_tells_what_it_found(database: Database, file: Path) -> None:
    add(database, *range(300))
    may_end, has_ended = threading.Event(), threading.Event()

    def ended(_found: tuple[str, ...]) -> None:
        assert may_end.wait(60)
        has_ended.set()

    inspection = soundness.SqliteInspection(file, ended)
    assert inspection.wait(0.01) is None
    may_end.set()
    assert has_ended.wait(60)
    assert inspection.wait(60) == ()


def test_database_that_proves_damaged_is_not_written_to_any_more(file: Path) -> None:
    database = Database(f"sqlite:///{file}")
    add(database, *range(300))
    database.condemn(["page 7 is amiss"])
    before = file.read_bytes()
    for use in (database.write, database.read):
        with pytest.raises(StoreUnavailable, match=r"is damaged .page 7 is amiss.*mailauth db restore"):
            use(account_listing.summaries)
    assert file.read_bytes() == before
    database.close()


def test_damage_that_sqlite_comes_across_by_itself_ends_all_writing(file: Path) -> None:
    database = Database(f"sqlite:///{file}")
    add(database, *range(300))
    database.close()
    damage(file)
    database = Database(f"sqlite:///{file}")
    with pytest.raises(StoreUnavailable):
        database.read(account_listing.summaries)
    before = file.read_bytes()
    with pytest.raises(StoreUnavailable, match="is damaged"):
        add(database, 1000)
    assert file.read_bytes() == before
    database.close()


def test_file_in_place_of_a_damaged_one_is_used_at_once(database: Database, file: Path, tmp_path: Path) -> None:
    add(database, 1)
    backup.back_up(file, tmp_path / "copy.db")
    database.condemn(["page 7 is amiss"])
    shutil.copyfile(tmp_path / "copy.db", tmp_path / "new.db")
    for name in ("-wal", "-shm"):
        Path(f"{file}{name}").unlink(missing_ok=True)
    (tmp_path / "new.db").rename(file)
    add(database, 2)
    assert len(database.read(account_listing.summaries)) == 2


def test_damage_that_is_found_later_ends_reading_and_writing(file: Path) -> None:
    """The start waits for a second at most; what is found after that counts as well."""
    database = Database(f"sqlite:///{file}")
    add(database, *range(300))
    database.close()
    damage(file)
    database = Database(f"sqlite:///{file}")
    with contextlib.suppress(StoreUnavailable):  # where it was found at once
        inspection = database.inspect(0)
        assert isinstance(inspection, soundness.SqliteInspection)
        inspection.wait(60)
    with pytest.raises(StoreUnavailable, match="is damaged"):
        database.read(account_listing.summaries)
    database.close()


def test_one_process_inspects_at_a_time(database: Database, file: Path) -> None:
    turn = soundness.take_turn(file)
    assert turn is not None
    assert database.inspect(60) is None, "two looked at the same time"
    os.close(turn)
    inspection = database.inspect(60)
    assert isinstance(inspection, soundness.SqliteInspection)
    assert inspection.wait(60) == ()
