"""Mail by LMTP with a userdb that knows nobody (`--userdb static`): Dovecot asks mailauth who exists (DOOR1).

PAM, which knows no look-up, has mailauth's Lua passdb in addition.
"""

from __future__ import annotations

from tests.stack.delivery import BOUNCED, DELIVERED, WAITS, deliver, subjects
from tests.stack.people import Site
from tests.stack.table import Played
from tests.stack.ways import on_each_dovecot


@on_each_dovecot
def test_mail_arrives_for_who_exists_and_bounces_for_who_does_not(site: Site) -> None:
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
    assert subjects(site.sandbox, disabled.name) == [f"to {disabled.name}"]
    assert not site.log_of(owner.name), "a look-up is no login"


@on_each_dovecot
def test_mail_waits_while_mailauth_is_away_or_hung_and_arrives_afterwards(played: Played) -> None:
    for outage in (played.stopped, played.hung):
        assert len(outage.mail) == 2, "to who exists, and to who does not"
        assert all(reply.startswith(WAITS) for reply in outage.mail), outage.mail
        assert outage.mail_afterwards.startswith(DELIVERED), outage.mail_afterwards
        assert subjects(played.site.sandbox, outage.name) == ["afterwards"]
