"""The 32 characters of generated secrets, and the arithmetic of their entropy (REC1, APP1)."""

import math

import pytest

from mailauth.core import alphabet, app_password, recovery


def test_alphabet_has_32_different_characters() -> None:
    assert len(alphabet.ALPHABET) == len(set(alphabet.ALPHABET)) == 32
    assert math.log2(len(alphabet.ALPHABET)) == alphabet.BITS_PER_CHARACTER


def test_alphabet_has_no_look_alikes() -> None:
    assert not set("01lo") & set(alphabet.ALPHABET)
    assert alphabet.ALPHABET.isascii()
    assert alphabet.ALPHABET.islower()


def test_letters_are_the_letters_of_the_alphabet() -> None:
    assert "".join(filter(str.isalpha, alphabet.ALPHABET)) == alphabet.LETTERS


def test_recovery_code_has_80_bits() -> None:
    """REC1. Drawing codes again that end in six digits costs less than a thousandth of a bit."""
    assert recovery.CHARACTERS * alphabet.BITS_PER_CHARACTER == 80
    kept = 1 - (8 / 32) ** 6
    assert -math.log2(kept) < 1e-3


def test_app_password_has_80_secret_bits_beside_its_selector() -> None:
    """APP1."""
    assert app_password.SECRET_CHARACTERS * alphabet.BITS_PER_CHARACTER == 80
    assert app_password.CHARACTERS == app_password.SELECTOR_CHARACTERS + app_password.SECRET_CHARACTERS + 3
    assert app_password.CAP_PER_ACCOUNT == 25


@pytest.mark.parametrize(
    ("entropy", "characters", "spelled"),
    [
        (b"\x00" * 10, 16, "a" * 16),
        (b"\xff" * 10, 16, "9" * 16),
        (b"\x08\x42\x10\x84\x21", 8, "b" * 8),
        (b"\xf8", 1, "9"),
        (b"\x07", 1, "a"),
        (b"\x00\x40", 2, "ab"),
        (b"\x00\x44\x32\x14\xc7\x42\x54\xb6\x35\xcf\x84\x65\x3a\x56\xd7\xc6\x75\xbe\x77\xdf", 32, alphabet.ALPHABET),
        (b"anything", 0, ""),
    ],
)
def test_entropy_is_spelled_five_bits_a_character_from_the_top(entropy: bytes, characters: int, spelled: str) -> None:
    assert alphabet.spell(entropy, characters) == spelled


@pytest.mark.parametrize(("size", "characters"), [(0, 1), (9, 16), (13, 21)])
def test_spelling_more_than_there_is_entropy_is_an_error(size: int, characters: int) -> None:
    with pytest.raises(ValueError, match="bits of entropy"):
        alphabet.spell(bytes(size), characters)


def test_folding_takes_case_spaces_and_dashes_away_and_nothing_else() -> None:
    assert alphabet.fold(b"K7qM-2xVP 9hfd--c3wn") == b"k7qm2xvp9hfdc3wn"
    assert alphabet.fold(b"ABCXYZ\t_.\xc3\x89") == b"abcxyz\t_.\xc3\x89"


@pytest.mark.parametrize(
    ("folded", "is_spelled"),
    [(b"abcd", True), (b"abc", False), (b"abcde", False), (b"abc1", False), (b"abcD", False), (b"ab d", False)],
)
def test_spelled_means_that_many_characters_of_the_alphabet(folded: bytes, is_spelled: bool) -> None:
    assert alphabet.is_spelled(folded, 4) is is_spelled


def test_secrets_are_shown_in_groups_of_four() -> None:
    assert alphabet.grouped("k7qm2xvp9hfdc3wn") == "k7qm-2xvp-9hfd-c3wn"
    assert alphabet.grouped("abcde") == "abcd-e"
    assert alphabet.grouped("") == ""
