"""Work on many accounts leaves the write lock alone, so that logins get it (MAIL11)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from mailauth.effects.account_files.reading import AccountLine
from mailauth.usecases.giving_way import HELD_BEFORE_S, LEAST_PAUSE_S, GivingWay
from mailauth.vocabulary.errors import InvalidValue
from mailauth.wiring import mailing
from tests.world import World, WorldMaker


class Work:
    """Writes that take as long as they are told to, and the pauses after them."""

    def __init__(self, world: World, for_each_second: float) -> None:
        self.pauses: list[float] = []
        self._now = 0.0
        self._giving_way = GivingWay(
            world.installation.database, for_each_second, self.pauses.append, monotonic=lambda: self._now
        )

    def write(self, seconds: float, *, is_rehearsal: bool = False) -> str:
        def job(_connection: Connection) -> str:
            self._now += seconds
            return "done"

        return self._giving_way.write(job, is_rehearsal=is_rehearsal)


@pytest.mark.parametrize("is_rehearsal", [False, True])
def test_pause_comes_once_the_lock_was_held_for_long_and_is_long_enough(world: World, is_rehearsal: bool) -> None:
    work = Work(world, for_each_second=0.5)
    for _ in range(3):
        assert work.write(HELD_BEFORE_S / 4, is_rehearsal=is_rehearsal) == "done"
    assert work.pauses == []
    work.write(HELD_BEFORE_S / 2, is_rehearsal=is_rehearsal)
    assert work.pauses == [LEAST_PAUSE_S]
    work.write(1.0, is_rehearsal=is_rehearsal)
    assert work.pauses == [LEAST_PAUSE_S, pytest.approx(0.5)]
    work.write(HELD_BEFORE_S / 4, is_rehearsal=is_rehearsal)
    assert len(work.pauses) == 2, "it counts from the last pause"


def test_job_that_fails_is_undone_and_raises(world: World) -> None:
    def job(_connection: Connection) -> None:
        raise InvalidValue("no")

    with pytest.raises(InvalidValue):
        GivingWay(world.installation.database).write(job)


def announce(world: World) -> None:
    mailing.of(world.installation).campaign.announce()


def move_all(world: World) -> None:
    world.installation.accounts.move_all("", "panel")


def bring(world: World) -> None:
    world.installation.account_import.put_in_force([AccountLine(2, "other"), AccountLine(3, "another")])


def look_whether_they_can_be_brought(world: World) -> None:
    world.installation.account_import.put_in_force([AccountLine(2, "other")], dry_run=True)


def sync(world: World) -> None:
    world.installation.directory.sync("panel")


@pytest.mark.parametrize("work", [announce, move_all, bring, look_whether_they_can_be_brought, sync])
def test_work_on_many_accounts_gives_way(
    make_world: WorldMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[World], None]
) -> None:
    (tmp_path / "users").write_text("anna@hoster.example:{PLAIN}correct horse\n")
    panel = f'{{name="panel",kind="passwd-file",file="{tmp_path}/users",domains=["hoster.example"]}}'
    world = make_world(f'sources=[{panel},{{kind="own"}}]')
    world.add("somebody")
    jobs: list[object] = []
    write = GivingWay.write

    def noted(self: GivingWay, job: Callable[[Connection], Any], **how: bool) -> Any:
        jobs.append(job)
        return write(self, job, **how)

    monkeypatch.setattr(GivingWay, "write", noted)
    work(world)
    assert jobs
