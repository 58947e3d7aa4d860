"""SOC1: bytes in, events out, however the bytes are cut; nothing but events ever comes out."""

import base64
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from mailauth.core import protocol
from mailauth.core.protocol import Broken, Conversation, Event, Login
from mailauth.vocabulary.errors import ProtocolViolation
from mailauth.vocabulary.secret import Secret

HELLO = b"VERSION\t1\t1\nCPID\t1\n"
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text("\0\x01\t\r\n=01trn", max_size=20)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
SECRETS = st.binary(max_size=60).filter(lambda secret: b"\0" not in secret)
PIECES = st.sampled_from(
    [
        b"VERSION\t1\t1", b"CPID\t1", b"AUTH\t", b"CONT\t", b"CANCEL\t", b"1", b"2", b"4294967296", b"\t", b"\n",
        b"PLAIN", b"LOGIN", b"service=imap", b"secured", b"resp=", base64.b64encode(b"\0a\0b"), b"YWxpY2U=",
        b"\x01", b"\x01t", b"=", b"\xff", b"\r\n",
    ]
)  # fmt: skip
LINES = st.lists(PIECES | st.binary(max_size=6), max_size=12).map(b"".join)
STREAMS = st.lists(LINES, max_size=12).map(b"\n".join).map(HELLO.__add__) | st.binary(max_size=200)


def fed(*pieces: bytes) -> list[Event]:
    conversation = Conversation()
    return [event for piece in pieces for event in conversation.feed(piece)]


@given(STREAMS, st.lists(st.integers(0, 300), max_size=8))
def test_any_split_of_the_bytes_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(places)]
    assert fed(*pieces) == fed(stream)


@given(STREAMS)
@example(HELLO + b"AUTH\t1\tPLAIN\tx=" + b"y" * 16384 + b"\nCPID\t1\n")
@example(b"x" * 16385 + b"\n")
def test_byte_by_byte_gives_the_same_events(stream: bytes) -> None:
    assert fed(*(stream[i : i + 1] for i in range(len(stream)))) == fed(stream)


@given(st.lists(st.binary(max_size=60) | LINES, max_size=20))
def test_no_bytes_make_it_raise_and_a_violation_is_the_last_word(pieces: list[bytes]) -> None:
    events = fed(HELLO, *pieces)
    assert not any(isinstance(event, Broken) for event in events[:-1])


@given(NAMES, SECRETS, st.dictionaries(st.from_regex(r"[a-z_]{1,10}", fullmatch=True), VALUES, max_size=5))
def test_login_comes_out_as_it_was_put_in(name: str, secret: bytes, parameters: dict[str, str]) -> None:
    parameters.pop("resp", None)
    fields = "".join(f"\t{key}={protocol.escape(value)}" for key, value in parameters.items()).encode()
    response = base64.b64encode(b"\0" + name.encode() + b"\0" + secret)
    stream = HELLO + b"AUTH\t77\tPLAIN" + fields + b"\tresp=" + response + b"\n"
    assert fed(stream) == [Login(77, "PLAIN", name, Secret(secret), parameters)]


@given(VALUES)
def test_unescape_undoes_escape(value: str) -> None:
    escaped = protocol.escape(value)
    assert not set(escaped) & set("\0\t\r\n")
    assert protocol.unescape(escaped.encode()) == value.encode()


@given(st.binary(max_size=40) | st.text("\x01 01trnx", max_size=20).map(str.encode))
def test_unescape_gives_bytes_or_a_violation(value: bytes) -> None:
    try:
        protocol.unescape(value)
    except ProtocolViolation:
        assert b"\x01" in value


def parse(line: bytes) -> tuple[str, int, dict[str, str]]:
    """Read a reply as a client does."""
    assert line.endswith(b"\n")
    word, number, *fields = line[:-1].split(b"\t")
    pairs = dict(field.split(b"=", 1) for field in fields)
    return word.decode(), int(number), {k.decode(): protocol.unescape(v).decode() for k, v in pairs.items()}


@given(st.integers(0, 2**32 - 1), VALUES, VALUES)
def test_replies_are_read_back_as_they_were_written(number: int, user: str, reason: str) -> None:
    """No value injects a field, a line or a code."""
    assert parse(protocol.ok(number, user)) == ("OK", number, {"user": user})
    assert parse(protocol.fail(number, user, None)) == ("FAIL", number, {"user": user})
    assert parse(protocol.fail(number, user, reason)) == ("FAIL", number, {"user": user, "reason": reason})
    assert parse(protocol.temporary_failure(number, user)) == ("FAIL", number, {"user": user, "code": "temp_fail"})
