"""Mail is really read and really sent by who was let in, and by nobody else."""

from __future__ import annotations

import asyncio
import poplib
from email import message_from_bytes

from tests.stack import clients
from tests.stack.people import Site
from tests.stack.ways import on_each_main_dovecot, on_the_first

MESSAGE = "From: a@example.org\nTo: b@example.org\nSubject: {subject}\n\nRead me.\n"


@on_each_main_dovecot
def test_a_message_is_fetched_over_imap_and_pop3_with_password_and_code(site: Site) -> None:
    owner = site.enrolled()
    site.sandbox.save_message(owner.name, MESSAGE.format(subject="for the owner"))
    typed = owner.typed()
    login, messages = asyncio.run(clients.imap_read(site.sandbox.imap, owner.name, typed))
    assert login, login.words
    assert [message_from_bytes(each)["Subject"] for each in messages] == ["for the owner"]
    pop3 = poplib.POP3(*site.sandbox.pop3, timeout=clients.TIMEOUT_S)
    pop3.user(owner.name)
    pop3.pass_(typed)
    assert b"Subject: for the owner" in pop3.retr(1)[1]
    pop3.quit()


def test_a_message_leaves_by_postfix_and_by_dovecot(site: Site) -> None:
    owner = site.enrolled()
    secrets = {"password and code": owner.typed(), "app password": owner.app_password("smtp")}
    for what, secret in secrets.items():
        for server in (site.sandbox.postfix_submission, site.sandbox.submission):
            subject = f"{what} of {owner.name} by {server[1]}"
            sent = clients.swaks(server, owner.name, secret, send_to="friend@example.org", subject=subject)
            assert sent, sent.words
            assert "Sent by a test." in site.sandbox.wait_for_message(subject)


def test_nothing_leaves_from_who_was_refused(site: Site) -> None:
    owner = site.enrolled()
    servers = (site.sandbox.postfix_submission, site.sandbox.submission)
    for server in servers:
        refused = clients.swaks(server, owner.name, owner.password, send_to="friend@example.org", subject="smuggled")
        assert refused.words.startswith("535 5.7.8 ")
    typed = owner.typed()
    for server in servers:  # what was sent before these would be there before them
        assert clients.swaks(server, owner.name, typed, send_to="friend@example.org", subject=f"let in {server[1]}")
        site.sandbox.wait_for_message(f"let in {server[1]}")
    assert not any("smuggled" in path.read_text(errors="replace") for path in site.sandbox.messages())


@on_the_first
def test_nobody_sends_without_logging_in(site: Site) -> None:
    commands = [b"EHLO client.test", b"MAIL FROM:<a@mailitwize.be>", b"RCPT TO:<friend@example.org>"]
    replies = clients.smtp_session(site.sandbox.postfix_submission, commands)
    assert replies[-1].startswith(b"554 5.7.1 "), replies
    replies = clients.smtp_session(site.sandbox.submission, commands)
    assert replies[-2].startswith(b"530 5.7.0 "), replies


@on_the_first
def test_sieve_connect_puts_a_code_behind_tls(site: Site) -> None:
    owner = site.enrolled()
    login = clients.sieve_connect(site.sandbox.sieve, owner.name, owner.typed())
    assert login, login.words
    assert not clients.sieve_connect(site.sandbox.sieve, owner.name, owner.password)
