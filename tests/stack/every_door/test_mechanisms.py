"""Scanners and Outlook know LOGIN alone: it is offered where they send (DOOR6)."""

from __future__ import annotations

import pytest

from tests.stack import clients
from tests.stack.every_door.playing import Played
from tests.stack.every_door.ways import ways


@pytest.mark.parametrize("played", ways(), indirect=True, ids=str)
def test_who_knows_login_alone_can_send_by_postfix(played: Played) -> None:
    owner = played.site.owner()
    address = played.site.sandbox.postfix_submission
    login = clients.swaks(address, owner.name, owner.app_password(), mechanism="LOGIN")
    assert login, login.words
    assert sorted(clients.smtp_offer(address)) == ["LOGIN", "PLAIN"]
