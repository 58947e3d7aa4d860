"""mailauth killed in the middle of a burst of logins: what was spent stays spent, and all goes on after a restart."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter

from tests.rounds import rounds
from tests.stack.bursts import SmtpSession, Try, over_imap, sources
from tests.stack.doors import IMAP, IN, POSTFIX
from tests.stack.people import PATIENCE_S, Owner, Site, until
from tests.stack.ways import on_each_main_dovecot

OWNERS = 8
CLIENTS_EACH = 4
ROUNDS = 2


async def interrupted_burst(site: Site, tries: list[Try], pid: int) -> list[tuple[Try, str]]:
    """Log in by all, half over IMAP, half over Postfix; kill mailauth once somebody has passed."""
    over_smtp, imap = tries[::2], tries[1::2]
    sessions = await asyncio.gather(
        *(SmtpSession.open(site.sandbox.postfix_submission, each.source) for each in over_smtp)
    )
    someone_passed = asyncio.Event()

    async def smtp(session: SmtpSession, each: Try) -> str:
        outcome = await session.log_in(each.name, each.secret)
        if outcome == IN:
            someone_passed.set()
        await session.close()
        return outcome

    async def kill() -> None:
        await asyncio.wait_for(someone_passed.wait(), PATIENCE_S)
        os.kill(pid, signal.SIGKILL)

    killing = asyncio.create_task(kill())
    by_imap = asyncio.create_task(over_imap(site, imap))
    by_smtp = await asyncio.gather(*(smtp(*each) for each in zip(sessions, over_smtp, strict=True)))
    outcomes = [*zip(over_smtp, by_smtp, strict=True), *zip(imap, await by_imap, strict=True)]
    await killing
    return outcomes


def present(number: int, owner: Owner) -> str:
    return owner.password + owner.recovery_codes()[0] if number % 2 else owner.typed()


@on_each_main_dovecot
def test_no_code_passes_twice_though_mailauth_is_killed_in_a_burst(site: Site) -> None:
    interrupted = 0
    for _ in rounds(ROUNDS):
        pid = site.pid()
        owners = [site.enrolled() for _ in range(OWNERS)]
        secrets = {owner.name: present(number, owner) for number, owner in enumerate(owners)}
        before, after = sources(CLIENTS_EACH), sources(CLIENTS_EACH, first=100)
        outcomes = asyncio.run(
            interrupted_burst(site, [Try(*each, source) for source in before for each in secrets.items()], pid)
        )
        interrupted += sum(IMAP.unavailable in words or words.startswith("454 4.7.0 ") for _, words in outcomes)
        site.start()
        again = [Try(*each, source) for source in after for each in secrets.items()]
        outcomes += zip(again, asyncio.run(over_imap(site, again)), strict=True)
        passed = Counter(each.name for each, words in outcomes if words == IN)
        assert passed, outcomes
        assert max(passed.values()) == 1, [site.log_of(name) for name, count in passed.items() if count > 1]
        # Whose code was not spent when the server died has passed after the restart.
        assert len(passed) >= OWNERS // 2, outcomes
    assert interrupted, "each burst was over before the server was killed"


@on_each_main_dovecot
def test_logins_go_on_after_a_kill_without_a_restart_of_dovecot_or_postfix(site: Site) -> None:
    pids = [site.pid(name) for name in ("dovecot", "postfix")]
    os.kill(site.pid(), signal.SIGKILL)
    site.start()
    owner = site.enrolled()
    typed = owner.typed()
    assert IMAP.login(site, owner.name, typed) == IN
    until(lambda: POSTFIX.login(site, owner.name, typed) == IN, "Postfix lets in again")
    assert [site.pid(name) for name in ("dovecot", "postfix")] == pids
