"""Scanners and Outlook know LOGIN alone: it is offered where they send (DOOR6)."""

from __future__ import annotations

from tests.stack import clients
from tests.stack.people import Site


def test_who_knows_login_alone_can_send_by_postfix(site: Site) -> None:
    owner = site.owner()
    secret = owner.app_password("submission")
    for mechanism in ("LOGIN", "PLAIN"):
        login = clients.swaks(site.sandbox.postfix_submission, owner.name, secret, mechanism=mechanism)
        assert login, (mechanism, login.words)
    offered = clients.smtp_offer(site.sandbox.postfix_submission)
    assert sorted(offered) == ["LOGIN", "PLAIN"]
