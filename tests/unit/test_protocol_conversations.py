"""Golden conversations, as Postfix, Exim, doveadm and our own clients speak them."""

import base64

import pytest

from mailauth.core.protocol import Broken, Cancelled, Conversation, Event, Login, Malformed, Say, greeting
from mailauth.vocabulary.secret import Secret
from tests.cases import case


def b64(text: str | bytes) -> bytes:
    return base64.b64encode(text.encode() if isinstance(text, str) else text)


PLAIN = b64("\0alice@mailitwize.be\0correct horse123456")


def introduced() -> Conversation:
    conversation = Conversation()
    assert conversation.feed(b"VERSION\t1\t1\nCPID\t4711\n") == []
    return conversation


def test_greeting_is_the_golden_one() -> None:
    """Exim waits for DONE before it speaks."""
    assert greeting(12, 34, "0123456789abcdef0123456789abcdef") == (
        b"VERSION\t1\t1\n"
        b"MECH\tPLAIN\tplaintext\n"
        b"MECH\tLOGIN\tplaintext\n"
        b"SPID\t12\n"
        b"CUID\t34\n"
        b"COOKIE\t0123456789abcdef0123456789abcdef\n"
        b"DONE\n"
    )


def test_postfix_speaks_plain() -> None:
    assert Conversation().feed(
        b"VERSION\t1\t0\nCPID\t4711\n"
        b"AUTH\t1\tPLAIN\tservice=submission\tnologin\tlip=198.51.100.1\trip=192.0.2.7\tsecured\tresp=" + PLAIN + b"\n"
    ) == [
        Login(
            1,
            "PLAIN",
            "alice@mailitwize.be",
            Secret(b"correct horse123456"),
            {
                "service": "submission",
                "nologin": "yes",
                "lip": "198.51.100.1",
                "rip": "192.0.2.7",
                "secured": "yes",
            },
        )
    ]


def test_postfix_speaks_plain_without_an_initial_response() -> None:
    conversation = introduced()
    assert conversation.feed(b"AUTH\t2\tPLAIN\tservice=smtp\tnologin\n") == [Say(b"CONT\t2\t\n")]
    assert conversation.feed(b"CONT\t2\t" + PLAIN + b"\n") == [
        Login(
            2,
            "PLAIN",
            "alice@mailitwize.be",
            Secret(b"correct horse123456"),
            {"service": "smtp", "nologin": "yes"},
        )
    ]


def test_exim_speaks_login_with_an_empty_response() -> None:
    conversation = Conversation()
    assert conversation.feed(b"VERSION\t1\t0\nCPID\t99\nAUTH\t5\tLOGIN\tservice=smtp\trip=192.0.2.7\tresp=\n") == [
        Say(b"CONT\t5\tVXNlcm5hbWU6\n")
    ]
    assert conversation.feed(b"CONT\t5\t" + b64("alice") + b"\n") == [Say(b"CONT\t5\tUGFzc3dvcmQ6\n")]
    assert conversation.feed(b"CONT\t5\t" + b64("correct horse") + b"\n") == [
        Login(5, "LOGIN", "alice", Secret(b"correct horse"), {"service": "smtp", "rip": "192.0.2.7"})
    ]


def test_login_takes_the_name_as_initial_response() -> None:
    conversation = introduced()
    assert conversation.feed(b"AUTH\t1\tLOGIN\tservice=smtp\tresp=" + b64("alice") + b"\n") == [
        Say(b"CONT\t1\tUGFzc3dvcmQ6\n")
    ]
    events = conversation.feed(b"CONT\t1\t" + b64("pw") + b"\n")
    assert events == [Login(1, "LOGIN", "alice", Secret(b"pw"), {"service": "smtp"})]


def test_dovecot_helpers_hand_on_everything_they_know() -> None:
    parameters = (
        b"service=imap\tlip=::1\trip=2001:db8::7\tlport=993\trport=4711\tsecured=tls"
        b"\tsession=AbC+/1\tlocal_name=imap.example\tmailauth=1"
    )
    (login,) = introduced().feed(b"AUTH\t1\tPLAIN\t" + parameters + b"\tresp=" + PLAIN + b"\n")
    assert isinstance(login, Login)
    assert login.parameters == {
        "service": "imap",
        "lip": "::1",
        "rip": "2001:db8::7",
        "lport": "993",
        "rport": "4711",
        "secured": "tls",
        "session": "AbC+/1",
        "local_name": "imap.example",
        "mailauth": "1",
    }


def test_mechanism_is_read_without_case() -> None:
    (login,) = introduced().feed(b"AUTH\t1\tplain\tservice=imap\tresp=" + PLAIN + b"\n")
    assert isinstance(login, Login)
    assert login.mechanism == "PLAIN"


