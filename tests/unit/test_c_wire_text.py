"""The pure half of the C client, wire_text.c, loaded with ctypes: no socket, no process."""

from __future__ import annotations

import base64
import ctypes
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pam_module.harness.fake_server import GREETING, Asked, escape, unescape
from pam_module.harness.helper import build

UNAVAILABLE, DENIED, GRANTED = 0, 1, 2
MAX_USER, MAX_REASON, MAX_REQUEST, RELEASE_DIGITS, MAX_FIELDS = 511, 1000, 16384, 32, 4095
TOKEN = "0123456789abcdef0123456789abcdef"


class Bytes(ctypes.Structure):
    _fields_ = (("data", ctypes.c_char_p), ("length", ctypes.c_size_t))


class Request(ctypes.Structure):
    _fields_ = (
        ("socket_path", ctypes.c_char_p),
        ("timeout_ms", ctypes.c_uint),
        ("connect_patience_ms", ctypes.c_uint),
        ("user", Bytes),
        ("secret", Bytes),
        ("service", ctypes.c_char_p),
        ("lip", ctypes.c_char_p),
        ("rip", ctypes.c_char_p),
        ("lport", ctypes.c_char_p),
        ("rport", ctypes.c_char_p),
        ("secured", ctypes.c_char_p),
        ("session", ctypes.c_char_p),
        ("local_name", ctypes.c_char_p),
        ("orig_user", ctypes.c_char_p),
        ("look_up", ctypes.c_bool),
        ("second_factor_only", ctypes.c_bool),
        ("release", ctypes.c_char_p),
    )


class Reply(ctypes.Structure):
    _fields_ = (
        ("verdict", ctypes.c_int),
        ("why", ctypes.c_char_p),
        ("sys_errno", ctypes.c_int),
        ("user", ctypes.c_char * (MAX_USER + 1)),
        ("unknown", ctypes.c_bool),
        ("reason", ctypes.c_char * (MAX_REASON + 1)),
        ("has_tail", ctypes.c_bool),
        ("tail_bytes", ctypes.c_size_t),
        ("release", ctypes.c_char * (RELEASE_DIGITS + 1)),
        ("fields", ctypes.c_char * (MAX_FIELDS + 1)),
    )


class Conversation(ctypes.Structure):
    _fields_ = (
        ("version_seen", ctypes.c_bool),
        ("plain_offered", ctypes.c_bool),
        ("greeted", ctypes.c_bool),
        ("greeting_lines", ctypes.c_uint),
    )


@pytest.fixture(scope="module")
def wire() -> ctypes.CDLL:
    path: Path = build("test-parts") / "libwire_text.so"
    library = ctypes.CDLL(str(path))
    for name in (
        "wire_render_request",
        "wire_take_line",
        "wire_escape",
        "wire_unescape",
        "wire_parse_seconds",
    ):
        getattr(library, name).restype = ctypes.c_bool
    return library


@dataclass
class Verdict:
    over: bool
    verdict: int
    user: str
    reason: str
    tail: int | None
    release: str = ""
    unknown: bool = False


def take(wire: ctypes.CDLL, *lines: bytes, greeted: bool = True) -> Verdict:
    seen = Conversation(greeted, greeted, greeted, 0)
    reply = Reply()
    over = False
    for line in lines:
        over = wire.wire_take_line(ctypes.byref(seen), line, ctypes.c_size_t(len(line)), ctypes.byref(reply))
        if over:
            break
    tail = reply.tail_bytes if reply.has_tail else None
    user, reason, release = (field.decode() for field in (reply.user, reply.reason, reply.release))
    return Verdict(over, reply.verdict, user, reason, tail, release, reply.unknown)


def render(wire: ctypes.CDLL, user: bytes, secret: bytes, size: int = MAX_REQUEST, **more: object) -> bytes | None:
    request = Request(user=Bytes(user, len(user)), secret=Bytes(secret, len(secret)), **more)
    buffer = ctypes.create_string_buffer(size)
    length = ctypes.c_size_t()
    why = ctypes.c_char_p()
    done = wire.wire_render_request(
        ctypes.byref(request),
        ctypes.c_long(77),
        buffer,
        ctypes.c_size_t(size),
        ctypes.byref(length),
        ctypes.byref(why),
    )
    return buffer.raw[: length.value] if done else None


