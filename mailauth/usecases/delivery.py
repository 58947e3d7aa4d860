"""Delivering what is queued: lease, write, hand over, and only then wipe.

A mail is leased by compare-and-set, so that two workers never have it at once, and is wiped in the transaction that
notes that a server has accepted it. A worker that dies in between leaves the lease to run out; the mail then goes
out again under the same Message-ID, for nothing may be lost and receivers know a repetition by that. What is not
accepted is tried again, ever more seldom, for three days, and kept for two weeks after that.

A mail is given up before only where the server says of its recipient that there is none (`core/smtp_replies.py`), and
not even then while it says so of everybody. A server that refuses everybody alike, or is not there, is complained of
once, loudly, and asked about one mail now and then until it takes one: a relay that is set up wrongly costs time only.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from sqlalchemy import Connection

from mailauth.core import mail_address
from mailauth.core.clock import Clock
from mailauth.core.relay_streak import Refusal, RelayStreak
from mailauth.effects.log_lines import FIELDS
from mailauth.effects.mails.writing import Mails
from mailauth.effects.smtp import (
    Accepted,
    Later,
    Outcome,
    PasswordFileUnusable,
    Refused,
    ServerAway,
    SmtpConversation,
    SmtpServer,
)
from mailauth.effects.store import outbox, outbox_leases, outbox_pause
from mailauth.effects.store.database import Database
from mailauth.effects.store.outbox import GIVEN_UP, WAITING, MailSummary
from mailauth.effects.store.outbox_leases import Leased, LeasedMail
from mailauth.effects.store.outbox_pause import Pause
from mailauth.usecases.notices import Notices
from mailauth.vocabulary.errors import InvalidValue, MailauthError

_log = logging.getLogger(__name__)

LANES = 3
"""How many mails are under way at once, over as many connections."""
PER_LANE = 8
"""How many mails one connection takes before what is due is looked at again."""
LEASE = timedelta(minutes=15)
MAIL_DEADLINE_S = 660.0
"""How long one mail may take: more than the server may take for the reply to its end, so that none is sent twice for
that. None is begun that could outlast its lease, and be sent by another worker as well."""
STOP_PATIENCE_S = 30.0
"""How long a mail that is under way is waited for once the process is asked to stop."""
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
TRIED_FOR = timedelta(hours=72)
"""Three days, as mail servers do it (RFC 5321 s4.5.4.1 asks for four to five; a notice is old news by then)."""
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=15)
"""How long a server is left alone that refuses everybody alike, before it is asked about one mail again."""
FEWEST_TRIES = 10
"""Of a mail before it is given up for its age: the clock may have jumped, or the server have been left alone."""
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


_NotTaken = tuple[LeasedMail, Refused | Later]


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
        self._streak = RelayStreak()

    async def run_once(self, stop: asyncio.Event | None = None) -> Progress:
        """Deliver some of what is due. Raises StoreUnavailable, Overloaded; nothing is lost by either.

        Once `stop` is set, no more is begun; what was leased is given back.
        """
        stop = asyncio.Event() if stop is None else stop
        now = self._clock()
        is_due, pause = await self._database.run_reading(lambda: self._look(now))
        if not is_due or (pause is not None and now < pause.until <= now + LONGEST_PAUSE):
            return Progress()
        leased, damaged = await self._database.run(lambda: self._lease(now, 1 if pause else LANES * PER_LANE))
        for row in damaged:
            _log.error("a queued mail cannot be read: %s", row.error, extra={FIELDS: {"id": row.id}})
        lanes = [leased[start::LANES] for start in range(min(LANES, len(leased)))]
        done = await asyncio.gather(*(self._deliver(list(lane), now, stop) for lane in lanes), return_exceptions=True)
        accepted, refused = 0, list[_NotTaken]()
        for result in done:
            if isinstance(result, BaseException):
                raise result
            accepted += result[0]
            refused += result[1]
        return Progress(accepted, len(damaged)) + await self._settle(accepted > 0, refused, pause)

    async def _deliver(
        self, waiting: list[LeasedMail], leased_at: datetime, stop: asyncio.Event
    ) -> tuple[int, list[_NotTaken]]:
        """Hand over what one lane has leased; return how many were accepted, and what was not.

        Where the conversation breaks off over one mail, the others get one more: it may have been that mail.
        """
        begins_until = leased_at + LEASE - timedelta(seconds=MAIL_DEADLINE_S)
        accepted, refused, is_broken = 0, list[_NotTaken](), False
        while waiting and not stop.is_set() and self._clock() < begins_until:
            under_way: LeasedMail | None = None
            try:
                async with self._conversation() as conversation:
                    while waiting and not stop.is_set() and self._clock() < begins_until:
                        under_way = waiting.pop(0)
                        outcome = await self._hand_over(conversation, under_way, stop)
                        if isinstance(outcome, Accepted):
                            await self._note(under_way, outcome)
                            accepted += 1
                        else:
                            refused.append((under_way, outcome))
                        under_way = None
            except (ServerAway, PasswordFileUnusable) as error:
                later = Later(str(error), error.reason if isinstance(error, ServerAway) else "password file")
                if under_way is not None:
                    refused.append((under_way, later))
                if under_way is None or is_broken:
                    refused += [(mail, later) for mail in waiting]
                    waiting.clear()
                is_broken = True
        if waiting:
            await self._database.run(lambda: self._release(waiting))
        return accepted, refused

    @contextlib.asynccontextmanager
    async def _conversation(self) -> AsyncIterator[SmtpConversation]:
        """Give a conversation. Raises ServerAway, PasswordFileUnusable, whatever else may be wrong with the server."""
        async with contextlib.AsyncExitStack() as stack:
            try:
                conversation = await stack.enter_async_context(self._server.conversation())
            except (ServerAway, PasswordFileUnusable):
                raise
            except Exception as error:
                _log.exception("no conversation with the SMTP server came about")
                raise ServerAway(repr(error)) from error
            yield conversation

    async def _settle(self, was_any_accepted: bool, not_taken: list[_NotTaken], pause: Pause | None) -> Progress:
        """Write down what was not taken, once the whole round tells whose fault it is; begin or end the pause."""
        refused = [(mail, outcome) for mail, outcome in not_taken if outcome.reason]
        refusals = [Refusal(mail.id, mail.recipient, outcome.reason) for mail, outcome in refused]
        alike = self._streak.note(accepted=was_any_accepted, refused=refusals)
        is_in_doubt = not was_any_accepted and (alike is not None or pause is not None)
        counts = {Later: 0, Refused: 0}
        for mail, outcome in not_taken:
            if isinstance(outcome, Refused) and is_in_doubt and self._streak.doubts(mail.id):
                noted = await self._note(mail, Later(outcome.error, outcome.reason))
            else:
                noted = await self._note(mail, outcome)
            counts[type(noted)] += 1
        if was_any_accepted and pause is not None:
            await self._database.run(self._end_pause)
            _log.warning("the SMTP server takes mails again", extra={FIELDS: {"server": self._server.place}})
        elif refused and is_in_doubt:
            told = next((outcome for _, outcome in refused if outcome.reason == alike), refused[-1][1])
            await self._pause(pause, told)
        return Progress(0, counts[Later], counts[Refused])

    async def _pause(self, pause: Pause | None, told: Refused | Later) -> None:
        """Leave the server alone for a while, longer each time; complain of it, once for each reason."""
        now = self._clock()
        wait = FIRST_PAUSE if pause is None else min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * pause.wait))
        since = now if pause is None else pause.since
        new = Pause(told.reason, told.error, since, now + wait, wait)
        await self._database.run(lambda: self._save_pause(new))
        if pause is None or pause.reason != told.reason:
            fields = {"server": self._server.place, "error": told.error, "see": "mailauth outbox list"}
            _log.critical("the SMTP server takes no mail at all: all of them wait", extra={FIELDS: fields})

    def retry(self, mail_id: int) -> None:
        """Make a mail due now that waits or was given up. Raises InvalidValue where there is none."""

        def retry(connection: Connection) -> None:
            if not outbox.retry(connection, mail_id, self._clock()):
                raise InvalidValue(
                    f"no mail {mail_id} is waiting, or was given up and is kept; see: mailauth outbox list"
                )
            outbox_pause.look_again(connection, self._clock())

        self._database.write(retry)

    def retry_all(self, *, waiting: bool, given_up: bool) -> int:
        """Make all mails due now that wait, or that were given up and are kept; return how many."""
        states = [state for state, chosen in ((WAITING, waiting), (GIVEN_UP, given_up)) if chosen]

        def retry_all(connection: Connection) -> int:
            outbox_pause.look_again(connection, self._clock())
            return sum(outbox.retry_all(connection, state, self._clock()) for state in states)

        return self._database.write(retry_all)

    def pause(self) -> Pause | None:
        """Return since when and why the server takes no mail; None where it does."""
        return self._database.read(outbox_pause.load)

    def all(self) -> tuple[MailSummary, ...]:
        """Return every mail that is kept, without what it says."""
        return self._database.read(outbox.summaries)

    def purge(self) -> int:
        """Forget mails that ended long ago; return how many."""
        now = self._clock()
        return self._database.write(
            lambda connection: outbox.purge(connection, now - KEPT_FOR, now - REMEMBERED_FOR), durable=False
        )

    def _look(self, now: datetime) -> tuple[bool, Pause | None]:
        return self._database.read(
            lambda connection: (outbox_leases.is_due(connection, now), outbox_pause.load(connection))
        )

    def _lease(self, now: datetime, limit: int = LANES * PER_LANE) -> Leased:
        return self._database.write(lambda connection: outbox_leases.lease(connection, now, now + LEASE, limit))

    def _release(self, mails: list[LeasedMail]) -> None:
        def release(connection: Connection) -> None:
            for mail in mails:
                outbox_leases.release(connection, mail)

        self._database.write(release)

    def _save_pause(self, pause: Pause) -> None:
        self._database.write(lambda connection: outbox_pause.save(connection, pause))

    def _end_pause(self) -> None:
        self._database.write(outbox_pause.end)

    async def _hand_over(self, conversation: SmtpConversation, mail: LeasedMail, stop: asyncio.Event) -> Outcome:
        """Return what became of a mail. Raises ServerAway, and nothing else: no mail keeps the others from leaving."""
        is_written = False
        try:
            # On a thread: it takes some hundredths of a second, in which the event loop answers logins.
            message = await asyncio.to_thread(self._written, mail)
            recipient = mail_address.checked(mail_address.in_ascii(mail.recipient))
            is_written = True
            async with asyncio.timeout(MAIL_DEADLINE_S) as deadline:
                hurrying = asyncio.create_task(_hurry(stop, deadline))
                try:
                    return await conversation.hand_over(message, recipient)
                finally:
                    hurrying.cancel()
        except TimeoutError as error:
            raise ServerAway("no end of the conversation in time", "time-out") from error
        except ServerAway:
            raise
        except MailauthError as error:
            _log.error("a queued mail cannot be sent: %s", error, extra={FIELDS: {"message_id": mail.message_id}})
            return Later(str(error))
        except Exception as error:
            _log.exception("a queued mail cannot be sent", extra={FIELDS: {"message_id": mail.message_id}})
            if is_written:
                await conversation.forget()
            return Later(repr(error))

    def _written(self, mail: LeasedMail) -> bytes:
        notice = self._notices.opened(mail)
        return self._mails.write(notice, mail.language, mail.recipient, mail.message_id).as_bytes()

    async def _note(self, mail: LeasedMail, outcome: Outcome) -> Outcome:
        """Write down what became of a mail; return it, or Refused where it has been tried for too long."""
        now = self._clock()
        is_old = now - mail.tried_since >= TRIED_FOR and mail.tries >= FEWEST_TRIES
        if isinstance(outcome, Later) and is_old:
            outcome = Refused(f"tried for {TRIED_FOR.days} days: {outcome.error}", outcome.reason)
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
        def write_down(connection: Connection) -> None:
            match outcome:
                case Accepted():
                    outbox_leases.accept(connection, mail, now)
                case Later(error=error):
                    outbox_leases.postpone(connection, mail, now + self._wait(mail.tries), error)
                case Refused(error=error):
                    outbox_leases.give_up(connection, mail, now, error)
                case _:
                    assert_never(outcome)

        self._database.write(write_down)

    def _wait(self, tries: int) -> timedelta:
        """Return how long to wait after so many tries: twice as long each time, and not all at the same moment."""
        wait: timedelta = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(tries - 1, 16))
        return wait * (0.75 + 0.5 * self._draw())


async def _hurry(stop: asyncio.Event, deadline: asyncio.Timeout) -> None:
    await stop.wait()
    soon = asyncio.get_running_loop().time() + STOP_PATIENCE_S
    deadline.reschedule(min(soon, deadline.when() or soon))
