"""Every character that a name may have, at every door of this machine's servers (NAME1)."""

from __future__ import annotations

from dataclasses import replace

from tests.stack import doors, naming
from tests.stack.doors import DOVEADM_ON_MAILAUTH, IMAP
from tests.stack.people import Site

BY_HAND = replace(IMAP, client=lambda sandbox, *login: naming.imap(sandbox.imap, *login))


def test_each_name_is_let_in_at_every_door_and_gets_its_mail(site: Site) -> None:
    tried = tuple(BY_HAND if door == IMAP else door for door in doors.of(site.set_up) if door != DOVEADM_ON_MAILAUTH)
    assert naming.wrong_at(site, tried) == []
