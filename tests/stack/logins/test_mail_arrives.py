"""Mail by LMTP with a userdb that knows nobody (`--userdb static`): Dovecot asks mailauth who exists (DOOR1)."""

from __future__ import annotations

from tests.stack.delivery import BOUNCED, DELIVERED, WAITS, deliver, subjects
from tests.stack.people import Site, on_each_dovecot


@on_each_dovecot
def test_mail_arrives_for_who_exists_bounces_for_who_does_not_and_waits_while_nobody_knows(site: Site) -> None:
    owner, disabled = site.owner(), site.owner()
    alias = f"alias-of-{owner.name}"
    site.installation.accounts.add_alias(owner.name, alias)
    disabled.disable()
    for recipient, subject in ((owner.name, "by name"), (alias, "by alias"), (disabled.name, "to the disabled")):
        reply = deliver(site.sandbox, recipient, subject)
        assert reply.startswith(DELIVERED), reply
    assert deliver(site.sandbox, f"nobody-{owner.name}").startswith(BOUNCED)
    site.stop()
    try:
        for recipient in (owner.name, f"newcomer-{owner.name}"):
            reply = deliver(site.sandbox, recipient)
            assert reply.startswith(WAITS), reply
    finally:
        site.start()
    assert deliver(site.sandbox, owner.name, "after it").startswith(DELIVERED)
    assert subjects(site.sandbox, owner.name) == ["by name", "by alias", "after it"]
    assert subjects(site.sandbox, disabled.name) == ["to the disabled"]
    assert not site.log_of(owner.name), "a look-up is no login"