def test_a_whole_conversation_grants(wire: ctypes.CDLL) -> None:
    lines = (GREETING + b"OK\t1\tuser=anna\n").splitlines()
    assert take(wire, *lines, greeted=False) == Verdict(True, GRANTED, "anna", "", None)


def test_the_answer_is_not_taken_before_the_greeting_is_complete(wire: ctypes.CDLL) -> None:
    lines = GREETING.splitlines()[:-1]
    assert not take(wire, *lines, greeted=False).over
    assert take(wire, *lines, b"OK\t1\tuser=a", greeted=False).verdict == UNAVAILABLE


@pytest.mark.parametrize("tail", [("6", 6), ("19", 19), ("0", 0), ("9999", 9999)])
def test_the_length_of_the_code_is_read(wire: ctypes.CDLL, tail: tuple[str, int]) -> None:
    line = f"OK\t1\tuser=a\ttail={tail[0]}".encode()
    assert take(wire, line) == Verdict(True, GRANTED, "a", "", tail[1])


@pytest.mark.parametrize("tail", ["", "-1", "+6", " 6", "6 ", "0x6", "99999", "6\ttail=6", "\u0666"])
def test_an_odd_length_of_the_code_is_unavailable(wire: ctypes.CDLL, tail: str) -> None:
    assert take(wire, f"OK\t1\tuser=a\ttail={tail}".encode()).verdict == UNAVAILABLE


def test_the_token_for_giving_back_is_read(wire: ctypes.CDLL) -> None:
    line = f"OK\t1\tuser=a\ttail=6\trelease={TOKEN}".encode()
    assert take(wire, line) == Verdict(True, GRANTED, "a", "", 6, TOKEN)
    assert take(wire, f"FAIL\t1\tuser=a\trelease={TOKEN}".encode()) == Verdict(True, DENIED, "", "", None)


@pytest.mark.parametrize(
    "token",
    ["", TOKEN[1:], TOKEN + "0", TOKEN.upper(), TOKEN[1:] + " ", TOKEN[1:] + "g", TOKEN + "\trelease=" + TOKEN],
)
def test_an_odd_token_is_unavailable(wire: ctypes.CDLL, token: str) -> None:
    got = take(wire, f"OK\t1\tuser=a\ttail=6\trelease={token}".encode())
    assert got == Verdict(True, UNAVAILABLE, "", "", None)


@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=200))
def test_every_text_comes_back_with_controls_as_spaces(wire: ctypes.CDLL, text: str) -> None:
    expected = "".join(" " if ord(c) < 0x20 or ord(c) == 0x7F else c for c in text)
    assert take(wire, f"FAIL\t1\treason={escape(text)}".encode()) == Verdict(True, DENIED, "", expected, None)


@given(value=st.binary(max_size=300))
def test_unescape_undoes_escape(wire: ctypes.CDLL, value: bytes) -> None:
    out, back = ctypes.create_string_buffer(700), ctypes.create_string_buffer(300)
    length = ctypes.c_size_t()
    assert wire.wire_escape(value, ctypes.c_size_t(len(value)), out, ctypes.c_size_t(700), ctypes.byref(length))
    escaped = out.raw[: length.value]
    assert escaped.decode("latin-1") == escape(value.decode("latin-1"))
    assert unescape(escaped.decode("latin-1")).encode("latin-1") == value
    assert wire.wire_unescape(escaped, ctypes.c_size_t(len(escaped)), back, ctypes.c_size_t(300), ctypes.byref(length))
    assert back.raw[: length.value] == value


@given(line=st.binary(max_size=100))
def test_random_bytes_are_never_granted(wire: ctypes.CDLL, line: bytes) -> None:
    got = take(wire, b"OK\t1\t" + line)
    assert got.verdict != DENIED
    assert got.verdict == UNAVAILABLE or b"user=" in line


