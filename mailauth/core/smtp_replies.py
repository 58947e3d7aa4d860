"""What an SMTP server's refusal is about: one recipient, or anything else.

Servers refuse mails for many reasons that no recipient has a part in: our name in EHLO, our address, our sender, what
a content filter thinks, a full disk, a table of theirs that is broken for an hour. A mail is lost for such a reason
only if we give it up. So a refusal is final only where the server says that this recipient does not exist or takes no
mail, in the words that were made for saying so: an enhanced status code (RFC 3463, sent as RFC 2034 has it).

A refusal without such a code is not final, whatever its number. A bare `550` after RCPT is what many servers say both
for "no such user" and for "I do not relay for you" (RFC 5321 s3.5.3, s3.6.2 allow both); the first costs three days of
tries, to take it for the first would cost the mail.
"""

import re
from dataclasses import dataclass
from enum import Enum

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?!\S)", re.ASCII)
"""RFC 2034 s4: the first thing of a reply's text."""
_OF_THE_RECIPIENT = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
"""RFC 3463 s3.2 and s3.3: no such mailbox, no such domain, bad syntax, moved without an address, null MX (RFC 7505),
disabled. Not 5.2.2: a full mailbox is emptied again."""
_PERMANENT = range(500, 600)
"""RFC 5321 s4.2.1."""


class Stage(Enum):
    """At what a server refused."""

    SESSION = "the session"
    SENDER = "the sender"
    RECIPIENT = "the recipient"
    CONTENT = "the content"


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer other than yes."""

    stage: Stage
    code: int
    text: str

    @property
    def enhanced(self) -> str:
        """The enhanced status code; empty where there is none, or one of another class than the reply is of."""
        found = _ENHANCED.match(self.text)
        return found[0] if found and found[1] == str(self.code)[:1] else ""

    @property
    def is_permanent(self) -> bool:
        """Whether the server says that asking again is of no use, as things stand there."""
        return self.code in _PERMANENT

    @property
    def is_about_the_recipient(self) -> bool:
        """Whether this recipient will never get this mail, whoever sends it."""
        if self.stage not in (Stage.RECIPIENT, Stage.CONTENT):
            return False  # it had not even heard of the recipient
        return self.is_permanent and self.enhanced in _OF_THE_RECIPIENT

    @property
    def kind(self) -> str:
        """What refusals for one reason have in common, whatever they say about each mail."""
        return f"{self.code} {self.enhanced}".rstrip()

    def __str__(self) -> str:
        return f"{self.code} {one_line(self.text)}".rstrip()


def one_line(text: str) -> str:
    """Return a server's words on one line, as they can be stored and shown on a terminal.

    Bytes that are no UTF-8 come as surrogates, which no database takes, and controls mean something to a terminal.
    """
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in " ".join(text.split()))
