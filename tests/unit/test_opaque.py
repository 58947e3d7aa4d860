"""NAME3: passwords that look the same are the same (RFC 8265, OpaqueString); what the profile refuses stays bytes."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from mailauth.core.opaque import forms, opaque

AS_KEPT = [
    ("e\u0301t\u00e9", "\u00e9t\u00e9"),  # a Mac's e and acute accent
    ("A\u030angstro\u0308m", "\u00c5ngstr\u00f6m"),
    ("\u212bngstrom", "\u00c5ngstrom"),  # the unit's sign
    ("correct\u00a0horse", "correct horse"),  # no-break space, U+00A0
    ("correct\u3000horse", "correct horse"),  # ideographic space
    ("\u1100\u1161", "\uac00"),  # Hangul from a Mac
    ("Correct Horse", "Correct Horse"),  # case stays
    ("\uff21", "\uff21"),  # width stays
    ("\ufb01", "\ufb01"),  # a ligature is no f and i
    (" x ", " x "),
]
STAY_BYTES = [
    b"\xff\xfe e\xcc\x81",  # no UTF-8
    "e\u0301\u200b".encode(),  # a zero-width space is refused
    "e\u0301\U0001f469\u200d\U0001f469".encode(),  # a zero-width joiner
    "e\u0301\u0378".encode(),  # unassigned
    "e\u0301\u0085".encode(),  # a control character beyond ASCII
    b"",
]


def test_password_is_kept_in_one_form_however_it_is_typed() -> None:
    for typed, kept in AS_KEPT:
        assert opaque(typed.encode()) == kept.encode(), ascii(typed)


def test_what_the_profile_refuses_stays_the_bytes_that_it_is() -> None:
    for password in STAY_BYTES:
        assert opaque(password) == password, password
        assert forms(password) == (password,)


def test_two_forms_are_compared_only_where_they_differ() -> None:
    for typed, kept in AS_KEPT:
        expected = (typed.encode(),) if typed == kept else (typed.encode(), kept.encode())
        assert forms(typed.encode()) == expected, ascii(typed)


@given(st.text(max_size=40))
def test_kept_form_is_its_own_and_does_not_depend_on_how_marks_are_typed(text: str) -> None:
    kept = opaque(text.encode())
    assert opaque(kept) == kept
    composed, decomposed = (opaque(unicodedata.normalize(form, text).encode()) for form in ("NFC", "NFD"))
    if kept != text.encode():
        assert composed == decomposed == kept


@given(st.text(max_size=20), st.sampled_from(["123456", "123 456", "abcd-efgh-jkmn-pqrs"]))
def test_code_behind_a_password_changes_nothing_in_how_many_forms_it_has(password: str, tail: str) -> None:
    """ENU2: who is enrolled is read without the tail, who is not with it; the work must not tell them apart."""
    whole, head = (password + tail).encode(), password.encode()
    assert len(forms(whole)) == len(forms(head))
