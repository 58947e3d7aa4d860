"""A mail server's refusal of us costs time, and never a mail; what was given up is kept and can be tried again."""

import logging
import threading
from datetime import timedelta
from typing import Any

import pytest

from mailauth.effects.mails.writing import Mails
from mailauth.effects.store.outbox import CONTENT_KEPT_FOR
from mailauth.usecases.delivery import FEWEST_TRIES, LANES, PER_LANE, TRIED_FOR, Delivery
from mailauth.vocabulary.notices import NoticeKind
from tests.integration.mails.conftest import Outbox
from tests.integration.mails.delivering import delivery
from tests.integration.mails.servers import Taken, scripted_server, smtp_server

OURS = (
    ("RCPT", "504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname"),
    ("RCPT", "554 5.7.1 <x@y>: Relay access denied"),
    ("RCPT", "550 5.1.8 <x@y>: Sender address rejected: Domain not found"),
    ("RCPT", "552 5.2.2 mailbox full"),
    ("RCPT", "550 who are you"),
    ("DATA", "550 5.7.26 this mail is unauthenticated"),
    ("DATA", "554 5.7.1 spam"),
    ("MAIL", "550 5.1.1 no such sender"),
    ("MAIL", "530 5.7.0 authentication required"),
)
HELO = "504 5.5.2 <vm>: Helo command rejected"


def write_to(box: Outbox, count: int) -> None:
    for number in range(count):
        box.tell(NoticeKind.CONFIRM_ADDRESS, address=f"user{number:02}@example.org", link="/link/x")


def alarms(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno == logging.CRITICAL]


async def test_what_is_not_about_the_recipient_waits_and_arrives_once_it_is_mended(box: Outbox) -> None:
    """MAIL4."""
    for at, (command, answer) in enumerate(OURS):
        box.tell(NoticeKind.RECOVERY_CODES, codes=["k7qm-2xvp-9hfd-c3wn"], first=True)
        async with smtp_server(Taken(replies={command: answer})) as server:
            assert (await delivery(box, server.port).run_once()).postponed == 1, answer
        row = box.rows()[at]
        assert (row.state, row.content is None) == ("waiting", False), answer
        assert row.last_error == answer
        async with smtp_server() as server:
            box.world.clock.now = row.next_at
            assert (await delivery(box, server.port).run_once()).accepted == 1
    assert {row.state for row in box.rows()} == {"accepted"}


