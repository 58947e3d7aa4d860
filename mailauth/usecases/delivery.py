"""Delivering what is queued: lease, write, hand over, and only then wipe.

A mail is leased by compare-and-set, so that two workers never have it at once, and is wiped in the transaction that
notes that a server has accepted it. A worker that dies in between leaves the lease to run out; the mail then goes
out again under the same Message-ID, for nothing may be lost and receivers know a repetition by that. What is not
accepted is tried again, ever more seldom, for three days.
"""

import asyncio
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

LANES = 3
"""How many mails are under way at once, over as many connections."""
PER_LANE = 8
"""How many mails one connection takes before what is due is looked at again."""
LEASE = timedelta(minutes=5)
MAIL_DEADLINE_S = 60.0
"""How long one mail may take. None is begun that could outlast its lease, and be sent by another worker as well."""
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

    def __add__(self, other: "Progress") -> "Progress":
        return Progress(
            self.accepted + other.accepted, self.postponed + other.postponed, self.given_up + other.given_up
        )

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

    async def run_once(self, stop: asyncio.Event | None = None) -> Progress:
        """Deliver some of what is due. Raises StoreUnavailable, Overloaded; nothing is lost by either.

        Once `stop` is set, no more is begun; what was leased is given back.
        """
        stop = asyncio.Event() if stop is None else stop
        now = self._clock()
        if not await self._database.run_reading(lambda: self._is_due(now)):
            return Progress()
        leased = await self._database.run(lambda: self._lease(now))
        lanes = [leased[start::LANES] for start in range(min(LANES, len(leased)))]
        done = await asyncio.gather(*(self._deliver(list(lane), now, stop) for lane in lanes), return_exceptions=True)
        total = Progress()
        for result in done:
            if isinstance(result, BaseException):
                raise result
            total += result
        return total

    async def _deliver(self, waiting: list[LeasedMail], leased_at: datetime, stop: asyncio.Event) -> Progress:
        """Hand over what one lane has leased, in one conversation."""
        begins_until = leased_at + LEASE - timedelta(seconds=MAIL_DEADLINE_S)
        counts = {Accepted: 0, Later: 0, Refused: 0}
        try:
            async with self._server.conversation() as conversation:
                while waiting and not stop.is_set() and self._clock() < begins_until:
                    outcome = await self._hand_over(conversation, waiting[0])
                    counts[type(await self._note(waiting.pop(0), outcome))] += 1
        except (ServerAway, PasswordFileUnusable) as error:
            for mail in waiting:
                counts[type(await self._note(mail, Later(str(error))))] += 1
            waiting.clear()
        if waiting:
            await self._database.run(lambda: self._release(waiting))
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
            return outbox.lease(connection, now, now + LEASE, LANES * PER_LANE)

    def _release(self, mails: list[LeasedMail]) -> None:
        with self._database.writing() as connection:
            for mail in mails:
                outbox.release(connection, mail)

    async def _hand_over(self, conversation: Conversation, mail: LeasedMail) -> Outcome:
        try:
            notice = self._notices.opened(mail)
        except (SealBroken, KeyUnusable) as error:
            _log.error("a queued mail cannot be opened: %s", error)
            return Later(str(error))
        try:
            message = self._mails.write(notice, mail.language, mail.recipient, mail.message_id)
            async with asyncio.timeout(MAIL_DEADLINE_S):
                return await conversation.hand_over(message, mail.recipient)
        except TimeoutError as error:
            raise ServerAway(f"no end of the conversation within {MAIL_DEADLINE_S:.0f} s") from error
        except ServerAway:
            raise
        except Exception as error:
            # What nobody foresaw about one mail must not keep the others from leaving.
            _log.exception("a mail could not be sent", extra={FIELDS: {"message_id": mail.message_id}})
            return Later(repr(error))

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
