"""MAIL4: a Postfix that refuses us, for any of the common reasons, costs time and never a mail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mailauth.effects.smtp import SmtpServer
from mailauth.usecases.delivery import Delivery
from mailauth.vocabulary.notices import NoticeKind
from mailauth.wiring import mailing
from tests.integration.mails.conftest import Outbox
from tests.stack.postfixes import postfix
from tests.world import World

KNOWN = "known@mailitwize.be"
RESTRICTIONS: dict[str, dict[str, str]] = {
    "yes": {"mynetworks": "127.0.0.0/8"},
    "short-helo": {"smtpd_helo_required": "yes", "smtpd_helo_restrictions": "reject_non_fqdn_helo_hostname"},
    "short-helo-at-once": {"smtpd_delay_reject": "no", "smtpd_helo_restrictions": "reject_non_fqdn_helo_hostname"},
    "no-relay": {},
    "bad-sender": {"smtpd_sender_restrictions": "check_sender_access static:{{550 5.1.8 Domain not found}}"},
    "unlisted-sender": {"smtpd_sender_restrictions": "reject_unlisted_sender"},
    "full": {"smtpd_recipient_restrictions": "check_recipient_access static:{{552 5.2.2 Mailbox full}}"},
    "too-big": {"message_size_limit": "100"},
    "filter": {"smtpd_end_of_data_restrictions": "check_sender_access static:{{550 5.7.26 Unauthenticated}}"},
    "no-code": {"smtpd_recipient_restrictions": "check_recipient_access static:{{550 No}}"},
    "log-in": {"smtpd_client_restrictions": "check_client_access static:{{530 5.7.0 Authentication required}}"},
    "encrypt": {"smtpd_tls_security_level": "encrypt", "smtpd_tls_cert_file": "{folder}/none.pem"},
    "greylisting": {"smtpd_recipient_restrictions": "check_recipient_access static:{{450 4.2.0 Greylisted}}"},
    "too-many": {"smtpd_client_restrictions": "check_client_access static:{{421 4.7.0 Too many}}"},
    "sasl": {"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "{folder}/sasl"},
}
EXPECTED = {
    "short-helo": "504 5.5.2",
    "short-helo-at-once": "504 5.5.2",
    "no-relay": "554 5.7.1",
    "bad-sender": "550 5.1.8",
    "unlisted-sender": "550 5.1.0",
    "full": "552 5.2.2",
    "too-big": "552 5.3.4",
    "filter": "550 5.7.26",
    "log-in": "530 5.7.0",
    "greylisting": "450 4.2.0",
    "too-many": "421 4.7.0",
    "sasl": "535 5.7.8",
    "no-code": "550 5.7.1",  # Postfix puts one before a text that has none
}


@asynccontextmanager
async def nobody_logs_in(path: Path) -> AsyncIterator[None]:
    """Answer as a Dovecot's auth socket does to which each password is wrong."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t" + b"0" * 32 + b"\nDONE\n")
        async for line in reader:
            if line.startswith(b"AUTH\t"):
                writer.write(b"FAIL\t" + line.split(b"\t")[1] + b"\n")

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(converse, path)
    path.chmod(0o666)
    try:
        yield
    finally:
        server.close()
        for each in writers:
            each.transport.abort()
        await asyncio.sleep(0)  # one turn of the loop, in which the sockets are closed


async def test_each_common_restriction_of_postfix_makes_a_mail_wait_and_a_dead_mailbox_ends_it(
    tmp_path: Path,
) -> None:
    password = tmp_path / "password"
    password.write_text("wrong")
    password.chmod(0o400)
    world = World(tmp_path)
    box = Outbox(world, KNOWN)

    def server(port: int, **options: Any) -> SmtpServer:
        return SmtpServer("127.0.0.1", port, options.pop("tls", "none"), "noreply@mailitwize.be", **options)

    async def deliver(port: int, **options: Any) -> Any:
        ours = world.installation
        relay = server(port, **options)
        await Delivery(ours.database, ours.notices, mailing.of(ours).mails, relay, world.clock, lambda: 0.5).run_once()
        return box.rows()[-1]

    with postfix(RESTRICTIONS) as (folder, ports):
        for name, codes in EXPECTED.items():
            if name == "no-relay":
                box.tell(NoticeKind.CONFIRM_ADDRESS, address="somebody@elsewhere.example", link="/link/x")
            else:
                box.tell(NoticeKind.RECOVERY_CODES, codes=["k7qm-2xvp-9hfd-c3wn"], first=True)
            options = {"helo_name": "vm"} if name.startswith("short-helo") else {}
            if name == "sasl":
                options = {"user": "mailer", "password_file": str(password)}
                async with nobody_logs_in(folder / "sasl"):
                    row = await deliver(ports[name], **options)
            else:
                row = await deliver(ports[name], **options)
            assert (row.state, row.content is None) == ("waiting", False), (name, row.last_error)
            assert codes in row.last_error, name
        box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
        row = await deliver(ports["encrypt"], tls="starttls")
        assert row.state == "waiting"
        assert "454 4.7.0 TLS not available" in row.last_error
        row = await deliver(ports["encrypt"])
        assert row.state == "waiting"

        world.clock.advance(hours=1)
        for name in ("short-helo", "short-helo-at-once"):  # now with the name that is found where none is set
            box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
            row = await deliver(ports[name], helo_hints=("2fa.mailitwize.be",))
            assert row.state == "accepted", row.last_error
        world.clock.advance(hours=1)
        await deliver(ports["yes"])
        assert {row.state for row in box.rows()} == {"accepted"}, "nothing was lost"

        box.tell(NoticeKind.CONFIRM_ADDRESS, address="nobody@mailitwize.be", link="/link/x")
        row = await deliver(ports["yes"])
        assert (row.state, row.content is None) == ("given-up", False)
        assert row.last_error.startswith("550 5.1.1")
    world.close()
