"""SOC1: lines and pending requests are capped."""

import base64

import pytest

from mailauth.core.protocol import MAX_LINE_BYTES, MAX_PENDING, Broken, Conversation, Login, Say

HELLO = b"VERSION\t1\t1\nCPID\t1\n"


def line_of(length: int) -> bytes:
    return b"AUTH\t1\tPLAIN\tx=" + b"y" * (length - len("AUTH\t1\tPLAIN\tx="))


def test_line_of_16384_bytes_is_taken() -> None:
    assert MAX_LINE_BYTES == 16384
    conversation = Conversation()
    assert conversation.feed(HELLO + line_of(16384) + b"\n") == [Say(b"CONT\t1\t\n")]


@pytest.mark.parametrize("ending", [b"\n", b""])
def test_line_of_one_byte_more_breaks_the_conversation(ending: bytes) -> None:
    events = Conversation().feed(HELLO + line_of(16385) + ending)
    assert events == [Broken("a line of more than 16384 bytes")]


def test_half_line_at_the_cap_waits_for_its_end() -> None:
    conversation = Conversation()
    assert conversation.feed(HELLO + line_of(16384)) == []
    assert conversation.owes_bytes
    assert conversation.feed(b"\n") == [Say(b"CONT\t1\t\n")]


def test_endless_line_is_not_collected() -> None:
    conversation = Conversation()
    assert conversation.feed(b"x" * 16384) == []
    assert conversation.feed(b"x") == [Broken("a line of more than 16384 bytes")]
    assert conversation.feed(b"x" * 1_000_000) == []
    assert conversation.feed(b"\n" + HELLO) == []


def test_longest_response_of_postfix_is_answered() -> None:
    """Postfix hands on responses of up to 12288 bytes: a denial, not a closed connection."""
    response = base64.b64encode(b"\0alice\0" + b"x" * (9216 - 7))
    assert len(response) == 12288
    (login,) = Conversation().feed(HELLO + b"AUTH\t1\tPLAIN\tservice=smtp\tresp=" + response + b"\n")
    assert isinstance(login, Login)
    assert len(login.secret) == 9216 - 7


def test_unfinished_requests_are_capped() -> None:
    assert MAX_PENDING == 256
    conversation = Conversation()
    begun = b"".join(b"AUTH\t%d\tPLAIN\n" % number for number in range(256))
    assert len(conversation.feed(HELLO + begun)) == 256
    assert conversation.feed(b"AUTH\t256\tPLAIN\n") == [Broken("too many unfinished requests")]


def test_second_question_of_login_does_not_count_twice() -> None:
    conversation = Conversation()
    conversation.feed(HELLO + b"".join(b"AUTH\t%d\tLOGIN\n" % number for number in range(256)))
    for number in range(256):
        (asked,) = conversation.feed(b"CONT\t%d\tYWxpY2U=\n" % number)
        assert isinstance(asked, Say)


def test_cancelled_requests_make_room() -> None:
    conversation = Conversation()
    conversation.feed(HELLO + b"".join(b"AUTH\t%d\tPLAIN\n" % number for number in range(256)))
    conversation.feed(b"CANCEL\t17\n")
    assert conversation.feed(b"AUTH\t256\tPLAIN\n") == [Say(b"CONT\t256\t\n")]
