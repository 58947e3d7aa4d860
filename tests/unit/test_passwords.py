"""PW1, PW2, ENU2: password hashes. Cheap parameters; what is tested does not depend on them."""

from collections.abc import Iterator
from unittest.mock import patch

import argon2
import pytest

from mailauth.effects.passwords import SCHEME, PasswordHasher
from mailauth.vocabulary.errors import HashUnreadable
from tests.cases import case

HASHER = PasswordHasher(time_cost=1, memory_kib=64, parallelism=1)

CORPUS = [
    b"x",
    b" ",
    b"correct horse",
    b"A" * 64,
    b"A" * 71,
    b"A" * 72,
    b"A" * 73,
    b"A" * 255,
    b"A" * 256,
    "pässwörd✓".encode(),
    ("é" * 128).encode(),
    b"\xff\xfe not UTF-8",
    b"123456",
]


def test_password_is_right_as_it_was_set() -> None:
    for password in CORPUS:
        with case(password):
            assert HASHER.verify(HASHER.hash(password), password)


def test_password_is_not_truncated() -> None:
    """PW1: one byte more, one less, or another at the end is wrong, at any length."""
    for password in CORPUS:
        with case(password):
            stored = HASHER.hash(password)
            for other in (password[:-1], password + b"A", password + b"\x00", password[:-1] + b"#"):
                assert not HASHER.verify(stored, other)


def test_case_and_spaces_of_a_password_count() -> None:
    """PW1."""
    stored = HASHER.hash(b"Correct Horse")
    for other in (b"correct horse", b"CORRECT HORSE", b"Correct Horse ", b" Correct Horse", b"CorrectHorse"):
        assert not HASHER.verify(stored, other)


def test_composed_and_decomposed_letters_are_different_bytes_to_a_hash() -> None:
    """What makes them one password is core.opaque."""
    stored = HASHER.hash("é".encode())
    assert not HASHER.verify(stored, "e\u0301".encode())


def test_hashes_are_salted_and_name_their_scheme() -> None:
    one, other = HASHER.hash(b"x"), HASHER.hash(b"x")
    assert one != other
    assert one.startswith("{ARGON2ID}$argon2id$v=19$m=64,t=1,p=1$")


def test_strength_of_new_hashes_is_the_configured_one() -> None:
    """PW4."""
    assert "$m=128,t=2,p=2$" in PasswordHasher(2, 128, 2).hash(b"x")


def test_hash_of_another_strength_is_checked_with_its_own() -> None:
    assert HASHER.verify(PasswordHasher(2, 128, 2).hash(b"x"), b"x")


@pytest.fixture
def count_hashes() -> Iterator[list[object]]:
    counted: list[object] = []
    real = argon2.PasswordHasher.verify

    def counting(self: argon2.PasswordHasher, encoded: str | bytes, password: str | bytes) -> bool:
        counted.append(encoded)
        return real(self, encoded, password)

    with patch.object(argon2.PasswordHasher, "verify", counting):
        yield counted


@pytest.mark.parametrize("stored", [None, HASHER.hash(b"right")], ids=["no account", "account"])
@pytest.mark.parametrize("password", [b"right", b"wrong", b""])
def test_exactly_one_hash_is_computed(count_hashes: list[object], stored: str | None, password: bytes) -> None:
    """ENU2."""
    HASHER.verify(stored, password)
    assert len(count_hashes) == 1


def test_no_stored_hash_is_never_right_not_even_for_the_dummy() -> None:
    with patch("os.urandom", return_value=b"k" * 16):
        hasher = PasswordHasher(1, 64, 1)
    assert hasher.verify(None, b"k" * 16) is False
    assert hasher.verify(None, b"") is False


def test_unknown_scheme_is_unreadable_and_not_wrong() -> None:
    """Fail closed: what cannot be checked is neither right nor a wrong password."""
    for stored in (
        "",
        "plain",
        "{NTLM}x",
        "{argon2id}$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$",
        "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$",
        "{SHA512-CRYPT}$6$x$y",
        " {ARGON2ID}x",
    ):
        with case(stored):
            with pytest.raises(HashUnreadable) as refused:
                HASHER.verify(stored, b"x")
            assert not stored.strip() or stored not in str(refused.value)


def test_damaged_hash_is_unreadable_and_not_wrong() -> None:
    for damaged in (
        "",
        "x",
        "\x00",
        "$argon2id$",
        "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$",
        "$argon2id$v=19$m=4,t=1,p=1$c2FsdHNhbHQ$aaaa",
        "$argon2id$v=19$m=99999999999,t=1,p=1$c2FsdHNhbHQ$iOjo6OjoiOjo6OjoiOjo6Ojo",
        "$argon2id$\u00e9",
        "$argon2x$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aaaa",
    ):
        with case(damaged), pytest.raises(HashUnreadable, match="damaged"):
            HASHER.verify(SCHEME + damaged, b"x")
