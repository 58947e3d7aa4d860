"""What an attempt is, found out once."""

from mailauth.core import app_password
from mailauth.core.reading import ByAppPassword, ByPassword, read
from mailauth.core.splitter import Password, PasswordAndCode, PasswordAndRecoveryCode
from mailauth.vocabulary.model import AccountName, Ask, Attempt, Denied
from mailauth.vocabulary.reasons import WhyDenied
from mailauth.vocabulary.secret import Secret
from tests.cases import case

DOMAIN, ALICE = "mailitwize.be", AccountName("alice@mailitwize.be")
CODE, RECOVERY = b"123456", b"k7qm-2xvp-9hfd-c3wn"
TOKEN = app_password.generate(lambda size: bytes(range(size)))


def of(secret: bytes, ask: Ask = Ask.WHOLE, service: str = "imap", name: str = "Alice") -> object:
    return read(Attempt(name, Secret(secret), service, ask=ask), DOMAIN)


def test_what_can_be_no_attempt_is_refused_for_what_is_wrong_with_it() -> None:
    assert of(b"x", name="a b") == Denied(WhyDenied.NAME_MALFORMED)
    for secret in (b"", b"x" * 513, b"a\x00b"):
        assert of(secret) == Denied(WhyDenied.SECRET_MALFORMED, ALICE)
    for ask in (Ask.PASSWORD, Ask.PROOF):
        assert of(b"x", ask) == Denied(WhyDenied.REQUEST_MALFORMED, ALICE)


def test_app_password_is_one_wherever_a_whole_login_or_a_proof_is_asked_for() -> None:
    for ask, service in ((Ask.WHOLE, "imap"), (Ask.WHOLE, "portal"), (Ask.PROOF, "portal")):
        with case(ask, service):
            reading = of(TOKEN.encode(), ask, service)
            assert isinstance(reading, ByAppPassword)
            assert reading.name == ALICE
            assert reading.token == app_password.recognise(TOKEN.encode())
    for ask, service in ((Ask.SECOND_FACTOR, "imap"), (Ask.PASSWORD, "portal")):
        with case(ask, service):
            assert isinstance(of(TOKEN.encode(), ask, service), ByPassword)


def test_string_reads_by_the_accounts_state_and_as_a_password_where_nothing_else_is_asked_for() -> None:
    for tail, enrolled in (
        (CODE, PasswordAndCode(b"horse", CODE)),
        (RECOVERY, PasswordAndRecoveryCode(b"horse", RECOVERY.replace(b"-", b""))),
        (b"", Password(b"horse")),
    ):
        for ask, service in ((Ask.WHOLE, "imap"), (Ask.SECOND_FACTOR, "imap"), (Ask.PROOF, "portal")):
            with case(tail, ask):
                reading = of(b"horse" + tail, ask, service)
                assert isinstance(reading, ByPassword)
                assert reading.presented(6) == enrolled
                assert reading.presented(None) == Password(b"horse" + tail)
                of_eight = b"horse" + tail if tail == CODE else b"horse"
                assert reading.passwords == (b"horse" + tail, b"horse", of_eight)
                assert reading.likely == enrolled
        reading = of(b"horse" + tail, Ask.PASSWORD, "portal")
        assert isinstance(reading, ByPassword)
        assert reading.presented(6) == reading.presented(None) == Password(b"horse" + tail)
        assert reading.passwords[:2] == (b"horse" + tail, b"horse")


def test_code_of_eight_digits_is_one_for_who_has_such_codes() -> None:
    for typed in (b"12345678", b"1234 5678", b"12345678  "):
        with case(typed):
            reading = of(b"horse" + typed, Ask.WHOLE, "imap")
            assert isinstance(reading, ByPassword)
            assert reading.presented(8) == PasswordAndCode(b"horse", b"12345678")
            assert reading.presented(6) != reading.presented(8)
            assert isinstance(reading.likely, PasswordAndCode), "charged as one, whoever it is for"
    reading = of(b"horse123456", Ask.WHOLE, "imap")
    assert isinstance(reading, ByPassword)
    assert reading.presented(8) == Password(b"horse123456")