text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@given(user=text, secret=text, session=text, rip=text)
def test_the_server_reads_what_was_rendered(wire: ctypes.CDLL, user: str, secret: str, session: str, rip: str) -> None:
    raw = render(wire, user.encode(), secret.encode(), session=session.encode(), rip=rip.encode())
    assert raw is not None
    asked = Asked.parse(raw)
    assert (asked.user, asked.secret, asked.mechanism) == (user, secret, "PLAIN")
    given_fields = {"rip": rip, "session": session}
    assert asked.parameters == {k: v for k, v in given_fields.items() if v} | {"mailauth": "1"}


def test_the_request_reads_as_the_protocol_has_it(wire: ctypes.CDLL) -> None:
    raw = render(
        wire,
        b"u",
        b"s",
        service=b"imap",
        lip=b"::1",
        rip=b"192.0.2.7",
        lport=b"143",
        rport=b"5",
        secured=b"tls",
        session=b"S",
        local_name=b"mx",
        second_factor_only=True,
    )
    assert raw == (
        b"VERSION\t1\t1\nCPID\t77\nAUTH\t1\tPLAIN\tservice=imap\tlip=::1\trip=192.0.2.7"
        b"\tlport=143\trport=5\tsecured=tls\tsession=S\tlocal_name=mx\tmailauth=1\tfactor=second"
        b"\tresp=" + base64.b64encode(b"\0u\0s") + b"\n"
    )


def test_a_look_up_reads_as_the_protocol_has_it(wire: ctypes.CDLL) -> None:
    raw = render(wire, b"u", b"", service=b"lmtp", look_up=True)
    assert raw == (
        b"VERSION\t1\t1\nCPID\t77\nAUTH\t1\tPLAIN\tservice=lmtp\tmailauth=lookup\tresp="
        + base64.b64encode(b"\0u\0")
        + b"\n"
    )


def test_unknown_is_read_in_so_many_words_only(wire: ctypes.CDLL) -> None:
    assert take(wire, b"FAIL\t1\tuser=u\tcode=unknown") == Verdict(True, DENIED, "", "", None, unknown=True)
    for line in (b"FAIL\t1\tuser=u", b"FAIL\t1\tcode=unknown2", b"FAIL\t1\treason=code=unknown"):
        assert not take(wire, line).unknown
    assert take(wire, b"FAIL\t1\tcode=unknown\tcode=temp_fail").verdict == UNAVAILABLE


def test_giving_back_reads_as_the_protocol_has_it(wire: ctypes.CDLL) -> None:
    raw = render(wire, b"u", b"-", service=b"imap", rip=b"192.0.2.7", release=TOKEN.encode(), second_factor_only=True)
    assert raw == (
        b"VERSION\t1\t1\nCPID\t77\nAUTH\t1\tPLAIN\tservice=imap\trip=192.0.2.7\tmailauth=1"
        b"\tfactor=release\trelease=" + TOKEN.encode() + b"\tresp=" + base64.b64encode(b"\0u\0-") + b"\n"
    )


@pytest.mark.parametrize(("user", "secret"), [(b"a\0b", b"s"), (b"a", b"s\0"), (b"\0", b"")])
def test_a_nul_in_name_or_password_is_not_rendered(wire: ctypes.CDLL, user: bytes, secret: bytes) -> None:
    assert render(wire, user, secret) is None


def test_every_buffer_that_is_too_small_is_refused(wire: ctypes.CDLL) -> None:
    whole = render(wire, b"anna", b"secret", service=b"imap")
    assert whole is not None
    for size in range(1, len(whole)):
        assert render(wire, b"anna", b"secret", size=size, service=b"imap") is None
    assert render(wire, b"anna", b"secret", size=len(whole), service=b"imap") == whole
    assert render(wire, b"anna", b"x" * MAX_REQUEST) is None


@settings(max_examples=300)
@given(text=st.from_regex(r"[0-9]{0,6}(\.[0-9]{0,4})?", fullmatch=True))
def test_time_outs_are_read_as_decimals(wire: ctypes.CDLL, text: str) -> None:
    ms = ctypes.c_uint(12345)
    accepted = wire.wire_parse_seconds(text.encode(), ctypes.byref(ms))
    whole, _, part = text.partition(".")
    expected = int(whole or 0) * 1000 + int((part + "000")[:3])
    if accepted:
        assert ms.value == expected
    assert accepted == (bool(whole or part) and len(part) <= 3 and 0 < expected <= 3_600_000)
