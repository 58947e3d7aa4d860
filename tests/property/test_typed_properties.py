"""NAME4: whatever is pasted, what is read out of it is a name in its one form, or a code with nothing around it."""

from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from mailauth.core import names, typed
from mailauth.vocabulary.errors import InvalidName

PASTED = st.text(max_size=60) | st.text(
    "ab1@'\"<>:mailto%2B?+., \u200b\u200d\u00a0\ufeff\u2011\u201c\uff20", max_size=40
)


@given(PASTED)
@example("\u2018<mailto:a%2Bb@x.org>\u2019,")
def test_name_that_was_read_is_its_own_reading(text: str) -> None:
    with suppress(InvalidName):
        name = names.read(text, "example.org")
        assert names.canonicalise(name, "example.org") == name
        assert names.read(name, "example.org") == name


@given(PASTED)
def test_code_or_line_that_was_folded_stays_as_it_is(text: str) -> None:
    for fold in (typed.code, typed.line):
        assert fold(fold(text)) == fold(text)
