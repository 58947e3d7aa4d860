"""What delivers an outbox's mails to a server of a test, with time-outs for tests."""

from typing import Any

from mailauth.effects.smtp import SmtpServer
from mailauth.usecases.delivery import Delivery
from mailauth.wiring import mailing
from tests.integration.mails.conftest import Outbox


def delivery(box: Outbox, port: int, draw: float = 0.5, **options: Any) -> Delivery:
    """Return what delivers to a port, with time-outs for tests."""
    installation = box.world.installation
    options = {"timeout_s": 5.0, "content_timeout_s": 5.0, **options}
    server = SmtpServer("127.0.0.1", port, options.pop("tls", "none"), "support@mailitwize.be", **options)
    return Delivery(
        installation.database,
        installation.notices,
        mailing.of(installation).mails,
        server,
        box.world.clock,
        lambda: draw,
    )
