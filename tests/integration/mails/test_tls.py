"""MAIL3: no mail leaves without verified TLS where it was asked for."""

from pathlib import Path
from typing import Any

import pytest

from mailauth.vocabulary.notices import NoticeKind
from tests.integration.mails.conftest import Outbox
from tests.integration.mails.delivering import delivery
from tests.integration.mails.servers import Certificates, make_certificate, scripted_server, smtp_server


@pytest.fixture
def ours(tmp_path: Path) -> Certificates:
    """A certificate for where the servers listen."""
    return make_certificate(tmp_path, "127.0.0.1")


async def test_mail_goes_by_starttls_to_a_server_whose_certificate_is_right(box: Outbox, ours: Certificates) -> None:
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    async with smtp_server(tls_context=ours.server(), require_starttls=True) as server:
        sent = await delivery(box, server.port, tls="starttls", tls_context=ours.trusting()).run_once()
    assert sent.accepted == 1


async def test_mail_goes_by_tls_from_the_first_byte(box: Outbox, ours: Certificates) -> None:
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    async with smtp_server(implicit_tls=ours.server()) as server:
        assert (await delivery(box, server.port, tls="tls", tls_context=ours.trusting()).run_once()).accepted == 1


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_certificate_that_nobody_vouches_for_gets_no_mail(box: Outbox, ours: Certificates, tls: str) -> None:
    """The default of the code that is installed: no context from a test."""
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    kind = "tls_context" if tls == "starttls" else "implicit_tls"
    options: dict[str, Any] = {kind: ours.server()}
    async with smtp_server(**options) as server:
        assert (await delivery(box, server.port, tls=tls).run_once()).postponed == 1
    assert server.mails() == []
    assert "certificate" in box.rows()[0].last_error.lower()


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_certificate_for_another_name_gets_no_mail(box: Outbox, tmp_path: Path, tls: str) -> None:
    others = make_certificate(tmp_path, "mx.example.org")
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    kind = "tls_context" if tls == "starttls" else "implicit_tls"
    options: dict[str, Any] = {kind: others.server()}
    async with smtp_server(**options) as server:
        sent = await delivery(box, server.port, tls=tls, tls_context=others.trusting()).run_once()
    assert sent.postponed == 1
    assert server.mails() == []


async def test_server_without_starttls_gets_no_mail(box: Outbox) -> None:
    """CVE-2016-0772: the offer may have been taken away by somebody in between."""
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    async with smtp_server() as server:
        assert (await delivery(box, server.port, tls="starttls").run_once()).postponed == 1
    assert server.mails() == []
    assert box.rows()[0].state == "waiting"


@pytest.mark.parametrize("answer", [b"454 4.7.0 not now\r\n", b"502 5.5.1 what?\r\n", b"220 go\r\n250 injected\r\n"])
async def test_starttls_that_does_not_come_about_gets_no_mail(box: Outbox, answer: bytes) -> None:
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    lines: list[bytes | None] = [b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n", answer, b"250 yes\r\n"]
    async with scripted_server(lines, after_data=b"250 taken\r\n") as server:
        assert (await delivery(box, server.port, tls="starttls").run_once()).postponed == 1
    assert server.envelopes == []


async def test_password_is_not_sent_before_the_certificate_is_known(box: Outbox, ours: Certificates) -> None:
    secret = box.world.directory / "smtp.password"
    secret.write_text("secret")
    secret.chmod(0o400)
    box.tell(NoticeKind.AUTHENTICATOR_REPLACED)
    async with smtp_server(tls_context=ours.server()) as server:
        options: dict[str, Any] = {"user": "mailer", "password_file": str(secret), "tls": "starttls"}
        await delivery(box, server.port, **options).run_once()
    assert server.logins == []
