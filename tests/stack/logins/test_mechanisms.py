"""Scanners and Outlook know LOGIN alone: it is offered where they send (DOOR6)."""

from __future__ import annotations

import smtplib

import pytest

from mailauth.core.limiter import MeterKind
from tests.stack import clients
from tests.stack.people import Site
from tests.stack.ways import on_each_way, on_the_first

OF_THE_ACCOUNT = {MeterKind.ACCOUNT, MeterKind.ACCOUNT_AND_SOURCE}


@on_each_way
def test_who_knows_login_alone_can_send_by_postfix(site: Site) -> None:
    owner = site.owner()
    secret = owner.app_password(site.way.of_postfix.service)
    for mechanism in ("LOGIN", "PLAIN"):
        login = clients.swaks(site.sandbox.postfix_submission, owner.name, secret, mechanism=mechanism)
        assert login, (mechanism, login.words)
    offered = clients.smtp_offer(site.sandbox.postfix_submission)
    assert sorted(offered) == ["LOGIN", "PLAIN"]


@on_the_first
def test_a_wrong_login_that_a_program_tries_by_both_counts_once_against_the_account(site: Site) -> None:
    owner = site.enrolled()
    for number, wrong in enumerate(("wrong horse", "wrong horse123456"), start=1):
        refused = pytest.raises(smtplib.SMTPAuthenticationError)
        with smtplib.SMTP(*site.sandbox.postfix_submission) as program, refused:
            program.login(owner.name, wrong)
        assert len(site.reasons(owner.name, 2 * number)) == 2 * number, "PLAIN first, and then LOGIN"
        found = [one for one in site.installation.limits.usages(owner.name) if one.meter.kind in OF_THE_ACCOUNT]
        assert {one.meter.rate.burst - one.left for one in found} == {number}, found
