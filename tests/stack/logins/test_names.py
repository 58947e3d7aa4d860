"""Every character that a name may have, at every door (NAME1)."""

from __future__ import annotations

from dataclasses import replace

from tests.stack import naming
from tests.stack.doors import DOVEADM_ON_MAILAUTH, Door
from tests.stack.people import Site
from tests.stack.ways import on_each_way


def by_hand(door: Door) -> Door:
    if door.name != "imap":
        return door
    return replace(door, client=lambda sandbox, *login: naming.imap(sandbox.imap, *login))


@on_each_way
def test_each_name_is_let_in_at_every_door_and_gets_its_mail(site: Site) -> None:
    tried = tuple(by_hand(door) for door in site.way.doors if door != DOVEADM_ON_MAILAUTH)
    assert naming.wrong_at(site, tried) == []
