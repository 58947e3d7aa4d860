"""Delivery by LMTP (RFC 2033) to a sandbox's Dovecot, as Postfix delivers: what becomes of one message.

Knows nothing of what ought to come of it.
"""

from __future__ import annotations

import re
import subprocess

from tests.stack.clients import smtp_session
from tests.stack.sandboxes import Sandbox

DELIVERED = "250 2.0.0 "
BOUNCED = "550 5.1.1 "
WAITS = "451 4.3.0 "


def deliver(sandbox: Sandbox, recipient: str, subject: str = "a message") -> str:
    """Deliver one message; return the reply that decides what becomes of it."""
    envelope = [b"LHLO mx.test", b"MAIL FROM:<friend@example.org>", b"RCPT TO:<%s>" % recipient.encode()]
    message = f"Subject: {subject}\r\n\r\nDelivered by a test.\r\n.".encode()
    replies = smtp_session(sandbox.lmtp, [*envelope, b"DATA", message], until_refused=True)
    return replies[-1].decode(errors="replace")


def subjects(sandbox: Sandbox, account: str) -> list[str]:
    """Return the subjects in an account's INBOX."""
    words = [str(sandbox.doveadm), "fetch", "-u", account, "hdr.subject", "mailbox", "INBOX"]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    return re.findall(r"^hdr\.subject: (.*)$", shown, re.MULTILINE)
