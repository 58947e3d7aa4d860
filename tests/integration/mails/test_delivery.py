"""What becomes of queued mails at servers that take them, refuse them, or misbehave."""

import asyncio
import contextlib
import json
import logging
import sqlite3
from datetime import timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy import update

from mailauth.effects.keyring import Purpose
from mailauth.effects.log_lines import FIELDS
from mailauth.effects.smtp import SmtpServer
from mailauth.effects.store import outbox_leases, outbox_pause
from mailauth.effects.store.tables import outbox
from mailauth.usecases import delivery as deliveries
from mailauth.usecases.delivery import LANES, LEASE, LONGEST_WAIT, PER_LANE, Delivery
from mailauth.usecases.login import refunds
from mailauth.vocabulary.notices import NoticeKind
from mailauth.wiring import mailing
from tests.integration.mails.conftest import Outbox
from tests.integration.mails.delivering import delivery
from tests.integration.mails.servers import Taken, scripted_server, smtp_server
from tests.transactions import writing
from tests.world import WorldMaker

CODES = ["k7qm-2xvp-9hfd-c3wn", "abcd-efgh-jkmn-pqrs"]
GREETING = [b"220 mx ESMTP\r\n", b"250 mx\r\n"]


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


async def test_accepted_mail_is_wiped_and_holds_what_was_queued(box: Outbox) -> None:
    """MAIL1, REC4."""
    box.tell(NoticeKind.RECOVERY_CODES, codes=CODES, first=True)
    (before,) = box.rows()
    async with smtp_server() as server:
        assert (await delivery(box, server.port).run_once()).accepted == 1
    (mail,) = server.mails()
    assert server.envelopes[0].mail_from == "support@mailitwize.be"
    assert server.envelopes[0].rcpt_tos == ["alice@mailitwize.be"]
    assert mail["Message-ID"] == before.message_id
    for kind in ("plain", "html"):
        assert all(code in body(mail, kind) for code in CODES)
    (row,) = box.rows()
    assert (row.state, row.content, row.leased_until) == ("accepted", None, None)
    assert row.ended_at == box.world.clock()


