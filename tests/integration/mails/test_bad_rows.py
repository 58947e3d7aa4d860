"""MAIL7: whatever is in one row of the queue, it waits, the others leave, and the rest of `mailauth serve` goes on."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import literal, update

from mailauth.edges import process
from mailauth.edges.outbox import service
from mailauth.effects.keyring import Purpose
from mailauth.effects.store import outbox_pause
from mailauth.effects.store.outbox import last_at
from mailauth.effects.store.outbox_pause import Pause
from mailauth.effects.store.tables import outbox
from mailauth.effects.store.tables import outbox_pause as outbox_pause_table
from mailauth.usecases import housekeeping
from mailauth.usecases.delivery import Delivery, Progress
from mailauth.usecases.housekeeping import Housekeeping
from mailauth.vocabulary.errors import StoreUnavailable
from mailauth.vocabulary.notices import NoticeKind
from mailauth.wiring import mailing
from tests.integration.mails.conftest import Outbox
from tests.integration.mails.delivering import delivery
from tests.integration.mails.servers import Taken, smtp_server
from tests.transactions import writing


def sealed(box: Outbox, message_id: str, content: bytes) -> dict[str, Any]:
    value = box.keyring().seal(Purpose.OUTBOX, message_id, content)
    return {"content": value.blob, "key_id": value.key_id}


def bad_rows(box: Outbox, message_id: str) -> dict[str, dict[str, Any]]:
    """Return what may be wrong with a row."""
    notice = '{"account":"a@b","service":"imap","client":"","agent":"","facts":%s}'
    return {
        "a kind of a later version": {"kind": "from-the-future"},
        "no kind": {"kind": "../announcement"},
        "no content": {"content": None},
        "empty content": {"content": b""},
        "bytes that open to nothing": {"content": b"x" * 64},
        "a key that is gone": {"key_id": "gone"},
        "no JSON": sealed(box, message_id, b"{"),
        "no text": sealed(box, message_id, b"\xff\xfe"),
        "another shape": sealed(box, message_id, b"[]"),
        "facts missing": sealed(box, message_id, b'{"account":"a@b"}'),
        "facts that the template has not": {
            "kind": "recovery-code-used",
            **sealed(box, message_id, (notice % "{}").encode()),
        },
        "facts of another type": {
            "kind": "right-password-wrong-code",
            **sealed(box, message_id, (notice % '{"count":[],"since":7}').encode()),
        },
        "no address": {"recipient": "nobody"},
        "a header in the address": {"recipient": "x@example.org\r\nBcc: y@example.org"},
        "two addresses": {"recipient": "x@example.org, y@example.org"},
        "text for the time it was queued at": {"created_at": literal("x")},
        "bytes for the time it was queued at": {"created_at": literal(b"\xff")},
        "a time beyond all calendars": {"tried_since": literal(2**62)},
        "text for the number of tries": {"tries": literal("x")},
    }


async def test_what_cannot_be_sent_waits_with_a_word_and_keeps_nothing_else_from_leaving(
    box: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    for name in bad_rows(box, ""):
        box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
        row = box.rows()[-1]
        with writing(box.world.installation.database) as connection:
            connection.execute(update(outbox).where(outbox.c.id == row.id).values(bad_rows(box, row.message_id)[name]))
        box.tell(NoticeKind.AUTHENTICATOR_REMOVED)
        async with smtp_server() as server:
            progress = await delivery(box, server.port).run_once()
        bad, good = mailing.of(box.world.installation).delivery.all()[-2:]
        assert good.state == "accepted", name
        assert (progress.accepted, progress.postponed, progress.given_up) == (1, 1, 0), name
        assert bad.state == "waiting", name
        assert bad.last_error, name
        assert any(record.levelno == logging.ERROR for record in caplog.records), name
        caplog.clear()
        with writing(box.world.installation.database) as connection:
            connection.execute(outbox.delete())


async def test_when_the_owner_was_last_told_may_be_past_reading(box: Outbox) -> None:
    """Nothing but a second mail follows from it: nobody is kept out for a damaged row."""
    box.tell(NoticeKind.CODE_SET_APART)
    (row,) = box.rows()
    with writing(box.world.installation.database) as connection:
        connection.execute(update(outbox).values(created_at=literal("x")))
        assert last_at(connection, row.kind, row.recipient) is None


async def test_pause_that_cannot_be_read_is_none(box: Outbox) -> None:
    for damage in ({"since": literal("x")}, {"until": literal(2**62)}, {"wait_s": literal("x")}, {"wait_s": 2**62}):
        box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
        now = box.world.clock()
        with writing(box.world.installation.database) as connection:
            outbox_pause.save(
                connection, Pause("full", "450 full", now, now + timedelta(minutes=1), timedelta(minutes=1))
            )
            connection.execute(update(outbox_pause_table).values(damage))
        async with smtp_server() as server:
            assert (await delivery(box, server.port).run_once()).accepted == 1, damage


async def test_what_fails_amid_a_conversation_leaves_it_usable(box: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has heard of a sender by then; another mail is begun after RSET alone (RFC 5321 s4.1.4)."""
    for _ in range(4):
        box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    from aiosmtplib import SMTP

    data, calls = SMTP.data, []

    async def failing_once(self: SMTP, *args: Any, **options: Any) -> Any:
        calls.append(self)
        if len(calls) == 1:
            raise UnicodeError("nobody foresaw that")
        return await data(self, *args, **options)

    monkeypatch.setattr(SMTP, "data", failing_once)
    async with smtp_server() as server:
        progress = await delivery(box, server.port).run_once()
    assert (progress.accepted, progress.postponed) == (3, 1)


async def test_conversation_that_cannot_even_be_begun_postpones_mails(box: Outbox) -> None:
    """Settings that the SMTP library has its own opinion of."""
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    async with smtp_server(Taken()) as server:
        assert (await delivery(box, server.port, helo_name="no name\r\n").run_once()).postponed == 1
    assert "local_hostname" in box.rows()[0].last_error


@pytest.mark.parametrize("error", [RuntimeError("unforeseen"), StoreUnavailable("gone")])
async def test_worker_goes_on_whatever_a_round_ends_with(
    box: Outbox, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    rounds = 0
    stop = asyncio.Event()

    async def fail(self: Delivery, stop: asyncio.Event | None = None) -> Progress:
        nonlocal rounds
        rounds += 1
        if rounds == 3 and stop is not None:
            stop.set()
        raise error

    monkeypatch.setattr(Delivery, "run_once", fail)
    monkeypatch.setattr(service, "POLL_S", 0.01)
    monkeypatch.setattr(service, "AFTER_A_SURPRISE_S", 0.01)
    async with asyncio.timeout(30):
        await service.deliver_mails(box.world.installation, stop)
    assert rounds == 3


async def test_tidying_up_goes_on_whatever_it_meets(box: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    done = asyncio.Event()
    times = 0

    def fail(self: Housekeeping) -> int:
        nonlocal times
        times += 1
        if times == 3:
            done.set()
        raise ValueError("a row that nobody foresaw")

    monkeypatch.setattr(Housekeeping, "tidy", fail)
    monkeypatch.setattr(housekeeping, "EVERY_S", 0.01)
    task = asyncio.create_task(process._keep_house_for_ever(box.world.installation))
    async with asyncio.timeout(30):
        while not done.is_set():
            assert not task.done()
            await asyncio.sleep(0.01)
    task.cancel()
