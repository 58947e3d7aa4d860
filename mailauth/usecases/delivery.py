"""Delivering what is queued: lease, write, hand over, and only then wipe.

A mail is leased by compare-and-set, so that two workers never have it at once, and is wiped in the transaction that
notes that a server has accepted it. A worker that dies in between leaves the lease to run out; the mail then goes
out again under the same Message-ID, for nothing may be lost and receivers know a repetition by that. What is not
accepted is tried again, ever more seldom, for three days.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from mailauth.core.clock import Clock
from mailauth.effects.log_lines import FIELDS
from mailauth.effects.mails.writing import Mails
from mailauth.effects.smtp import (
    Accepted,
    Conversation,
    Later,
    Outcome,
    PasswordFileUnusable,
    Refused,
    ServerAway,
    SmtpServer,
)
from mailauth.effects.store import outbox
from mailauth.effects.store.database import Database
from mailauth.effects.store.outbox import LeasedMail, MailSummary
from mailauth.usecases.notices import Notices
from mailauth.vocabulary.errors import InvalidValue, KeyUnusable, SealBroken

_log = logging.getLogger(__name__)

BATCH = 8
"""How many mails are leased at once: with the SMTP time-outs they are over before their lease is."""
LEASE = timedelta(minutes=5)
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
TRIED_FOR = timedelta(hours=72)
"""Three days, as mail servers do it (RFC 5321 s4.5.4.1 asks for four to five; a notice is old news by then)."""
KEPT_FOR = timedelta(days=30)
REMEMBERED_FOR = timedelta(days=3 * 366)
"""How long it is remembered that something was mailed which may be mailed once only."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What one round did."""

    accepted: int = 0
    postponed: int = 0
    given_up: int = 0

    @property
    def total(self) -> int:
        """How many mails were dealt with."""
        return self.accepted + self.postponed + self.given_up


class Delivery:
    """Takes mails out of the queue and hands them to the SMTP server."""

    def __init__(
        self,
        database: Database,
        notices: Notices,
        mails: Mails,
        server: SmtpServer,
        clock: Clock,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._notices = notices
        self._mails = mails
        self._server = server
        self._clock = clock
        self._draw = draw

    async def run_once(self) -> Progress:
        """Deliver some of what is due. Raises StoreUnavailable, Overloaded; nothing is lost by either."""
        now = self._clock()
        if not await self._database.run_reading(lambda: self._is_due(now)):
            return Progress()
        leased = await self._database.run(lambda: self._lease(now))
        if not leased:
            return Progress()
        counts = {Accepted: 0, Later: 0, Refused: 0}
        waiting = list(leased)
        try:
            async with self._server.conversation() as conversation:
                while waiting:
                    outcome = await self._hand_over(conversation, waiting[0])
                    counts[type(await self._note(waiting.pop(0), outcome))] += 1
        except (ServerAway, PasswordFileUnusable) as error:
            for mail in waiting:
                counts[type(await self._note(mail, Later(str(error))))] += 1
        return Progress(counts[Accepted], counts[Later], counts[Refused])

    def retry(self, mail_id: int) -> None:
        """Make a waiting mail due now. Raises InvalidValue where there is none."""
        with self._database.writing() as connection:
            if not outbox.retry(connection, mail_id, self._clock()):
                raise InvalidValue(f"no mail {mail_id} is waiting; see: mailauth outbox list")

    def all(self) -> tuple[MailSummary, ...]:
        """Return every mail that is kept, without what it says."""
        with self._database.reading() as connection:
            return outbox.summaries(connection)

    def purge(self) -> int:
        """Forget mails that ended long ago; return how many."""
        now = self._clock()
        with self._database.writing(durable=False) as connection:
            return outbox.purge(connection, now - KEPT_FOR, now - REMEMBERED_FOR)

    def _is_due(self, now: datetime) -> bool:
        with self._database.reading() as connection:
            return outbox.is_due(connection, now)

    def _lease(self, now: datetime) -> tuple[LeasedMail, ...]:
        with self._database.writing() as connection:
            return outbox.lease(connection, now, now + LEASE, BATCH)

    async def _hand_over(self, conversation: Conversation, mail: LeasedMail) -> Outcome:
        try:
            notice = self._notices.opened(mail)
        except (SealBroken, KeyUnusable) as error:
            _log.error("a queued mail cannot be opened: %s", error)
            return Later(str(error))
        message = self._mails.write(notice, mail.language, mail.recipient, mail.message_id)
        return await conversation.hand_over(message, mail.recipient)

    async def _note(self, mail: LeasedMail, outcome: Outcome) -> Outcome:
        """Write down what became of a mail; return it, or Refused where it has been tried for too long."""
        now = self._clock()
        if isinstance(outcome, Later) and now - mail.created_at >= TRIED_FOR:
            outcome = Refused(f"tried for {TRIED_FOR.days} days: {outcome.error}")
        await self._database.run(lambda: self._write_down(mail, outcome, now))
        fields = {"recipient": mail.recipient, "message_id": mail.message_id, "kind": mail.kind, "tries": mail.tries}
        match outcome:
            case Accepted():
                _log.info("mail accepted", extra={FIELDS: fields})
            case Later(error=error):
                _log.warning("mail not accepted yet", extra={FIELDS: {**fields, "error": error}})
            case Refused(error=error):
                _log.error("mail given up", extra={FIELDS: {**fields, "error": error}})
            case _:
                assert_never(outcome)
        return outcome

    def _write_down(self, mail: LeasedMail, outcome: Outcome, now: datetime) -> None:
        with self._database.writing() as connection:
            match outcome:
                case Accepted():
                    outbox.accept(connection, mail, now)
                case Later(error=error):
                    outbox.postpone(connection, mail, now + self._wait(mail.tries), error)
                case Refused(error=error):
                    outbox.give_up(connection, mail, now, error)
                case _:
                    assert_never(outcome)

    def _wait(self, tries: int) -> timedelta:
        """Return how long to wait after so many tries: twice as long each time, and not all at the same moment."""
        wait: timedelta = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(tries - 1, 16))
        return wait * (0.75 + 0.5 * self._draw())
