"""PW1, PW2, PW5: what a new password may be, and what is warned of."""

import pytest

from mailauth.core.new_password import MAX_PASSWORD_BYTES, MIN_CHARACTERS, is_common, prepared, require_no_scheme
from mailauth.vocabulary.errors import InvalidName, InvalidValue
from mailauth.vocabulary.model import AccountName

HASHES = [
    "{SHA512-CRYPT}$6$rounds=5000$usesomesillystri$D4IrlXatmP7rx3P3InaxBeoomnAihCKRVQAr/36",
    "{sha512-crypt}$6$x$y",
    "{BLF-CRYPT}$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",
    "{PLAIN}correct horse",
    "{SSHA256.hex}00112233445566778899",
    "{SSHA}4zW2JzPqBmK9sTfIlx6mPQ==",
    "{ARGON2ID}$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$iOjo6OjoiOjo6OjoiOjo6Ojo",
    "$6$rounds=5000$usesomesillystri$D4IrlXatmP7rx3P3InaxBeoomnAihCKRVQAr/36",
    "$2y$10$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",
    "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$iOjo6OjoiOjo6OjoiOjo6Ojo",
    "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
    "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/",
]
NO_HASHES = ["{hello} world", "$6$ a bottle of wine", "$100 and more", "{}[]{}[]", "$2 for a coffee", "a{PLAIN}b c"]


def test_password_that_may_be_set_is_taken_as_it_is() -> None:
    """PW1: 64 characters and more."""
    for password in (b"x", b" ", b"A" * 64, b"A" * MAX_PASSWORD_BYTES, "pässwörd✓".encode(), b"\xff\xfe no UTF-8"):
        assert prepared(password, 1) == password


def test_password_is_kept_in_its_one_form() -> None:
    """NAME3."""
    assert prepared("pa\u0308ssword\u00a0".encode(), 8) == "p\u00e4ssword ".encode()


@pytest.mark.parametrize("password", [b"", b"a\x00b", b"line\n", b"tab\t", b"\x7f", b"\x1b[A"])
def test_empty_passwords_and_control_characters_are_refused(password: bytes) -> None:
    """PW2."""
    with pytest.raises(InvalidValue, match="control characters"):
        prepared(password, 1)


def test_password_of_more_than_224_bytes_is_refused_in_either_form() -> None:
    for password in (b"x" * (MAX_PASSWORD_BYTES + 1), "\u0958".encode() * 80):  # NFC makes two of this one
        with pytest.raises(InvalidValue, match=f"at most {MAX_PASSWORD_BYTES} bytes"):
            prepared(password, 1)


def test_password_in_the_form_of_an_app_password_is_refused() -> None:
    """It would be taken for one at every login, by whichever spaces its groups are apart."""
    for between in ("", " ", "\u00a0"):
        groups = ("aaas", "ea2e", "awda", "qcaj", "bifs", "25eq")
        with pytest.raises(InvalidValue, match="form of an app password") as refused:
            prepared(between.join(groups).encode(), 1)
        assert "aaas" not in str(refused.value)


def test_short_password_is_refused_and_counted_in_characters() -> None:
    """PW5: NIST SP 800-63B."""
    for password in ("1", "1234567", "\u00e9" * 7, "e\u0301" * 7):
        with pytest.raises(InvalidValue, match="at least 8 characters") as refused:
            prepared(password.encode(), MIN_CHARACTERS)
        assert password not in str(refused.value).replace("at least 8", "")
    for password in ("12345678", "\u00e9" * 8, "\U0001f40e" * 8):
        assert prepared(password.encode(), MIN_CHARACTERS)


def test_hash_is_refused_with_what_to_do() -> None:
    """PW6: an import that pipes hashes would make each one its account's password."""
    for stored in HASHES:
        with pytest.raises(InvalidValue, match=r"a password's hash.*with --hash") as refused:
            prepared(stored.encode(), 1)
        assert stored not in str(refused.value)
    for password in NO_HASHES:
        assert prepared(password.encode(), 1) == password.encode()


def test_scheme_of_hashes_is_no_name_of_an_account() -> None:
    """PW6."""
    for name in ("{sha512-crypt}@mailitwize.be", "{plain}anna@mailitwize.be"):
        with pytest.raises(InvalidName, match="scheme of password hashes"):
            require_no_scheme(AccountName(name))
    assert require_no_scheme(AccountName("{anna}@mailitwize.be"))


def test_passwords_that_are_guessed_first_are_known() -> None:
    """PW5."""
    name = "anna.jansen@mailitwize.be"
    common = ("password", "Password1!", "Wachtwoord123", "12345678", "87654321", "aaaaaaaa", "abababab", "abcdefghij")
    for password in (*common, "QWERTZUIOP", "Anna.Jansen2026!", "mailitwize1", "mailitwize.be", name):
        assert is_common(password.encode(), name), password
    for password in ("correct horse battery", "Xk3-quellwolke", "jansens hond eet taart", "13579bdf"):
        assert not is_common(password.encode(), name), password
