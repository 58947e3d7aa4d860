"""APP1, REC1, OTP5: how presented strings are read, for any password and any generated secret."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mailauth.core import alphabet, app_password, recovery
from mailauth.core.splitter import (
    MAX_BLANKS,
    Password,
    PasswordAndCode,
    PasswordAndRecoveryCode,
    is_presentable,
    split,
)

CODES = st.integers(0, 999_999).map("{:06d}".format)
SHOWN_CODES = CODES | CODES.map(lambda code: f"{code[:3]} {code[3:]}")
PASSWORDS = (
    st.text(min_size=1, max_size=40).map(lambda text: text.encode("utf-8", "replace"))
    | st.binary(min_size=1, max_size=40)
    | st.text("0123456789 -", min_size=1, max_size=20).map(str.encode)
    | st.text(alphabet.ALPHABET + "- ", min_size=1, max_size=30).map(str.encode)
)


APP_PASSWORDS = st.binary(min_size=14, max_size=14).map(lambda entropy: app_password.generate(lambda _: entropy))
RECOVERY_CODES = st.lists(st.binary(min_size=10, max_size=10), min_size=1, max_size=1).map(
    lambda entropies: recovery.generate(lambda _: entropies.pop() if entropies else b"\x00" * 10)
)


@st.composite
def typed(draw: st.DrawFn, folded: str) -> bytes:
    """Draw one of the ways in which people type a generated secret: any case, separators between any two."""
    parts = []
    for place, character in enumerate(folded):
        if place and draw(st.booleans()):
            parts.append(draw(st.sampled_from(" -")))
        parts.append(character.upper() if draw(st.booleans()) else character)
    return "".join(parts).encode()


@st.composite
def grouped(draw: st.DrawFn, folded: str) -> bytes:
    """Draw a recovery code as people copy it: dashes or spaces or nothing between the groups."""
    groups = [folded[start : start + 4] for start in range(0, len(folded), 4)]
    joined = groups[0] + "".join(draw(st.sampled_from(["", "-", " "])) + group for group in groups[1:])
    return (joined.upper() if draw(st.booleans()) else joined).encode()


@given(PASSWORDS, SHOWN_CODES)
def test_any_password_and_any_code_come_apart_exactly(password: bytes, code: str) -> None:
    expected = PasswordAndCode(password, code.replace(" ", "").encode())
    assert split(password + code.encode(), digits=6) == expected


@given(PASSWORDS, RECOVERY_CODES.flatmap(lambda code: st.tuples(st.just(code), grouped(code))))
def test_any_password_and_any_recovery_code_come_apart_exactly(password: bytes, code: tuple[str, bytes]) -> None:
    folded, shown = code
    assert split(password + shown, digits=6) == PasswordAndRecoveryCode(password, folded.encode())


@given(PASSWORDS, SHOWN_CODES | RECOVERY_CODES, st.text(" \u00a0\u200b\ufeff", max_size=MAX_BLANKS))
def test_blanks_behind_a_code_change_no_reading(password: bytes, code: str, blanks: str) -> None:
    """Not enrolled, all of it is the password: one that ends in a code and a blank logs in as before."""
    presented = password + code.encode()
    assert split(presented + blanks.encode(), digits=6) == split(presented, digits=6)
    assert split(presented + blanks.encode(), digits=None) == Password(presented + blanks.encode())


@given(st.binary(max_size=60) | PASSWORDS, SHOWN_CODES | st.just(""))
def test_nothing_is_cut_off_who_is_not_enrolled(password: bytes, tail: str) -> None:
    presented = password + tail.encode()
    assert split(presented, digits=None) == Password(presented)


@given(st.binary(max_size=80) | PASSWORDS)
def test_head_and_tail_make_up_the_whole(presented: bytes) -> None:
    """There is one reading, and no byte of it is lost or made up."""
    read = split(presented, digits=6)
    assert presented.startswith(read.password)
    tail = presented[len(read.password) :]
    match read:
        case Password():
            assert tail == b""
        case PasswordAndCode(code=code):
            assert re.sub(recovery.BLANK, b"", tail) == code
            assert code.isdigit()
            assert len(code) == 6
        case PasswordAndRecoveryCode(recovery_code=code):
            assert recovery.folded(tail) == code
            assert alphabet.is_spelled(code, 16)


@given(st.binary(min_size=10, max_size=10))
def test_recovery_code_never_reads_as_a_verification_code(entropy: bytes) -> None:
    draws = iter([entropy, b"\x00" * 10])
    code = recovery.generate(lambda _: next(draws))
    assert not code[-6:].isdigit()
    for shown in (code, alphabet.grouped(code), alphabet.grouped(code).replace("-", " ")):
        assert isinstance(split(b"pw" + shown.encode(), digits=6), PasswordAndRecoveryCode)


@given(APP_PASSWORDS.flatmap(lambda token: st.tuples(st.just(token), typed(token))))
def test_app_password_is_recognised_in_any_case_and_grouping(token: tuple[str, bytes]) -> None:
    folded, as_typed = token
    read = app_password.recognise(as_typed)
    assert read == app_password.Token(folded[:5], folded[5:21].encode())


@given(APP_PASSWORDS)
def test_app_password_ends_in_a_letter_and_never_reads_as_password_and_code(token: str) -> None:
    assert token[-1].isalpha()
    for shown in (token, alphabet.grouped(token), alphabet.grouped(token).replace("-", " ")):
        assert not isinstance(split(shown.encode(), digits=6), PasswordAndCode)


@given(APP_PASSWORDS, st.integers(0, 23), st.sampled_from(alphabet.ALPHABET))
def test_mistyped_character_of_the_checksum_is_detected(token: str, place: int, other: str) -> None:
    changed = token[:place] + other + token[place + 1 :]
    is_same = changed == token
    if place >= 21:
        assert (app_password.recognise(changed.encode()) is not None) is is_same


@given(APP_PASSWORDS, PASSWORDS, SHOWN_CODES)
def test_app_password_with_anything_appended_is_none(token: str, password: bytes, code: str) -> None:
    assert app_password.recognise(token.encode() + code.encode()) is None
    assert app_password.recognise(password + code.encode()) is None


def test_nearly_all_mistyped_app_passwords_are_detected() -> None:
    """Every one of the 744 single-character changes; a checksum of 24,576 values misses one in that many."""
    missed = total = 0
    for number in range(20):
        token = app_password.generate(lambda size, number=number: (number * 0x9E3779B97F4A7C15).to_bytes(size, "big"))
        for place in range(24):
            for other in alphabet.ALPHABET.replace(token[place], ""):
                total += 1
                missed += app_password.recognise((token[:place] + other + token[place + 1 :]).encode()) is not None
    assert total == 20 * 24 * 31
    assert missed <= 3


@given(st.binary(max_size=600))
def test_presentable_secrets_are_short_and_without_controls(secret: bytes) -> None:
    """PW2."""
    expected = 1 <= len(secret) <= 512 and not any(byte < 0x20 or byte == 0x7F for byte in secret)
    assert is_presentable(secret) is expected
