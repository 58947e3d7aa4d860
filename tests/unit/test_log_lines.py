"""AUD1, AUD3: one line a record, whatever a client sends; the time, the level, the message, the fields."""

import io
import logging
import sys
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from mailauth.effects import attempt_log
from mailauth.effects.log_lines import FIELDS, LogfmtFormatter, set_up
from mailauth.vocabulary.model import AccountName, Attempt, Credential, Denied, Granted, Unavailable
from mailauth.vocabulary.reasons import WhyDenied, WhyGranted, WhyUnavailable
from mailauth.vocabulary.secret import Secret
from tests.cases import case


def line(message: str = "login", level: int = logging.INFO, **fields: object) -> str:
    record = logging.LogRecord("x", level, __file__, 1, message, None, None)
    record.created = 1746396000.25
    setattr(record, FIELDS, fields)
    return LogfmtFormatter().format(record)


def test_line_is_the_golden_one() -> None:
    assert line(verdict="denied", account="alice@mailitwize.be", ms="1.5", client=ip_address("2001:db8::1")) == (
        "2025-05-04T22:00:00.250Z info login verdict=denied account=alice@mailitwize.be ms=1.5 client=2001:db8::1"
    )


def test_message_of_several_words_is_quoted() -> None:
    assert line("peer refused", logging.WARNING).endswith('Z warning "peer refused"')


def test_fields_without_a_value_are_left_out() -> None:
    assert line(session="", client=None, uses=0).endswith("Z info login uses=0")


def test_odd_value_is_quoted_and_escaped() -> None:
    """AUD3: control characters are encoded, DEL and C1 as well."""
    for value in (
        "a\nb",
        "a\r\nb",
        "x y=z",
        'a"b',
        "a\\b",
        "a=b",
        "\x00",
        "\x1b[31m",
        "\x7f",
        "\x85",
        "\u2028",
        "é",
        "a\tb",
        " ",
    ):
        with case(value):
            written = line(session=value).partition("session=")[2]
            assert written.startswith('"')
            assert written.endswith('"')
            assert written.isascii()
            assert written.isprintable()


def test_traceback_is_one_field_of_one_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", None, sys.exc_info())
    written = LogfmtFormatter().format(record)
    assert "\n" not in written
    assert 'traceback="Traceback' in written


def test_arguments_of_a_message_are_quoted_with_it() -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "%s left", ("a\nb",), None)
    assert LogfmtFormatter().format(record).endswith('Z info "a\\nb left"')


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    root.handlers.clear()
    set_up("info", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("mailauth").setLevel(logging.NOTSET)
    logging.captureWarnings(False)


def test_level_decides_what_is_written(log: io.StringIO) -> None:
    logging.getLogger("mailauth.x").debug("not this")
    logging.getLogger("mailauth.x").info("this")
    assert log.getvalue().count("\n") == 1
    assert log.getvalue().endswith(" info this\n")


def test_libraries_are_heard_where_they_warn_whatever_our_level_is(log: io.StringIO) -> None:
    set_up("debug", log)
    for library in ("python_multipart.multipart", "alembic.runtime", "asyncio"):
        logging.getLogger(library).debug("each byte")
        logging.getLogger(library).info("each step")
        logging.getLogger(library).warning("this of %s", library)
    logging.getLogger("mailauth.x").debug("ours")
    assert log.getvalue().count("\n") == 4
    assert "each" not in log.getvalue()


ATTEMPT = Attempt(
    "Alice", Secret(b"canary-secret"), "imap", ip_address("192.0.2.7"), session="s1", mechanism="PLAIN", secured="tls"
)
ALICE = AccountName("alice@mailitwize.be")


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (
            Granted(ALICE, Credential.PASSWORD_AND_CODE, WhyGranted.REMEMBERED, source="own"),
            "verdict=granted reason=remembered account=alice@mailitwize.be credential=password+code source=own",
        ),
        (
            Denied(WhyDenied.CODE_WRONG, ALICE, password_was_right=True),
            "verdict=denied reason=code-wrong account=alice",
        ),
        (
            Denied(WhyDenied.PASSWORD_WRONG, ALICE, source="pam"),
            "verdict=denied reason=password-wrong account=alice@mailitwize.be source=pam",
        ),
        (
            Unavailable(WhyUnavailable.DEADLINE, ALICE),
            "verdict=unavailable reason=deadline account=alice@mailitwize.be",
        ),
        (Denied(WhyDenied.NAME_MALFORMED), "verdict=denied reason=name-malformed name_bytes=5"),
    ],
)
def test_attempt_is_one_line_with_all_that_is_asked_for(
    log: io.StringIO, verdict: Granted | Denied | Unavailable, words: str
) -> None:
    """AUD1: time, account, service, source, factor, outcome, reason."""
    attempt_log.record(ATTEMPT, verdict, "pid:7/uid:0", 12.345)
    written = log.getvalue()
    assert written.count("\n") == 1
    assert words in written
    assert "service=imap client=192.0.2.7 session=s1 mechanism=PLAIN secured=tls" in written
    assert "pid:7/uid:0" in written
    assert "canary" not in written


def test_name_that_cannot_be_one_is_not_repeated(log: io.StringIO) -> None:
    """AUD1: people type passwords into the wrong field."""
    attempt_log.record(ATTEMPT._replace(name="canary password"), Denied(WhyDenied.NAME_MALFORMED), "", 1)
    assert "canary" not in log.getvalue()


def test_nothing_a_client_sends_begins_a_line_or_field_of_its_own(log: io.StringIO) -> None:
    """AUD3."""
    evil = "x\n2025-05-04T22:00:00.250Z info login verdict=granted"
    attempt = ATTEMPT._replace(service=evil, session=evil, mechanism=evil, secured=evil)
    attempt_log.record(attempt, Denied(WhyDenied.CODE_WRONG, ALICE), evil, 1)
    written = log.getvalue()
    assert written.count("\n") == 1
    outside = "".join(written.split('"')[::2])
    assert outside.count("verdict=") == 1
    assert "granted" not in outside