async def test_headers_say_who_writes_to_whom_and_that_it_is_a_program(box: Outbox) -> None:
    box.set(language="nl")
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    async with smtp_server() as server:
        await delivery(box, server.port).run_once()
    (mail,) = server.mails()
    assert mail["From"] == "Mail-IT-Wize <support@mailitwize.be>"
    assert mail["To"] == "alice@mailitwize.be"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Content-Language"] == "nl"
    assert mail["Subject"] == "Uw authenticator-app is vervangen"
    assert mail["Date"].datetime == box.world.clock()


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_mail_whose_recipient_does_not_exist_is_given_up_at_once_and_kept(
    box: Outbox, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    async with smtp_server(Taken(replies={command: "550 5.1.1 nobody here"})) as server:
        assert (await delivery(box, server.port).run_once()).given_up == 1
    (row,) = box.rows()
    assert (row.state, row.content is None) == ("given-up", False)
    assert "nobody here" in row.last_error
    assert [record.levelno for record in caplog.records if record.message == "mail given up"] == [logging.ERROR]


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_mail_that_is_not_taken_now_is_tried_again_ever_more_seldom(box: Outbox, command: str) -> None:
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    waits = []
    async with smtp_server(Taken(replies={command: "451 4.3.0 try later"})) as server:
        ours = delivery(box, server.port)
        for _ in range(9):
            assert (await ours.run_once()).postponed == 1
            (row,) = box.rows()
            waits.append((row.next_at - box.world.clock()).total_seconds())
            assert (await ours.run_once()).total == 0
            box.world.clock.now = row.next_at
        server.replies.clear()
        assert (await ours.run_once()).accepted == 1
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert server.ids() == [row.message_id]


@pytest.mark.parametrize(("draw", "seconds"), [(0.0, 22), (1.0, 37)])
async def test_not_all_mails_are_tried_again_at_the_same_moment(box: Outbox, draw: float, seconds: int) -> None:
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    await delivery(box, 1, draw).run_once()
    assert (box.rows()[0].next_at - box.world.clock()).total_seconds() == seconds


async def test_server_down_for_an_hour_loses_nothing(box: Outbox) -> None:
    """F10: every mail that was queued meanwhile arrives, each once, under the Message-ID that it was queued with."""
    async with smtp_server() as server:
        port = server.port
    for minute in range(60):
        if minute % 5 == 0:
            box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
        await delivery(box, port).run_once()
        box.world.clock.advance(minutes=1)
    assert {row.state for row in box.rows()} == {"waiting"}
    async with smtp_server(Taken(port=port)) as server:
        for _ in range(60):
            await delivery(box, port).run_once()
            box.world.clock.advance(minutes=1)
    assert sorted(server.ids()) == sorted(row.message_id for row in box.rows())
    assert len(server.ids()) == 12


async def test_mail_is_given_up_after_three_days_with_an_error(box: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    begun = box.world.clock()
    while box.rows()[0].state == "waiting":
        await delivery(box, 1).run_once()
        assert box.world.clock() - begun <= timedelta(hours=74)
        box.world.clock.now = max(box.rows()[0].next_at, box.world.clock() + timedelta(seconds=1))
    (row,) = box.rows()
    assert (row.state, row.content is None) == ("given-up", False)
    assert timedelta(hours=72) <= row.ended_at - begun <= timedelta(hours=73, minutes=10)
    assert "mail given up" in caplog.text


async def test_connection_reset_right_after_the_yes_is_a_yes(box: Outbox) -> None:
    """F10."""
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    replies: list[bytes | None] = [*GREETING, b"250 yes\r\n", b"250 yes\r\n"]
    async with scripted_server([*replies, b""], after_data=b"250 taken\r\n") as server:
        assert (await delivery(box, server.port).run_once()).accepted == 1
        assert (await delivery(box, server.port).run_once()).total == 0
    assert server.ids() == [box.rows()[0].message_id]
    assert box.rows()[0].state == "accepted"


@pytest.mark.parametrize("after_data", [b"", b"25"])
async def test_connection_reset_before_the_yes_means_that_the_same_mail_goes_out_again(
    box: Outbox, after_data: bytes
) -> None:
    """F10: it may have been taken or not; its Message-ID tells the receiver."""
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    replies: list[bytes | None] = [*GREETING, b"250 yes\r\n", b"250 yes\r\n"]
    async with scripted_server([*replies, b""], after_data=after_data) as server:
        assert (await delivery(box, server.port).run_once()).postponed == 1
    box.world.clock.advance(minutes=1)
    async with smtp_server() as other:
        assert (await delivery(box, other.port).run_once()).accepted == 1
    assert server.ids() == other.ids() == [box.rows()[0].message_id]


@pytest.mark.parametrize("lines", [[None], [b"554 no\r\n"], [b"220 mx\r\n", None], [*GREETING, None], [b"what?\r\n"]])
async def test_server_that_breaks_off_anywhere_loses_nothing(box: Outbox, lines: list[bytes | None]) -> None:
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    async with scripted_server(lines) as server:
        assert (await delivery(box, server.port).run_once()).postponed == 1
    assert box.rows()[0].content is not None


async def test_slow_server_is_left_after_the_time_out(box: Outbox) -> None:
    """F10."""
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    never = asyncio.Event()

    async def hold() -> None:
        await never.wait()

    async with smtp_server(Taken(before_the_end=hold)) as server:
        impatient = delivery(box, server.port, timeout_s=0.2, content_timeout_s=0.2)
        assert (await impatient.run_once()).postponed == 1
        never.set()
    assert "imeout" in box.rows()[0].last_error or "imed out" in box.rows()[0].last_error


async def test_server_that_takes_long_over_a_mails_end_gets_it_once(box: Outbox) -> None:
    """A filter may take minutes there (RFC 5321 s4.5.3.2.6); a mail that is given up before is delivered twice."""
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)

    async def think() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.6)

    async with smtp_server(Taken(before_the_end=think)) as server:
        assert (await delivery(box, server.port, timeout_s=0.2).run_once()).accepted == 1
    assert len(server.mails()) == 1


async def test_mail_under_way_holds_up_no_stop(box: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "STOP_PATIENCE_S", 0.2)
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    never, stop = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        stop.set()
        await never.wait()

    async with smtp_server(Taken(before_the_end=hold)) as server:
        assert (await delivery(box, server.port).run_once(stop)).postponed == 1
        never.set()


async def test_one_bad_address_keeps_no_other_mail_from_leaving(box: Outbox) -> None:
    for number in range(5):
        box.tell(NoticeKind.CONFIRM_ADDRESS, address=f"user{number}@example.org", link="/link/x")
    async with smtp_server(Taken(replies={"user2@example.org": "550 5.1.1 unknown"})) as server:
        progress = await delivery(box, server.port).run_once()
    assert (progress.accepted, progress.given_up) == (4, 1)
    assert len(server.mails()) == 4


