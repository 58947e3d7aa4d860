"""Control characters in what a mail client says of itself: they end no line and begin no field on the way to mailauth.

A session's name and the name of the host (SNI) are the client's to choose. Whoever asks at Dovecot's authentication
socket hands them on, escaped; what mailauth then hears and logs is looked at here.
"""

from __future__ import annotations

import json
import re

from tests.integration.talking import Talk, auth
from tests.stack.clients import HOME
from tests.stack.people import Owner, Site, until

ESCAPES = {"\x00": "\x010", "\x01": "\x011", "\t": "\x01t", "\r": "\x01r", "\n": "\x01n"}


def check(site: Site, *, hands_on_the_session: bool) -> None:
    """Log in with fields that would be other fields, other lines and another owner, were they not escaped."""
    owner, other = site.owner(), site.owner()
    secret, others_secret = owner.app_password(), other.app_password()
    forged = auth(7, other.name, others_secret).decode()
    fields = [
        "a\tb",
        "a\nb",
        "a\r\nb",
        "\x01t\x01",
        f"s\tuser={other.name}\tsecured\tresp=AAAA",
        f"s\n{forged}",
        "s\x01",
        "\x7f\x1b[31m",
    ]
    with Talk(site.sandbox.dovecot_auth_socket).introduced() as talk:
        for number, field in enumerate(fields, start=1):
            reply = _ask(talk, number, owner, secret, field)
            assert reply.startswith(f"OK\t{number}\t".encode()), (field, reply)
            assert f"\tuser={owner.name}\t".encode() in reply + b"\t", (field, reply)
            assert other.name.encode() not in reply, (field, reply)
            refused = _ask(talk, number + 100, owner, "wrong" + secret, field)
            assert refused.startswith(f"FAIL\t{number + 100}\t".encode()), (field, refused)
    until(lambda: site.log_of(owner.name).count(" verdict=") == 2 * len(fields), "all logins are logged")
    assert site.log_of(owner.name).count(" verdict=granted") == len(fields)
    assert site.log_of(other.name) == "", "somebody else's name came out of a field"
    if hands_on_the_session:
        sessions = re.findall(r' session=("(?:[^"\\]|\\.)*"|\S+)', site.log_of(owner.name))
        shown = [json.loads(each) if each.startswith('"') else each for each in sessions]
        assert shown == [field for field in fields for _ in range(2)]


def _ask(talk: Talk, number: int, owner: Owner, secret: str, field: str) -> bytes:
    """Return the reply to a login with this field for session and host."""
    escaped = "".join(ESCAPES.get(character, character) for character in field)
    line = auth(number, owner.name, secret, client=HOME)
    talk.send(line.replace(b"\tresp=", f"\tsession={escaped}\tlocal_name={escaped}\tresp=".encode()))
    return talk.line()
