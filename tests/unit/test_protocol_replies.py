"""What the server says: one line each, whatever is in the values."""

import pytest

from mailauth.core import protocol
from mailauth.vocabulary.errors import ProtocolViolation
from tests.cases import case

CLIENT_LINE_BYTES = 8192
"""What our clients accept; Dovecot's and Postfix's own take as much."""


def test_ok_is_the_golden_one() -> None:
    """Postfix refuses an OK without user=; nologin would be a bypass."""
    assert protocol.ok(7, "alice@mailitwize.be") == b"OK\t7\tuser=alice@mailitwize.be\n"


def test_fail_is_the_golden_one() -> None:
    assert protocol.fail(7, "alice", "Use an app password") == b"FAIL\t7\tuser=alice\treason=Use an app password\n"
    assert protocol.fail(7, "alice", None) == b"FAIL\t7\tuser=alice\n"


def test_temporary_failure_is_the_golden_one() -> None:
    assert protocol.temporary_failure(7, "alice") == b"FAIL\t7\tuser=alice\tcode=temp_fail\n"


INJECTIONS = ["a\tcode=temp_fail", "a\nOK\t1\tuser=root", "a\r\nOK", "a\x00b", "a\x01b", "\t", "\n", "a\x01t", "é\t✓"]


def test_value_never_begins_a_field_or_a_line() -> None:
    for value in INJECTIONS:
        with case(value):
            for line, fields in (
                (protocol.ok(1, value), 3),
                (protocol.fail(1, value, value), 4),
                (protocol.fail(1, value, None), 3),
                (protocol.temporary_failure(1, value), 4),
            ):
                assert line.endswith(b"\n")
                assert line.count(b"\n") == 1
                assert line.count(b"\t") == fields - 1
                assert b"\x00" not in line
                assert b"\r" not in line


@pytest.mark.parametrize(
    ("value", "escaped"),
    [("\0", "\x010"), ("\x01", "\x011"), ("\t", "\x01t"), ("\r", "\x01r"), ("\n", "\x01n"), ("plain ✓", "plain ✓")],
)
def test_escapes_are_those_of_the_protocol(value: str, escaped: str) -> None:
    assert protocol.escape(value) == escaped
    assert protocol.unescape(escaped.encode()) == value.encode()


def test_unknown_escape_is_a_violation() -> None:
    for value in (b"\x01", b"ab\x01", b"\x012", b"\x01\x01", b"\x01T", b"\x01\n", b"\x01\xff"):
        with case(value), pytest.raises(ProtocolViolation, match="unknown escape"):
            protocol.unescape(value)


def test_escaped_escape_is_not_unescaped_twice() -> None:
    assert protocol.unescape(b"\x011t") == b"\x01t"


@pytest.mark.parametrize("name", ["x" * 9000, "\x01" * 6000, "é" * 4096, "x" * 500])
def test_no_reply_is_longer_than_what_clients_accept(name: str) -> None:
    """A name of 9,000 bytes comes back in no reply: a client would take the line for a broken server."""
    reason = "r" * 400
    assert len(protocol.fail(1, name, reason)) <= CLIENT_LINE_BYTES
    assert len(protocol.temporary_failure(1, name)) <= CLIENT_LINE_BYTES


def test_name_that_is_too_long_is_left_out_and_not_cut() -> None:
    assert protocol.fail(1, "x" * 9000, "why") == b"FAIL\t1\treason=why\n"
    assert protocol.temporary_failure(1, "x" * 9000) == b"FAIL\t1\tcode=temp_fail\n"
    assert protocol.fail(1, "x" * 1016, None) == b"FAIL\t1\tuser=" + b"x" * 1016 + b"\n"
    assert protocol.fail(1, "x" * 1017, None) == b"FAIL\t1\n"


def test_lone_surrogate_does_not_break_a_refusal() -> None:
    assert protocol.fail(1, "a\ud800b", None) == b"FAIL\t1\tuser=a?b\n"
