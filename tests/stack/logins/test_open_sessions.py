"""APP4: what a revocation does to a session that is open: nothing, until the line that it prints is run."""

from __future__ import annotations

import asyncio
import shlex
import time

from tests.stack import clients, sandboxes
from tests.stack.people import PATIENCE_S, Site, on_each_dovecot


@on_each_dovecot
def test_open_session_goes_on_until_the_line_that_revoke_prints_is_run(site: Site) -> None:
    owner = site.owner()
    secret = owner.app_password()

    async def ended(client: clients.Imap) -> bool:
        try:
            return (await client.noop()).result != "OK"
        except Exception:  # however aioimaplib says that its connection is gone
            return True

    async def play() -> None:
        async with clients.imap_session(site.sandbox.imap) as client:
            assert (await client.login(owner.name, secret)).result == "OK"
            said = await asyncio.to_thread(site.sandbox.command, "app-password", "revoke", owner.name, "--all")
            assert not await ended(client), "then the words of the README and of the command are not true any more"
            [line] = [line.strip() for line in said.splitlines() if "doveadm kick" in line]
            _, *words = shlex.split(line)
            await asyncio.to_thread(sandboxes.run, [str(site.sandbox.doveadm), *words])
            ends_at = time.monotonic() + PATIENCE_S
            while not await ended(client):
                assert time.monotonic() < ends_at, "kicked, and still reading"

    asyncio.run(play())
    assert not clients.imap(site.sandbox.imap, owner.name, secret)
