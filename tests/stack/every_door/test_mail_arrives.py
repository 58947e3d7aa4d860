"""Mail by LMTP on every way: PAM, which knows no look-up, has mailauth's Lua passdb beside it (DOOR1)."""

from __future__ import annotations

import pytest

from tests.stack.delivery import BOUNCED, DELIVERED, WAITS, deliver, subjects
from tests.stack.every_door.playing import Played
from tests.stack.every_door.ways import ways

on_each_way = pytest.mark.parametrize("played", ways(), indirect=True, ids=str)


@on_each_way
def test_mail_arrives_for_who_exists_and_bounces_for_who_does_not(played: Played) -> None:
    site = played.site
    owner, disabled = site.owner(), site.owner()
    alias = f"alias-of-{owner.name}"
    site.installation.accounts.add_alias(owner.name, alias)
    disabled.disable()
    for recipient in (owner.name, alias, disabled.name):
        reply = deliver(site.sandbox, recipient, f"to {recipient}")
        assert reply.startswith(DELIVERED), reply
    assert deliver(site.sandbox, f"nobody-{owner.name}").startswith(BOUNCED)
    namesake = owner.name.partition("@")[0] + "@elsewhere.example"
    assert deliver(site.sandbox, namesake).startswith(BOUNCED), "Debian's Dovecot 2.4 cuts off the domain by itself"
    assert subjects(site.sandbox, owner.name) == [f"to {owner.name}", f"to {alias}"]
    assert not site.log_of(owner.name), "a look-up is no login"


@on_each_way
def test_mail_waits_while_mailauth_is_away_or_hung(played: Played) -> None:
    for outage in (played.stopped, played.hung):
        assert outage.mail.startswith(WAITS), outage.mail
