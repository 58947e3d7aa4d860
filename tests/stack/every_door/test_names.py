"""Every character that a name may have, at the doors that ../logins has not (NAME1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.stack import naming
from tests.stack.doors import Door
from tests.stack.every_door.playing import Played
from tests.stack.every_door.ways import Way, ways

each_way = pytest.mark.parametrize(
    ("way", "played"), [pytest.param(way, way, id=str(way)) for way in ways()], indirect=["played"]
)


def by_hand(door: Door) -> Door:
    if door.name != "imap":
        return door
    return replace(door, client=lambda sandbox, *login: naming.imap(sandbox.imap, *login))


@each_way
def test_each_name_is_let_in_at_every_door_and_gets_its_mail(way: Way, played: Played) -> None:
    assert naming.wrong_at(played.site, tuple(map(by_hand, way.doors))) == []
