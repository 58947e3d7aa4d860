# ruff: noqa: RUF001  (look-alikes are what these tests are about)
"""How one presented string is read; exactly one way each. The properties are in tests/property."""

import pytest

from mailauth.core.splitter import (
    Password,
    PasswordAndCode,
    PasswordAndRecoveryCode,
    is_presentable,
    is_set_apart,
    split,
)
from tests.cases import case

CODE = "k7qm-2xvp-9hfd-c3wn"
FOLDED = b"k7qm2xvp9hfdc3wn"


def test_six_digits_at_the_end_are_the_code_of_who_is_enrolled() -> None:
    for presented, password, code in (
        (b"correct horse123456", b"correct horse", b"123456"),
        (b"correct horse123 456", b"correct horse", b"123456"),
        (b"correct horse 123456", b"correct horse ", b"123456"),
        (b"hunter2123456", b"hunter2", b"123456"),
        (b"987654123456", b"987654", b"123456"),
        (b"987 654123 456", b"987 654", b"123456"),
        (b"12 345678", b"12 ", b"345678"),
        (b"1 23 456", b"1 23 456", None),
        (b"123456", b"", b"123456"),
        (b"123 456", b"", b"123456"),
        (b"pass\xff000000", b"pass\xff", b"000000"),
        (FOLDED[:10] + b"234567", FOLDED[:10], b"234567"),
    ):
        with case(presented, password, code):
            expected = Password(password) if code is None else PasswordAndCode(password, code)
            assert split(presented, digits=6) == expected


def test_other_tails_are_no_code() -> None:
    """OTP5."""
    for tail in ("１２３４５６", "١٢٣٤٥٦", "12345", "123  456", "12 3456", "123-456", "123\u00a0456"):
        with case(tail):
            presented = b"correct horse" + tail.encode()
            assert split(presented, digits=6) == Password(presented)


def test_code_of_seven_digits_is_a_code_behind_a_digit() -> None:
    assert split(b"x1234567", digits=6) == PasswordAndCode(b"x1", b"234567")


def test_recovery_code_at_the_end_is_folded() -> None:
    for shown in (CODE, CODE.upper(), CODE.replace("-", ""), CODE.replace("-", " ")):
        for password in (b"", b"correct horse", b"ends with dash-", b"pass123456"):
            with case(shown, password):
                assert split(password + shown.encode(), digits=6) == PasswordAndRecoveryCode(password, FOLDED)


@pytest.mark.parametrize("tail", ["", "123456", "123 456", CODE, CODE.upper()])
def test_all_of_it_is_the_password_of_who_is_not_enrolled(tail: str) -> None:
    presented = b"correct horse" + tail.encode()
    assert split(presented, digits=None) == Password(presented)


def test_password_alone_stays_whole_for_who_is_enrolled() -> None:
    assert split(b"correct horse", digits=6) == Password(b"correct horse")


def test_secret_is_1_to_512_bytes_without_controls() -> None:
    """PW2."""
    for secret, is_one in (
        (b"", False),
        (b"x", True),
        (b" ", True),
        (b"x" * 512, True),
        (b"x" * 513, False),
        (b"x" * 10_000, False),
        (b"pass\x00word", False),
        (b"\x1f", False),
        (b"\x7e", True),
        (b"\x7f", False),
        (b"\x80\xff", True),
        (b"tab\t", False),
        (b"line\n", False),
        (b"line\r", False),
        ("héllo wörld ✓".encode(), True),
    ):
        with case(secret, is_one):
            assert is_presentable(secret) is is_one


def test_few_blanks_behind_a_code_belong_to_it() -> None:
    for blank in (" ", "  ", "\u00a0", "\u200b", "\ufeff", "\u3000", " \u200e"):
        for code, read in (("123456", b"123456"), ("123 456", b"123456")):
            with case(blank, code):
                presented = b"correct horse" + (code + blank).encode()
                assert split(presented, digits=6) == PasswordAndCode(b"correct horse", read)
                assert split(presented, digits=None) == Password(presented)
        with case(blank):
            presented = b"correct horse" + (CODE + blank).encode()
            assert split(presented, digits=6) == PasswordAndRecoveryCode(b"correct horse", FOLDED)
    for tail in ("123456     ", "123456-", "123456.", "123456\u2011", "12345 ", CODE + "     "):
        with case(tail):
            assert split(b"correct horse" + tail.encode(), digits=6) == Password(b"correct horse" + tail.encode())


def test_what_stands_before_a_code_is_the_passwords_and_is_known_to_set_it_apart() -> None:
    """A password may end in a blank or a dash: there is one reading, and a hint."""
    for between in (" ", "-", "\u2013", "\u00a0", "+", ":", "\u200b"):
        with case(between):
            password = ("correct horse" + between).encode()
            assert split(password + b"123456", digits=6) == PasswordAndCode(password, b"123456")
            assert is_set_apart(password)
    for password in (b"", b"correct horse", b"correct horse!", "pass\u00e9".encode(), b"\xff"):
        with case(password):
            assert not is_set_apart(password)