async def test_mail_that_cannot_be_written_keeps_no_other_from_leaving(box: Outbox) -> None:
    box.tell(NoticeKind.RECOVERY_CODE_USED)  # without the fact that it needs
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    async with smtp_server() as server:
        progress = await delivery(box, server.port).run_once()
    assert (progress.accepted, progress.postponed) == (1, 1)
    assert [row.state for row in box.rows()] == ["waiting", "accepted"]


async def test_mail_that_was_tampered_with_is_not_sent(box: Outbox) -> None:
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    database = sqlite3.connect(box.world.directory / "mailauth.db")
    database.execute("UPDATE outbox SET message_id = '<other@mailitwize.be>'")
    database.commit()
    database.close()
    async with smtp_server() as server:
        assert (await delivery(box, server.port).run_once()).postponed == 1
    assert server.mails() == []


async def test_several_mails_are_under_way_at_once_over_few_connections(box: Outbox) -> None:
    for _ in range(LANES * PER_LANE):
        box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    all_lanes = asyncio.Barrier(LANES)

    async def wait_for_the_others() -> None:
        async with asyncio.timeout(10):
            await all_lanes.wait()

    async with smtp_server(Taken(before_the_end=wait_for_the_others)) as server:
        assert (await delivery(box, server.port).run_once()).accepted == LANES * PER_LANE
    assert server.connections == LANES


async def test_what_has_not_begun_when_it_is_to_stop_is_due_for_the_next_worker(box: Outbox) -> None:
    for _ in range(LANES * 2):
        box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    stop = asyncio.Event()

    async def stop_now() -> None:
        stop.set()

    async with smtp_server(Taken(before_the_end=stop_now)) as server:
        first = await delivery(box, server.port).run_once(stop)
        assert 1 <= first.accepted <= LANES
        assert (await delivery(box, server.port).run_once()).accepted == LANES * 2 - first.accepted
    assert len(set(server.ids())) == len(server.ids()) == LANES * 2


async def test_two_workers_send_200_mails_once_each(box: Outbox) -> None:
    """MAIL1: leased by compare-and-set."""
    for _ in range(200):
        box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    async with smtp_server() as server:

        async def work() -> None:
            ours = delivery(box, server.port)
            while (await ours.run_once()).total:
                pass

        await asyncio.gather(work(), work())
    assert len(server.ids()) == 200
    assert sorted(server.ids()) == sorted(row.message_id for row in box.rows())


async def test_mail_that_another_worker_has_is_nobody_elses_until_its_lease_runs_out(box: Outbox) -> None:
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    async with smtp_server() as server:
        ours = delivery(box, server.port)
        dead = delivery(box, server.port)
        dead._lease(box.world.clock())
        assert (await ours.run_once()).total == 0
        box.world.clock.advance(minutes=14, seconds=59)
        assert (await ours.run_once()).total == 0
        box.world.clock.advance(seconds=1)
        assert (await ours.run_once()).accepted == 1
    assert server.ids() == [box.rows()[0].message_id]


async def test_what_was_noted_by_a_clock_that_was_ahead_leaves_once_it_is_right(box: Outbox) -> None:
    """CLK1. It was queued then, or tried in vain, or leased by a worker that ended."""
    now = box.world.clock()
    for ahead in (timedelta(hours=5), timedelta(days=20)):
        box.world.clock.now = now + ahead
        for _ in range(3):
            box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
        dead = delivery(box, 1)
        leased = dead._lease(box.world.clock(), 1)
        assert len(leased.mails) == 1
        assert (await delivery(box, 1).run_once()).postponed == 2
        with writing(box.world.installation.database) as connection:
            outbox_pause.end(connection)
        box.tell(NoticeKind.AUTHENTICATOR_REMOVED)
        box.world.clock.now = now
        async with smtp_server() as server:
            assert (await delivery(box, server.port).run_once()).accepted == 4, ahead


def test_no_wait_that_is_meant_is_taken_for_a_clock_that_was_ahead() -> None:
    assert max(1.25 * LONGEST_WAIT, LEASE, refunds.LIFE) < outbox_leases.LONGEST_AHEAD


