"""APP4: what a revocation does to a session that is open: nothing, until the line that it prints is run."""

from __future__ import annotations

import imaplib
import shlex

from tests.stack import clients, sandboxes
from tests.stack.people import Site, until
from tests.stack.ways import on_each_main_dovecot


def is_open(client: imaplib.IMAP4) -> bool:
    """Unlike aioimaplib, imaplib says at once that its connection is gone."""
    try:
        return client.noop()[0] == "OK"
    except (imaplib.IMAP4.error, OSError):
        return False


@on_each_main_dovecot
def test_open_session_goes_on_until_the_line_that_revoke_prints_is_run(site: Site) -> None:
    owner = site.owner()
    secret = owner.app_password()
    client = imaplib.IMAP4(*site.sandbox.imap, timeout=clients.TIMEOUT_S)
    client.login(owner.name, secret)
    said = site.sandbox.command("app-password", "revoke", owner.name, "--all")
    assert is_open(client), "then the words of the README and of the command are not true any more"
    [line] = [line.strip() for line in said.splitlines() if "doveadm kick" in line]
    _, *words = shlex.split(line)
    sandboxes.run([str(site.sandbox.doveadm), *words])
    until(lambda: not is_open(client), "whoever is kicked reads no more")
    client.shutdown()
    until(lambda: not clients.imap(site.sandbox.imap, owner.name, secret), "nor, a second later, comes back")