def test_mechanism_alone_is_enough() -> None:
    assert introduced().feed(b"AUTH\t1\tLOGIN\n") == [Say(b"CONT\t1\tVXNlcm5hbWU6\n")]


def test_requests_are_pipelined_and_continued_in_any_order() -> None:
    conversation = introduced()
    assert conversation.feed(b"AUTH\t1\tLOGIN\nAUTH\t2\tPLAIN\nAUTH\t3\tLOGIN\n") == [
        Say(b"CONT\t1\tVXNlcm5hbWU6\n"),
        Say(b"CONT\t2\t\n"),
        Say(b"CONT\t3\tVXNlcm5hbWU6\n"),
    ]
    events = conversation.feed(
        b"CONT\t3\t" + b64("carol") + b"\nCONT\t2\t" + b64("\0bob\0b") + b"\nCONT\t3\t" + b64("c") + b"\n"
    )
    assert events == [
        Say(b"CONT\t3\tUGFzc3dvcmQ6\n"),
        Login(2, "PLAIN", "bob", Secret(b"b"), {}),
        Login(3, "LOGIN", "carol", Secret(b"c"), {}),
    ]


def test_answered_request_frees_its_id() -> None:
    conversation = introduced()
    for _ in range(2):
        assert conversation.feed(b"AUTH\t7\tPLAIN\n") == [Say(b"CONT\t7\t\n")]
        (login,) = conversation.feed(b"CONT\t7\t" + b64("\0a\0b") + b"\n")
        assert isinstance(login, Login)


def test_cancelled_request_is_forgotten() -> None:
    conversation = introduced()
    assert conversation.feed(b"AUTH\t1\tPLAIN\nCANCEL\t1\n") == [Say(b"CONT\t1\t\n"), Cancelled(1)]
    assert conversation.feed(b"CONT\t1\t" + PLAIN + b"\n") == []
    assert conversation.feed(b"AUTH\t1\tPLAIN\n") == [Say(b"CONT\t1\t\n")]


def test_cancelling_what_is_being_decided_is_told() -> None:
    conversation = introduced()
    login, cancelled = conversation.feed(b"AUTH\t1\tPLAIN\tresp=" + PLAIN + b"\nCANCEL\t1\n")
    assert isinstance(login, Login)
    assert cancelled == Cancelled(1)


def test_unknown_commands_are_ignored() -> None:
    assert introduced().feed(b"FUTURE\tx\ty\n\nauth\t1\tPLAIN\n\t\nAUTHX\t1\n") == []


def test_broken_response_is_refused_and_nothing_else_happens() -> None:
    for response, name, problem in (
        (b"!!!!", "", "bad base64"),
        (b"abc", "", "bad base64"),
        (b"YWJj=YWJj", "", "bad base64"),
        (b"YWJj\tforward=1", "", "bad base64"),
        (b64(""), "", "not a PLAIN message"),
        (b64("alice"), "", "not a PLAIN message"),
        (b64("alice\0pw"), "", "not a PLAIN message"),
        (b64("\0alice\0p\0w"), "", "not a PLAIN message"),
        (b64(b"\0al\xffice\0pw"), "", "name is not UTF-8"),
        (b64("bob\0alice\0pw"), "alice", "logging in as somebody else is not supported"),
        (b64("ALICE\0alice\0pw"), "alice", "logging in as somebody else is not supported"),
    ):
        with case(response, name, problem):
            conversation = introduced()
            conversation.feed(b"AUTH\t1\tPLAIN\tservice=imap\n")
            assert conversation.feed(b"CONT\t1\t" + response + b"\n") == [
                Malformed(1, name, problem, {"service": "imap"})
            ]
            assert conversation.feed(b"AUTH\t1\tPLAIN\n") == [Say(b"CONT\t1\t\n")]


def test_authorisation_as_oneself_is_fine() -> None:
    (login,) = introduced().feed(b"AUTH\t1\tPLAIN\tresp=" + b64("alice\0alice\0pw") + b"\n")
    assert login == Login(1, "PLAIN", "alice", Secret(b"pw"), {})


def test_name_of_login_has_to_be_utf8() -> None:
    conversation = introduced()
    conversation.feed(b"AUTH\t1\tLOGIN\tservice=smtp\tresp=" + b64(b"\xff\xfe") + b"\n")
    assert conversation.feed(b"CONT\t1\t" + b64("pw") + b"\n") == [
        Malformed(1, "", "name is not UTF-8", {"service": "smtp"})
    ]