async def test_no_code_is_in_the_database_or_the_log(box: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    """REC1, F12: neither while the mail waits nor after it has left."""
    caplog.set_level(logging.DEBUG, "mailauth")
    box.tell(NoticeKind.RECOVERY_CODES, codes=CODES, first=True)

    def dump() -> bytes:
        return b"".join(path.read_bytes() for path in box.world.directory.glob("mailauth.db*"))

    assert b"alice@mailitwize.be" in dump()
    for code in CODES:
        assert code.encode() not in dump()
    async with smtp_server() as server:
        await delivery(box, server.port).run_once()
    said = caplog.text + "".join(
        str(getattr(record, FIELDS, "")) for record in caplog.records if record.name.startswith("mailauth")
    )
    assert server.ids()[0] in said
    assert "recovery-codes" in said
    for code in CODES:
        assert code.encode() not in dump()
        assert code not in said


async def test_login_at_the_server_uses_the_password_file(box: Outbox) -> None:
    secret = box.world.directory / "smtp.password"
    secret.write_text("secret\n")
    secret.chmod(0o400)
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    server = Taken()
    async with smtp_server(server, authenticator=server.authenticate, auth_require_tls=False):
        ours = delivery(box, server.port, user="mailer", password_file=str(secret))
        assert (await ours.run_once()).accepted == 1
    assert server.logins == [("mailer", "secret")]


@pytest.mark.parametrize(("text", "mode"), [("secret", 0o440), ("secret", 0o604), ("", 0o400), (None, 0)])
async def test_password_file_that_others_can_read_or_that_is_none_is_not_used(
    box: Outbox, text: str | None, mode: int
) -> None:
    secret = box.world.directory / "smtp.password"
    if text is not None:
        secret.write_text(text)
        secret.chmod(mode)
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    async with smtp_server() as server:
        ours = delivery(box, server.port, user="mailer", password_file=str(secret))
        assert (await ours.run_once()).postponed == 1
    assert server.connections == 0
    assert "smtp.password" in box.rows()[0].last_error


async def test_wrong_password_at_the_server_loses_nothing(box: Outbox) -> None:
    secret = box.world.directory / "smtp.password"
    secret.write_text("wrong")
    secret.chmod(0o400)
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    server = Taken()
    async with smtp_server(server, authenticator=server.authenticate, auth_require_tls=False):
        ours = delivery(box, server.port, user="mailer", password_file=str(secret))
        assert (await ours.run_once()).postponed == 1
    assert server.mails() == []


async def test_mailbox_beyond_ascii_waits_for_a_server_that_takes_it_and_keeps_no_other_from_leaving(
    box: Outbox,
) -> None:
    """Only by SMTPUTF8 can it travel (RFC 6531); what is wrong is named."""
    box.tell(NoticeKind.CONFIRM_ADDRESS, address="zoë@example.org", link="/link/x")
    box.tell(NoticeKind.CONFIRM_ADDRESS, address="anna@bücher.example", link="/link/x")
    async with smtp_server(enable_SMTPUTF8=False) as server:
        progress = await delivery(box, server.port).run_once()
        assert (progress.accepted, progress.postponed) == (1, 1)
        assert server.envelopes[0].rcpt_tos == ["anna@xn--bcher-kva.example"]
    zoe, _ = box.rows()
    assert zoe.state == "waiting"
    assert zoe.last_error == "zoë@example.org needs SMTPUTF8 (RFC 6531), which the SMTP server does not offer"
    box.world.clock.advance(minutes=1)
    async with smtp_server() as server:
        assert (await delivery(box, server.port).run_once()).accepted == 1
        assert server.envelopes[0].rcpt_tos == ["zoë@example.org"]


async def test_sender_with_a_domain_beyond_ascii_needs_nothing_special_of_the_server(make_world: WorldMaker) -> None:
    """MAIL9: also what was queued before leaves."""
    box = Outbox(make_world('mail.sender="support@müller.example"', 'provider.support="hilfe@müller.example"'))
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    assert box.rows()[0].message_id.endswith("@xn--mller-kva.example>")
    content = box.content(box.rows()[0])
    with writing(box.world.installation.database) as connection:
        old = "<0123@müller.example>"
        sealed = box.keyring().seal(Purpose.OUTBOX, old, json.dumps(content).encode())
        sealed_as_old = {"content": sealed.blob, "key_id": sealed.key_id}
        connection.execute(update(outbox).values(message_id=old, recipient="anna@bücher.example", **sealed_as_old))
    async with smtp_server(enable_SMTPUTF8=False) as server:
        installation = box.world.installation
        relay = SmtpServer("127.0.0.1", server.port, "none", "support@müller.example")
        ours = Delivery(
            installation.database, installation.notices, mailing.of(installation).mails, relay, box.world.clock
        )
        assert (await ours.run_once()).accepted == 1
    assert server.envelopes[0].rcpt_tos == ["anna@xn--bcher-kva.example"]
    assert server.envelopes[0].mail_from == "support@xn--mller-kva.example"
    assert server.ids() == ["<0123@xn--mller-kva.example>"]
