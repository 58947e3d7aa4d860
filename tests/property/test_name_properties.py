"""LIM3: whatever is presented, there is one canonical form, and it holds nothing that hides or escapes."""

import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mailauth.core.names import canonicalise
from mailauth.vocabulary.errors import InvalidName

DOMAIN = "mailitwize.be"

LOCAL = st.from_regex(r"[A-Za-z0-9!#$&'*+=?^_{|}~-]{1,12}(\.[A-Za-z0-9+_-]{1,8}){0,2}", fullmatch=True)
LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(lambda label: label[2:4] != "--")
DOMAINS = st.lists(LABEL, min_size=1, max_size=3).map(".".join)
LETTERS = st.text(st.characters(categories=["Ll", "Lo", "Nd"]), min_size=1, max_size=20)
ANYTHING = st.text(st.characters(), max_size=40) | st.text(
    "aA.@-_/\\ \t\n\x00%ß\u0130\u03a3\u200d\u0301。", max_size=20
)


def canonical_or_none(name: str) -> str | None:
    try:
        return canonicalise(name, DOMAIN)
    except InvalidName:
        return None


@given(ANYTHING, ANYTHING | st.just(DOMAIN))
@example("alice@exa\ud800mple.org", DOMAIN)
@example("a@" + "\u0301" * 30, DOMAIN)
@example("a@xn--\u0301", DOMAIN)
def test_any_name_is_canonicalised_or_refused_by_name(name: str, domain: str) -> None:
    try:
        canonical = canonicalise(name, domain)
    except InvalidName as error:
        refused = str(error)
    else:
        assert canonicalise(canonical, domain) == canonical
        return
    assert refused.isascii()


@given(ANYTHING | LETTERS | LOCAL)
def test_canonical_form_is_its_own_canonical_form(name: str) -> None:
    canonical = canonical_or_none(name)
    if canonical is None:
        return
    assert canonicalise(canonical, DOMAIN) == canonical
    assert canonicalise(canonical, "other.example") == canonical


@given(ANYTHING | LETTERS | LOCAL)
def test_canonical_form_hides_nothing_and_escapes_from_nothing(name: str) -> None:
    canonical = canonical_or_none(name)
    if canonical is None:
        return
    local, _, domain = canonical.rpartition("@")
    assert canonical.isprintable()
    assert not set(canonical) & set(' \t\r\n\x00\x01/\\%:"<>,;')
    assert all(unicodedata.category(character)[0] in "LMNPS" for character in local)
    assert domain.isascii()
    assert domain == domain.lower()
    assert ".." not in canonical
    assert not local.startswith(".")
    assert len(canonical.encode()) <= 254
    assert unicodedata.normalize("NFC", canonical) == canonical


@given(LOCAL, DOMAINS, st.randoms(use_true_random=False), st.integers(0, 3), st.integers(0, 3))
def test_case_and_outer_spaces_do_not_matter(local: str, domain: str, random: object, before: int, after: int) -> None:
    canonical = canonicalise(f"{local}@{domain}", DOMAIN)
    mixed = "".join(random.choice((c.lower(), c.upper())) for c in f"{local}@{domain}")  # type: ignore[attr-defined]
    assert canonicalise(" " * before + mixed + " " * after, DOMAIN) == canonical


@given(LOCAL, DOMAINS)
def test_default_domain_and_root_dot_do_not_matter(local: str, domain: str) -> None:
    spelled_out = canonicalise(f"{local}@{domain}", DOMAIN)
    assert canonicalise(local, domain) == spelled_out
    assert canonicalise(f"{local}@{domain}.", DOMAIN) == spelled_out


@given(LETTERS)
def test_composed_and_decomposed_letters_are_one_name(local: str) -> None:
    canonical = canonical_or_none(local)
    if canonical is None:
        return
    for form in ("NFC", "NFD"):
        assert canonicalise(unicodedata.normalize(form, local), DOMAIN) == canonical


@given(st.lists(LETTERS, min_size=1, max_size=3).map(".".join))
def test_domain_in_letters_and_in_ascii_is_one_domain(domain: str) -> None:
    canonical = canonical_or_none(f"x@{domain}")
    if canonical is None:
        return
    ascii_domain = canonical.removeprefix("x@")
    assert canonicalise(f"x@{ascii_domain}", DOMAIN) == canonical
    assert canonicalise(f"X@{ascii_domain.upper()}", DOMAIN) == canonical
    for form in ("NFC", "NFD"):
        assert canonicalise(f"x@{unicodedata.normalize(form, domain)}", DOMAIN) == canonical


@given(LOCAL, DOMAINS, st.characters(categories=["Cc", "Cf", "Co", "Cs", "Zs", "Zl", "Zp"]), st.integers(1, 8))
def test_control_format_and_space_characters_are_refused_inside(
    local: str, domain: str, character: str, place: int
) -> None:
    place = min(place, len(local))
    name = local[:place] + character + local[place:]
    assume(not (character == " " and place == len(local)))
    with pytest.raises(InvalidName):
        canonicalise(f"{name}@{domain}", DOMAIN)


@given(st.lists(st.sampled_from(["..", ".", "/", "\\", "etc", "%2f", "@", "a"]), min_size=1, max_size=8).map("".join))
def test_no_name_is_a_path(name: str) -> None:
    canonical = canonical_or_none(name)
    if canonical is None:
        return
    assert "/" not in canonical
    assert "\\" not in canonical
    assert canonical.split("@")[0] not in (".", "..", "")
