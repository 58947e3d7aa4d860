"""What is fuzzed (requirement F6): each takes any bytes, and raises where a promise is broken.

No engine here: see `__main__.py`. A target that only survives says little, so each checks what has to hold besides.
"""

import base64
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from mailauth.core import alphabet, app_password, names, policy, protocol, recovery, splitter, typed
from mailauth.effects.passwords import SCHEME, PasswordHasher
from mailauth.vocabulary.errors import HashUnreadable, InvalidName, InvalidValue, ProtocolViolation

_HELLO = b"VERSION\t1\t1\nCPID\t1\n"
_HASHER = PasswordHasher(1, 64, 1)
_HASH_BODY = _HASHER.hash(b"x").removeprefix(SCHEME).encode()


def conversation(data: bytes) -> None:
    """Events only, the same for any cut of the stream, and nothing after a violation."""
    cut = data[0] if data else 0
    stream = _HELLO + data[1:]
    whole = protocol.Conversation().feed(stream)
    in_pieces = protocol.Conversation()
    pieces = [stream[:cut], stream[cut : 2 * cut], stream[2 * cut :]]
    assert [event for piece in pieces for event in in_pieces.feed(piece)] == whole
    assert not any(isinstance(event, protocol.Broken) for event in whole[:-1])


def sasl_response(data: bytes) -> None:
    """A PLAIN response of any bytes is a login of exactly its parts, or refused."""
    line = _HELLO + b"AUTH\t1\tPLAIN\tservice=imap\tresp=" + base64.b64encode(data) + b"\n"
    (event,) = protocol.Conversation().feed(line)
    if isinstance(event, protocol.Login):
        assert data.endswith(b"\0" + event.name.encode() + b"\0" + event.secret.reveal())
    else:
        assert isinstance(event, protocol.Malformed | protocol.Say | protocol.Broken)


def escapes(data: bytes) -> None:
    """Unescaping gives bytes or a violation; escaping never leaves what separates fields or lines."""
    try:
        protocol.unescape(data)
    except ProtocolViolation:
        assert b"\x01" in data
    text = data.decode("utf-8", "replace")
    line = protocol.fail(1, text, text)
    assert line.count(b"\n") == 1
    assert line.count(b"\t") in (2, 3)


def split(data: bytes) -> None:
    """One reading each, in which no byte is lost or made up."""
    assert splitter.split(data, digits=None) == splitter.Password(data)
    read = splitter.split(data, digits=6)
    assert data.startswith(read.password)
    tail = data[len(read.password) :]
    match read:
        case splitter.Password():
            assert tail == b""
        case splitter.PasswordAndCode(code=code):
            assert len(code) == 6
            assert set(code) <= set(b"0123456789")
            assert re.sub(recovery.BLANK, b"", tail) == code
        case splitter.PasswordAndRecoveryCode(recovery_code=code):
            assert alphabet.is_spelled(code, recovery.CHARACTERS)
            assert recovery.folded(tail) == code


def pasted(data: bytes) -> None:
    """What is read out of it is a name in its one form, and a code without anything around it."""
    text = data.decode("utf-8", "surrogateescape")
    assert typed.code(typed.code(text)) == typed.code(text)
    typed.strange_in_code(typed.code(text), takes_recovery=True)
    app_password.read(data)
    with suppress(InvalidName):
        name = names.read(text, "example.org")
        assert names.canonicalise(name, "example.org") == name == names.read(name, "example.org")


def app_passwords(data: bytes) -> None:
    """What is recognised is a selector and a secret of the alphabet, and never ends in digits."""
    token = app_password.recognise(data)
    if token is not None:
        assert alphabet.is_spelled(token.selector.encode(), app_password.SELECTOR_CHARACTERS)
        assert alphabet.is_spelled(token.secret, app_password.SECRET_CHARACTERS)
        assert alphabet.fold(data)[-1:].isalpha()
    generated = app_password.generate(lambda size: data[:size].ljust(size, b"\0"))
    assert app_password.recognise(generated.encode()) is not None


def account_names(data: bytes) -> None:
    """A canonical form that is its own, or InvalidName."""
    try:
        canonical = names.canonicalise(data.decode("utf-8", "surrogateescape"), "mailitwize.be")
    except InvalidName:
        return
    assert names.canonicalise(canonical, "other.example") == canonical
    assert canonical.isprintable()
    assert "/" not in canonical


def cutover_dates(data: bytes) -> None:
    """A moment that can be told in UTC, or InvalidValue."""
    with suppress(InvalidValue):
        cutover = policy.parse_cutover(data.decode("utf-8", "replace"))
        policy.Policy(cutover).announced("", datetime.now(UTC)).spoken()


def stored_hashes(data: bytes) -> None:
    """A stored hash of any text is right, wrong or unreadable; nothing else, and never right by chance."""
    # Costs that an attacker of the database could set are not explored: half of a real hash is kept.
    stored = SCHEME + (_HASH_BODY[:40] + data).decode("utf-8", "replace")
    for text in (stored, data.decode("utf-8", "replace")):
        with suppress(HashUnreadable):
            assert _HASHER.verify(text, b"not the password") is False


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        conversation,
        sasl_response,
        escapes,
        split,
        pasted,
        app_passwords,
        account_names,
        cutover_dates,
        stored_hashes,
    )
}

SEEDS: dict[str, list[bytes]] = {
    "conversation": [
        b"\x10AUTH\t1\tPLAIN\tservice=imap\tresp=AGEAYg==\nCONT\t1\tAGEAYg==\nCANCEL\t1\n",
        b"\x03AUTH\t2\tLOGIN\tresp=\nCONT\t2\tYQ==\nCONT\t2\tYg==\n",
    ],
    "sasl_response": [b"\0alice\0secret", b"alice\0alice\0secret"],
    "escapes": [b"\x01t\x01n\x010", b"a\tb\n"],
    "pasted": [
        b"mailto:alice@example.org",
        "\u200b\u201calice@example.org\u201d,".encode(),
        b"A <a@b>",
        "\uff11\uff12\uff13 456".encode(),
    ],
    "split": [b"correct horse123456", b"pw123 456", b"pwk7qm-2xvp-9hfd-c3wn"],
    "app_passwords": [b"aaasea2eawdaqcajbifs25eq", b"AAAS-EA2E AWDA-QCAJ-BIFS-25EQ"],
    "account_names": [b"alice@mailitwize.be", "zoë@bücher.example".encode(), b"a@xn--bcher-kva.example"],
    "cutover_dates": [b"2025-05-05T00:00 Europe/Brussels", b"2025-05-05T00:00:00+02:00"],
    "stored_hashes": [b"$aaaa", b"{ARGON2ID}$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aaaa", b"{PLAIN}x"],
}
