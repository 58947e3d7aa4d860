"""`mailauth outbox`: what waits and why, without what it says; and another try."""

from contextlib import closing
from datetime import timedelta

from sqlalchemy import literal, update

from mailauth import wiring
from mailauth.effects.configuration import loading
from mailauth.effects.store import outbox_pause
from mailauth.effects.store.tables import outbox
from tests.integration.cli.conftest import CommandLine
from tests.transactions import writing


def fail(mailauth: CommandLine, mail_id: int) -> None:
    """Have a mail not accepted, to be tried again much later."""
    later = mailauth.clock().replace(year=2026)
    with closing(wiring.build(loading.load(mailauth.config))) as ours, writing(ours.database) as connection:
        changes = {"tries": 3, "next_at": later, "last_error": "450 full"}
        connection.execute(update(outbox).where(outbox.c.id == mail_id).values(**changes))


def test_mails_are_listed_with_why_they_wait_and_not_with_what_they_say(mailauth: CommandLine) -> None:
    assert mailauth.run("outbox", "list").stdout == "no mails\n"
    mailauth.enrol("alice")
    codes = mailauth.json("recovery", "issue", "alice")["codes"]
    listed = mailauth.json("outbox", "list")
    assert [mail["kind"] for mail in listed] == ["authenticator-set", "recovery-codes"]
    fail(mailauth, listed[1]["id"])
    shown = mailauth.run("outbox", "list").stdout
    assert "450 full" in shown
    assert "alice@mailitwize.be" in shown
    assert "2026-06-04" in shown
    for words in (shown, str(listed)):
        assert not any(code in words for code in codes)
        assert "content" not in words


def test_damaged_row_is_listed_with_what_can_be_read(mailauth: CommandLine) -> None:
    mailauth.enrol("alice")
    mailauth.run("recovery", "issue", "alice")
    with closing(wiring.build(loading.load(mailauth.config))) as ours, writing(ours.database) as connection:
        damage = {
            "created_at": literal("x"),
            "next_at": literal(2**62),
            "tries": literal("y"),
            "tried_since": literal("z"),
        }
        connection.execute(update(outbox).where(outbox.c.kind == "recovery-codes").values(damage))
    whole, damaged = mailauth.json("outbox", "list")
    assert whole["created_at"] is not None
    assert (damaged["created_at"], damaged["next_at"], damaged["tries"]) == (None, None, 0)
    assert "recovery-codes" in mailauth.run("outbox", "list").stdout


def test_waiting_mail_is_due_again_at_a_word(mailauth: CommandLine) -> None:
    mailauth.enrol("alice")
    (mail,) = mailauth.json("outbox", "list")
    fail(mailauth, mail["id"])
    assert mailauth.json("outbox", "list")[0]["next_at"].startswith("2026")
    assert mailauth.run("outbox", "retry", str(mail["id"])).stdout == "1 mail due now\n"
    assert mailauth.json("outbox", "list")[0]["next_at"] == mailauth.clock().isoformat()


def test_all_that_wait_are_due_again_at_a_word(mailauth: CommandLine) -> None:
    mailauth.enrol("alice")
    mailauth.enrol("bob")
    for mail in mailauth.json("outbox", "list"):
        fail(mailauth, mail["id"])
    assert mailauth.run("outbox", "retry", "--all").stdout == "2 mails due now\n"
    assert {mail["next_at"] for mail in mailauth.json("outbox", "list")} == {mailauth.clock().isoformat()}


def test_mail_that_was_sent_cannot_be_tried_again(mailauth: CommandLine) -> None:
    mailauth.enrol("alice")
    with closing(wiring.build(loading.load(mailauth.config))) as ours, writing(ours.database) as connection:
        connection.execute(update(outbox).values(state="accepted", content=None, ended_at=mailauth.clock()))
    for number in ("1", "99"):
        assert "is kept; see: mailauth outbox list" in mailauth.run("outbox", "retry", number, code=1).stderr
    assert mailauth.json("outbox", "list", "--waiting") == []


def test_which_mails_to_try_again_has_to_be_said_one_way_or_the_other(mailauth: CommandLine) -> None:
    mailauth.run("outbox", "retry", code=2)
    mailauth.run("outbox", "retry", "1", "--all", code=2)
    mailauth.run("outbox", "retry", "1", "--given-up", code=2)


def test_mails_that_were_given_up_are_due_again_at_a_word(mailauth: CommandLine) -> None:
    mailauth.enrol("alice")
    mailauth.enrol("bob")
    with closing(wiring.build(loading.load(mailauth.config))) as ours, writing(ours.database) as connection:
        connection.execute(update(outbox).values(state="given-up", ended_at=mailauth.clock()))
    assert [mail["is_kept"] for mail in mailauth.json("outbox", "list")] == [True, True]
    assert mailauth.run("outbox", "retry", "--all").stdout == "0 mails due now\n"
    assert mailauth.run("outbox", "retry", "--given-up").stdout == "2 mails due now\n"
    assert {mail["state"] for mail in mailauth.json("outbox", "list", "--waiting")} == {"waiting"}


def test_list_says_that_the_server_takes_no_mail_and_why(mailauth: CommandLine) -> None:
    mailauth.enrol("alice")
    now = mailauth.clock()
    pause = outbox_pause.Pause("504 5.5.2", "504 5.5.2 <vm>: Helo command rejected", now, now, timedelta(seconds=30))
    with closing(wiring.build(loading.load(mailauth.config))) as ours, writing(ours.database) as connection:
        outbox_pause.save(connection, pause)
    assert "says: 504 5.5.2 <vm>: Helo command rejected" in mailauth.run("outbox", "list").stdout
