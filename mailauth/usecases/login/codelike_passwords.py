"""Passwords that end in six digits: a device that sends one alone looks as if it sent another password with a code.

A string is read in one way, and so it is refused as a wrong password; nothing would ever tell its owner why the device
fails. When such a string comes again from the same network, the whole of it is compared once, after the reply and
beside the logins: only its owner hears what came of it, by the mail about a device that sends the password alone.
Nothing is granted by it, and every account's strings are looked at alike. On the event loop; one at a time.
"""

import asyncio
import logging
from collections import OrderedDict
from datetime import datetime, timedelta

from mailauth.core.password_chain import Right, Unanswered
from mailauth.core.source_entry import Asked
from mailauth.usecases.login.login_notices import LoginNotices
from mailauth.usecases.login.password_check import PasswordCheck
from mailauth.usecases.login.reservation import Admitted
from mailauth.vocabulary.model import Ask, Denied, Verdict
from mailauth.vocabulary.reasons import WhyDenied

log = logging.getLogger(__name__)

ONCE_IN = timedelta(days=1)
PACE = timedelta(seconds=10)
"""Between two looks, whoever's strings they are: what they cost is a thousandth of what a server hashes."""
MAX_ENTRIES = 10_000
"""More than are looked at in a day."""


class CodelikePasswords:
    """Finds out, now and then, that a device sends a right password which reads as one with a code."""

    def __init__(self, passwords: PasswordCheck, login_notices: LoginNotices) -> None:
        self._passwords = passwords
        self._login_notices = login_notices
        self._looked_at: OrderedDict[bytes, datetime] = OrderedDict()
        self._looking: asyncio.Task[None] | None = None
        self._last_at: datetime | None = None

    def consider(self, admitted: Admitted, verdict: Verdict, now: datetime) -> None:
        """Look at a login that was refused, if it is such a repetition. Cheap; returns at once."""
        is_wanted = isinstance(verdict, Denied) and not verdict.password_was_right and admitted.was_refused
        if not is_wanted or not admitted.meters.codes or admitted.attempt.ask is Ask.SECOND_FACTOR:
            return
        if self._looking is not None and not self._looking.done():
            return  # it comes again
        if self._last_at is not None and timedelta(0) <= now - self._last_at < PACE:
            return
        looked_at = self._looked_at.get(admitted.refused_digest)
        if looked_at is not None and timedelta(0) <= now - looked_at < ONCE_IN:
            return
        self._last_at = self._looked_at[admitted.refused_digest] = now
        self._looked_at.move_to_end(admitted.refused_digest)
        if len(self._looked_at) > MAX_ENTRIES:
            self._looked_at.popitem(last=False)
        self._looking = asyncio.get_running_loop().create_task(self._look(admitted, now))

    async def looked(self) -> None:
        """Wait until what is being looked at is known."""
        if self._looking is not None:
            await self._looking

    async def _look(self, admitted: Admitted, now: datetime) -> None:
        attempt, account = admitted.attempt, admitted.account
        asked = Asked(admitted.subject, attempt.service, bool(attempt.secured), attempt.client)
        answer = await self._passwords.answer(asked, account, attempt.secret.reveal())
        if isinstance(answer, Unanswered):
            log.debug("a repeated string was not looked at: %s", answer.error)
            return
        if isinstance(answer, Right) and account is not None and account.totp is not None and not account.disabled:
            alone = Denied(WhyDenied.CODE_MISSING, account.name, password_was_right=True)
            self._login_notices.note(attempt, alone, now)
