# ruff: noqa: RUF001  (look-alikes are what these tests are about)
"""LIM3: one canonical account key. The properties are in tests/property."""

import pytest

from mailauth.core.names import MAX_NAME_BYTES, canonicalise
from mailauth.vocabulary.errors import InvalidName
from tests.cases import case

DOMAIN = "mailitwize.be"


def test_name_has_one_canonical_form() -> None:
    for presented, canonical in (
        ("alice", "alice@mailitwize.be"),
        ("ALICE", "alice@mailitwize.be"),
        ("Alice@MailITWize.BE", "alice@mailitwize.be"),
        ("  alice@mailitwize.be ", "alice@mailitwize.be"),
        ("alice@mailitwize.be.", "alice@mailitwize.be"),
        ("alice@mailitwize。be", "alice@mailitwize.be"),
        ("alice@bücher.example", "alice@xn--bcher-kva.example"),
        ("alice@BÜCHER.example", "alice@xn--bcher-kva.example"),
        ("alice@bu\u0308cher.example", "alice@xn--bcher-kva.example"),
        ("alice@XN--BCHER-KVA.example", "alice@xn--bcher-kva.example"),
        ("ALICE@ｅｘａｍｐｌｅ.org", "alice@example.org"),
        ("zo\u00eb", "zo\u00eb@mailitwize.be"),
        ("ZOE\u0308", "zo\u00eb@mailitwize.be"),
        ("a.b+tag_x-y'z", "a.b+tag_x-y'z@mailitwize.be"),
        ("{service}", "{service}@mailitwize.be"),
        ("root@localhost", "root@localhost"),
    ):
        with case(presented, canonical):
            assert canonicalise(presented, DOMAIN) == canonical
            assert canonicalise(canonical, DOMAIN) == canonical


def test_malformed_name_is_refused() -> None:
    for presented in (
        "",
        " ",
        "@",
        "@mailitwize.be",
        "alice@",
        "alice@.",
        "alice@..",
        "alice@a..b",
        "alice@mailitwize.be..",
        "a@b@mailitwize.be",
        "../../etc/passwd",
        "..",
        ".",
        ".alice",
        "alice.",
        "al..ice",
        "alice/../bob",
        "alice\ufe0f",
        "al\u034fice",
        "al\u115f\u1160ice",
        "al\u3164ice",
        "al\uffa0ice",
        "al\u17b4ice",
        "alice\U000e0100",
        "alice@../../etc",
        "al\\ice",
        "%u",
        "alice%40mailitwize.be",
        "al ice",
        "alice @mailitwize.be",
        "alice@ mailitwize.be",
        "alice\u00a0",
        "alice\u3000",
        "\talice",
        "alice\n",
        "alice\r\n",
        "al\x00ice",
        "\x00",
        "alice\x00",
        "al\x7fice",
        "al\x85ice",
        "al\u200bice",
        "al\u200dice",
        "al\u00adice",
        "al\u202eice",
        "\ufeffalice",
        "al\ud800ice",
        "al\ue000ice",
        "al\u0378ice",
        '"alice"',
        "alice,bob",
        "alice:bob",
        "alice;bob",
        "<alice>",
        "(alice)",
        "[alice]",
        "al`ice",
        "alice＠example.org",
        "alice@exa mple.org",
        "alice@ex_ample.org",
        "alice@-example.org",
        "alice@[192.0.2.7]",
        "alice@xn--a.example",
        "alice@ex\u200bample\ud800.org",
        "alice@" + "x" * 64 + ".org",
    ):
        with case(presented), pytest.raises(InvalidName):
            canonicalise(presented, DOMAIN)


def test_longest_name_is_254_bytes() -> None:
    """RFC 5321 s4.5.3.1.3."""
    longest = "a" * (MAX_NAME_BYTES - len("@" + DOMAIN))
    assert len(canonicalise(longest, DOMAIN)) == 254
    with pytest.raises(InvalidName, match="at most 254 bytes"):
        canonicalise(longest + "a", DOMAIN)


def test_length_is_of_bytes_not_of_characters() -> None:
    with pytest.raises(InvalidName, match="at most 254 bytes"):
        canonicalise("é" * 130, DOMAIN)


@pytest.mark.parametrize("length", [255, 1017, 1_000_000])
def test_very_long_name_is_refused(length: int) -> None:
    for name in ("a" * length, "é" * length, "a" * length + "@" + DOMAIN, "a@" + "b." * length + "be"):
        with pytest.raises(InvalidName):
            canonicalise(name, DOMAIN)


def test_default_domain_is_added_only_where_there_is_none() -> None:
    assert canonicalise("alice", "one.example") == "alice@one.example"
    assert canonicalise("alice@two.example", "one.example") == "alice@two.example"


def test_refusal_shows_what_is_wrong_in_ascii() -> None:
    with pytest.raises(InvalidName) as refused:
        canonicalise("al\u202eice", DOMAIN)
    assert str(refused.value).isascii()
    assert "'\\u202e'" in str(refused.value)
