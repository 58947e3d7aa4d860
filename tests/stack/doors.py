"""The doors of a sandbox: each way in, with a real client, and the words in which it says no.

Knows nothing of what ought to come of a login.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.stack import clients
from tests.stack.clients import HOME, Login
from tests.stack.people import AFTER, Site
from tests.stack.sandboxes import Sandbox

Client = Callable[[Sandbox, str, str, str], Login]
IN = "in"


@dataclass(frozen=True)
class Door:
    """One way in. `service` is what mailauth is told; `refused` and `unavailable` how the client hears it.

    Nobody is there to say `unavailable` on mailauth's own socket.
    """

    name: str
    service: str
    client: Client
    refused: str
    unavailable: str

    def login(self, site: Site, name: str, secret: str, source: str = HOME) -> str:
        """Log in by this door; return IN, or the server's words."""
        site.presented.add((name, secret))
        login = self.client(site.sandbox, name, secret, source)
        return IN if login else login.words

    def refusal(self, text: str = AFTER) -> str:
        """Return the words of a refusal."""
        return self.refused.format(text=text)


def _doveadm(sandbox: Sandbox, name: str, secret: str, source: str) -> Login:
    return clients.doveadm_auth(sandbox.dovecot_auth_socket, name, secret, service="imap", rip=source)


def _doveadm_on_mailauth(sandbox: Sandbox, name: str, secret: str, source: str) -> Login:
    return clients.doveadm_auth(sandbox.auth_socket, name, secret, service="imap", rip=source)


IMAP = Door(
    "imap",
    "imap",
    lambda sandbox, *login: clients.imap(sandbox.imap, *login),
    "[ALERT] {text}",
    "[UNAVAILABLE] Temporary authentication failure.",
)
POP3 = Door(
    "pop3",
    "pop3",
    lambda sandbox, *login: clients.pop3(sandbox.pop3, *login),
    "[AUTH] {text}",
    "[SYS/TEMP] Temporary authentication failure.",
)
SIEVE = Door(
    "sieve",
    "sieve",
    lambda sandbox, *login: clients.sieve(sandbox.sieve, *login),
    '"{text}"',
    '(TRYLATER) "Temporary authentication failure.',
)
SUBMISSION = Door(
    "submission",
    "submission",
    lambda sandbox, *login: clients.swaks(sandbox.submission, *login),
    "535 5.7.8 {text}",
    "454 4.7.0 Temporary authentication failure.",
)
POSTFIX = Door(
    "postfix",
    "submission",
    lambda sandbox, *login: clients.swaks(sandbox.postfix_submission, *login),
    "535 5.7.8 Error: authentication failed: {text}",
    "454 4.7.0 Temporary authentication failure:",
)
DOVEADM = Door("doveadm", "imap", _doveadm, "[ALERT] {text}", "code=temp_fail")
DOVEADM_ON_MAILAUTH = Door("doveadm-on-mailauth", "imap", _doveadm_on_mailauth, "[ALERT] {text}", "")

OF_DOVECOT = (IMAP, POP3, SIEVE, SUBMISSION, DOVEADM)
DOORS = (*OF_DOVECOT, POSTFIX, DOVEADM_ON_MAILAUTH)