async def test_a_whole_queue_refused_alike_waits_with_one_alarm_and_no_hammering(
    box: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """MAIL6: also where the server says of everybody that there is nobody."""
    write_to(box, 100)
    rounds = 0
    async with smtp_server(Taken(replies={"RCPT": "550 5.1.1 User unknown"})) as server:
        ours = delivery(box, server.port)
        for _ in range(240):  # an hour, of polls every 15 s
            rounds += (await ours.run_once()).total > 0
            box.world.clock.advance(seconds=15)
        assert {row.state for row in box.rows()} == {"waiting"}
        assert len(alarms(caplog)) == 1
        # 30 s, 1, 2, 4, 8, and 15 minutes from then on: one mail each
        assert rounds <= 9
        assert sum(row.tries for row in box.rows()) < LANES * PER_LANE + rounds
        server.replies.clear()
        box.world.clock.advance(minutes=15)
        for _ in range(8):
            await ours.run_once()
        box.world.clock.advance(hours=1)
        await ours.run_once()
        assert {row.state for row in box.rows()} == {"accepted"}
        assert len(server.ids()) == len(set(server.ids())) == 100
    assert "takes mails again" in caplog.text


async def test_server_that_refuses_everybody_one_after_the_other_is_found_out_as_well(
    box: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with smtp_server(Taken(replies={"RCPT": HELO})) as server:
        ours = delivery(box, server.port)
        for number in range(4):
            box.tell(NoticeKind.CONFIRM_ADDRESS, address=f"user{number}@example.org", link="/link/x")
            await ours.run_once()
    assert len(alarms(caplog)) == 1
    assert {row.state for row in box.rows()} == {"waiting"}
    assert [row.tries for row in box.rows()] == [1, 1, 1, 0], "the fourth was not even tried"


async def test_pause_holds_for_every_worker_and_a_new_one(box: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    write_to(box, 30)
    async with smtp_server(Taken(replies={"RCPT": HELO})) as server:
        await delivery(box, server.port).run_once()
        for _ in range(3):
            assert (await delivery(box, server.port).run_once()).total == 0
    assert len(alarms(caplog)) == 1


async def test_server_that_is_away_is_complained_of_once(box: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    write_to(box, 30)
    ours = delivery(box, 1)
    for _ in range(100):
        await ours.run_once()
        box.world.clock.advance(seconds=30)
    assert len(alarms(caplog)) == 1
    assert {row.state for row in box.rows()} == {"waiting"}


async def test_greylisting_of_everybody_is_no_alarm(box: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    write_to(box, 30)
    async with smtp_server(Taken(replies={"RCPT": "450 4.2.0 greylisted, come back"})) as server:
        ours = delivery(box, server.port)
        assert (await ours.run_once()).postponed + (await ours.run_once()).postponed == 30
    assert alarms(caplog) == []


async def test_dead_mailboxes_among_others_are_given_up_at_once(box: Outbox) -> None:
    write_to(box, 10)
    dead = {f"user{number:02}@example.org": "550 5.1.1 nobody" for number in range(5)}
    async with smtp_server(Taken(replies=dead)) as server:
        progress = await delivery(box, server.port).run_once()
    assert (progress.accepted, progress.given_up) == (5, 5)


async def test_dead_mailboxes_that_were_doubted_are_given_up_once_the_server_is_seen_to_take_mails(
    box: Outbox,
) -> None:
    write_to(box, 4)
    async with smtp_server(Taken(replies={"RCPT": "550 5.1.1 nobody"})) as server:
        ours = delivery(box, server.port)
        assert (await ours.run_once()).postponed == 4
        box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
        server.replies[box.name] = "250 yes"
        for _ in range(20):
            box.world.clock.advance(minutes=15)
            await ours.run_once()
    assert [row.state for row in box.rows()] == ["given-up"] * 4 + ["accepted"]


async def test_what_was_given_up_is_kept_for_two_weeks_and_can_be_tried_again(box: Outbox) -> None:
    """MAIL5."""
    box.tell(NoticeKind.RECOVERY_CODES, codes=["k7qm-2xvp-9hfd-c3wn"], first=True)
    async with smtp_server(Taken(replies={"RCPT": "550 5.1.1 nobody"})) as server:
        ours = delivery(box, server.port)
        assert (await ours.run_once()).given_up == 1
        assert box.content(box.rows()[0])["facts"]["codes"] == ["k7qm-2xvp-9hfd-c3wn"]
        box.world.clock.advance(days=13)
        box.world.installation.housekeeping.tidy()
        ours.purge()
        server.replies.clear()
        assert (await ours.run_once()).total == 0
        ours.retry(box.rows()[0].id)
        assert (await ours.run_once()).accepted == 1
    (row,) = box.rows()
    assert (row.state, row.content, row.last_error) == ("accepted", None, "")
    assert "k7qm-2xvp-9hfd-c3wn" in server.mails()[0].as_string()


async def tried_until_given_up(box: Outbox, ours: Delivery) -> int:
    """Try the one mail whenever it is due; return how often."""
    tries = 0
    while box.rows()[0].state == "waiting":
        box.world.clock.now = max(box.world.clock.now, box.rows()[0].next_at)
        tries += (await ours.run_once()).total
        assert tries <= 200
    return tries


async def test_mail_that_is_tried_again_has_three_days_again(box: Outbox) -> None:
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    ours = delivery(box, 1)
    await tried_until_given_up(box, ours)
    box.world.clock.advance(days=2)
    begun = box.world.clock()
    ours.retry(box.rows()[0].id)
    await tried_until_given_up(box, ours)
    assert box.world.clock() - begun >= TRIED_FOR


async def test_mail_that_days_have_passed_by_is_tried_before_it_is_given_up(box: Outbox) -> None:
    """MAIL5: the clock was wrong, or the server was left alone, as it refused everybody."""
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    box.world.clock.advance(days=40)
    assert await tried_until_given_up(box, delivery(box, 1)) == FEWEST_TRIES


async def test_what_was_given_up_long_ago_is_wiped_and_no_more_tried(box: Outbox) -> None:
    """MAIL5: whether or not a worker runs."""
    box.tell(NoticeKind.RECOVERY_CODES, codes=["k7qm-2xvp-9hfd-c3wn"], first=True)
    async with smtp_server(Taken(replies={"RCPT": "550 5.1.1 nobody"})) as server:
        ours = delivery(box, server.port)
        await ours.run_once()
        box.world.installation.housekeeping.tidy()
        box.world.clock.jump(days=400)
        box.world.installation.housekeeping.tidy()
        ours.purge()
        assert box.rows()[0].content is not None, "the clock may be wrong"
        box.world.clock.jump(days=-400)
        box.world.installation.housekeeping.tidy()
        box.world.clock.advance(seconds=(CONTENT_KEPT_FOR + timedelta(hours=2)).total_seconds())
        assert box.world.installation.housekeeping.tidy() == 1
        assert ours.retry_all(waiting=True, given_up=True) == 0
    (row,) = box.rows()
    assert (row.state, row.content) == ("given-up", None)


async def test_all_are_tried_at_once_when_somebody_says_that_it_is_mended(box: Outbox) -> None:
    write_to(box, 50)
    async with smtp_server(Taken(replies={"RCPT": HELO})) as server:
        ours = delivery(box, server.port)
        await ours.run_once()
        pause = ours.pause()
        assert pause is not None
        assert pause.error == HELO
        server.replies.clear()
        assert (await ours.run_once()).total == 0
        assert ours.retry_all(waiting=True, given_up=False) == 50
        while (await ours.run_once()).total:
            pass
        assert len(server.mails()) == 50
        assert ours.pause() is None


async def test_mail_over_which_the_server_hangs_up_keeps_no_other_from_leaving(box: Outbox) -> None:
    write_to(box, LANES * PER_LANE)
    async with smtp_server(Taken(replies={"user00@example.org": "421 4.3.0 I am gone"})) as server:
        progress = await delivery(box, server.port).run_once()
    assert (progress.accepted, progress.postponed) == (LANES * PER_LANE - 1, 1)


@pytest.mark.parametrize("code", ["450 4.2.0", "550 5.1.1"])
async def test_words_that_are_no_utf_8_are_noted_like_any_others(box: Outbox, code: str) -> None:
    """A server that speaks Latin-1, or the language of terminals: `outbox list` shows what it said."""
    write_to(box, 4)
    said = f"{code} boîte\x1b[2J".encode("latin-1")
    script: list[bytes | None] = [b"220 mx ESMTP\r\n", b"250 mx\r\n", b"250 yes\r\n", said + b"\r\n", b"250 yes\r\n"]
    async with scripted_server(script) as server:
        progress = await delivery(box, server.port).run_once()
    rows = box.rows()
    assert progress.total == len(rows)
    assert [row.leased_until for row in rows] == [None] * len(rows)
    assert rows[0].last_error == rf"{code} bo\udceete\x1b[2J"


async def test_greeting_that_is_no_utf_8_begins_the_pause_like_any_other(box: Outbox) -> None:
    write_to(box, 4)
    async with scripted_server([b"554 ferm\xe9\r\n"]) as server:
        ours = delivery(box, server.port)
        assert (await ours.run_once()).postponed == len(box.rows())
        pause = ours.pause()
    assert pause is not None
    assert pause.error.endswith(r"554 ferm\udce9")


async def test_announcements_keep_no_other_mail_waiting_also_where_they_alone_are_refused(box: Outbox) -> None:
    """A filter that takes a campaign for spam; recovery codes that somebody asks for meanwhile."""
    boxes = [box, *(Outbox(box.world, f"user{number}@mailitwize.be") for number in range(5))]
    for each in boxes * 10:
        each.tell(NoticeKind.ANNOUNCEMENT)
    replies = {each.name: "550 5.7.1 this looks like spam" for each in boxes}
    async with smtp_server(Taken(replies=replies)) as server:
        ours = delivery(box, server.port)
        box.tell(NoticeKind.CONFIRM_ADDRESS, address="anna@example.org", link="/link/x")
        assert (await ours.run_once()).accepted == 1
        assert server.envelopes[0].rcpt_tos == ["anna@example.org"], "before all others"
        await ours.run_once()
        assert ours.pause() is not None
        box.tell(NoticeKind.CONFIRM_ADDRESS, address="bert@example.org", link="/link/x")
        box.world.clock.advance(minutes=15)
        assert (await ours.run_once()).accepted == 1, "it is what the server is asked about"
        assert {row.state for row in box.rows() if row.kind == "announcement"} == {"waiting"}


async def test_mail_is_written_while_the_event_loop_goes_on(box: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures and all, it takes as long as many logins."""
    threads = []
    write = Mails.write

    def noted(self: Mails, *arguments: Any) -> Any:
        threads.append(threading.current_thread())
        return write(self, *arguments)

    monkeypatch.setattr(Mails, "write", noted)
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    async with smtp_server() as server:
        assert (await delivery(box, server.port).run_once()).accepted == 1
    assert threads != [threading.main_thread()]