def test_unknown_mechanism_is_refused() -> None:
    for mechanism in (b"CRAM-MD5", b"", b"GSSAPI", b"XOAUTH2", b"PLAIN ", b"\xff"):
        with case(mechanism):
            events = introduced().feed(b"AUTH\t1\t" + mechanism + b"\tservice=imap\tresp=" + PLAIN + b"\n")
            assert events == [Malformed(1, "", "unknown mechanism", {"service": "imap"})]


def test_names_and_secrets_come_through_as_they_are() -> None:
    secret = "pässwörd \t\r\n\x01 ✓".encode()
    (login,) = introduced().feed(b"AUTH\t1\tPLAIN\tresp=" + b64(b"\0" + "zoë".encode() + b"\0" + secret) + b"\n")
    assert login == Login(1, "PLAIN", "zoë", Secret(secret), {})


def test_secret_of_a_login_does_not_show() -> None:
    """AUD1."""
    assert "correct horse" not in repr(introduced().feed(b"AUTH\t1\tPLAIN\tresp=" + PLAIN + b"\n"))


def test_connection_owes_its_introduction_and_the_rest_of_a_line() -> None:
    """SOC1: what the read deadline is for."""
    conversation = Conversation()
    assert conversation.owes_bytes
    conversation.feed(b"VERSION\t1\t1\n")
    assert conversation.owes_bytes
    conversation.feed(b"CPID\t1\n")
    assert not conversation.owes_bytes
    conversation.feed(b"AUTH\t1")
    assert conversation.owes_bytes
    conversation.feed(b"\tPLAIN\n")
    assert not conversation.owes_bytes


def broken(events: list[Event]) -> bool:
    return bool(events) and isinstance(events[-1], Broken)


def test_violation_breaks_the_conversation_for_good() -> None:
    for lines in (
        b"VERSION\t2\t0\n",
        b"VERSION\n",
        b"VERSION\t\n",
        b"VERSION\t11\t1\n",
        b"VERSION\t1\t1\nVERSION\t1\t1\n",
        b"CPID\t1\n",
        b"VERSION\t1\t1\nCPID\n",
        b"VERSION\t1\t1\nCPID\tx\n",
        b"VERSION\t1\t1\nCPID\t-1\n",
        b"VERSION\t1\t1\nCPID\t1\t2\n",
        b"VERSION\t1\t1\nCPID\t1\nCPID\t1\n",
        b"AUTH\t1\tPLAIN\n",
        b"VERSION\t1\t1\nAUTH\t1\tPLAIN\n",
        b"VERSION\t1\t1\nCPID\t1\nAUTH\n",
        b"VERSION\t1\t1\nCPID\t1\nAUTH\t\tPLAIN\n",
        b"VERSION\t1\t1\nCPID\t1\nAUTH\tx\tPLAIN\n",
        b"VERSION\t1\t1\nCPID\t1\nAUTH\t-1\tPLAIN\n",
        b"VERSION\t1\t1\nCPID\t1\nAUTH\t1 \tPLAIN\n",
        b"VERSION\t1\t1\nCPID\t1\nAUTH\t4294967296\tPLAIN\n",
        b"VERSION\t1\t1\nCPID\t1\nAUTH\t99999999999\tPLAIN\n",
        b"VERSION\t1\t1\nCPID\t1\nAUTH\t1\tPLAIN\nAUTH\t1\tLOGIN\n",
        b"VERSION\t1\t1\nCPID\t1\nAUTH\t1\tPLAIN\tx=\x01\n",
        b"VERSION\t1\t1\nCPID\t1\nAUTH\t1\tPLAIN\tx=\x019\n",
        b"VERSION\t1\t1\nCPID\t1\nCONT\tx\t\n",
        b"VERSION\t1\t1\nCPID\t1\nCONT\t4294967296\t\n",
        b"VERSION\t1\t1\nCPID\t1\nCANCEL\n",
        b"VERSION\t1\t1\nCPID\t1\nCANCEL\t1\t1\n",
    ):
        with case(lines):
            conversation = Conversation()
            assert broken(conversation.feed(lines))
            assert conversation.feed(b"VERSION\t1\t1\nCPID\t1\nAUTH\t9\tPLAIN\tresp=" + PLAIN + b"\n") == []


def test_what_came_before_a_violation_counts() -> None:
    events = introduced().feed(b"AUTH\t1\tPLAIN\tresp=" + PLAIN + b"\nCPID\t1\nAUTH\t2\tPLAIN\n")
    assert [type(event) for event in events] == [Login, Broken]


@pytest.mark.parametrize("request_id", [b"0", b"1", b"4294967295"])
def test_request_id_is_any_32_bit_number(request_id: bytes) -> None:
    assert introduced().feed(b"AUTH\t" + request_id + b"\tPLAIN\n") == [Say(b"CONT\t" + request_id + b"\t\n")]
