# ruff: noqa: RUF001  (look-alikes are what these tests are about)
"""What people paste into a field: read where there is one reading of it, named where there is none."""

from mailauth.core import app_password, mail_address, names, recovery, typed
from mailauth.core.alphabet import grouped
from mailauth.vocabulary.errors import InvalidName
from tests.cases import case

UNSEEN = ("\u00ad", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u202e", "\u2060", "\u2066", "\ufeff")
SPACES = (" ", "\u00a0", "\u2009", "\u202f", "\u3000")
QUOTED = ('"{}"', "“{}”", "„{}“", "«{}»", "«\u00a0{}\u00a0»", "‘{}’", "'{}'")
ADDRESS = "alice@mailitwize.be"


def test_code_is_read_through_what_copying_brings_along() -> None:
    for unseen in UNSEEN + SPACES + ("\ufe0f", "-", "\u2011", "\u2013", "\u2212", "\t", "\r\n"):
        with case(unseen):
            assert typed.code(f"{unseen}123{unseen}456{unseen}") == "123456"
            shown = unseen.join(("k7qm", "2xvp", "9hfd", "c3wn"))
            assert typed.code(shown + unseen) == "k7qm2xvp9hfdc3wn"
    for shown in QUOTED:
        with case(shown):
            assert typed.code(shown.format("123 456")) == "123456"


def test_digits_of_other_scripts_are_digits_in_a_field_for_a_code() -> None:
    for shown in ("１２３４５６", "١٢٣٤٥٦", "۱۲۳۴۵۶", "१२३४५६", "১২৩৪৫৬", "１２3４５6"):
        with case(shown):
            assert typed.code(shown) == "123456"
    assert typed.code("Ｋ７ＱＭ") == "K7QM"
    for other in ("①②③④⑤⑥", "²³¹²³¹", "一二三四五六", "ⅠⅡⅢⅣⅤⅥ"):
        with case(other):
            assert typed.code(other) == other


def test_what_no_code_has_is_named() -> None:
    for shown, takes_recovery, strange in (
        ("12345O", False, "O"),
        ("1234x5x", False, "x"),
        ("123456", True, ""),
        ("12345O", True, "O"),
        ("K7QM-2XVP-9HFD-C3WN", True, ""),
        ("K7QM-2XVP-9HFD-C3W1", True, "1"),
        ("k7qm-2xvp-9hfd-c3wl é", True, "lé"),
        ("k7qm", True, ""),
        ("123,456", True, ","),
    ):
        with case(shown, takes_recovery):
            assert typed.strange_in_code(typed.code(shown), takes_recovery=takes_recovery) == strange
    for address, strange in (
        (ADDRESS, ""),
        ("al ice@x.org", " "),
        ("a(b)@x.org;", "();"),
        ("a\u2028b@x.org", "\u2028"),
    ):
        with case(address):
            assert mail_address.strange_in(address) == strange


def test_address_is_read_out_of_what_stood_around_it() -> None:
    around = [f"{unseen}{{}}{unseen}" for unseen in UNSEEN + SPACES]
    around += [
        *QUOTED,
        "<{}>",
        "mailto:{}",
        "MAILTO:{}?subject=x",
        "Alice A. <{}>",
        '"A, Alice" <{}>',
        "“<{}>”",
        "{},",
        "{};",
    ]
    for shown in around:
        with case(shown):
            assert names.read(shown.format(ADDRESS), "example.org") == ADDRESS
            assert mail_address.checked(typed.address(shown.format(ADDRESS))) == ADDRESS
    for unseen in UNSEEN:
        with case(unseen):
            inside = f"al{unseen}ice@mail{unseen}itwize.be"
            assert names.read(inside, "example.org") == ADDRESS
    for shown in ('"alice"', "<alice>", "“alice”", "\ufeffalice", "alice\u00a0", "alice＠mailitwize.be"):
        with case(shown):
            assert names.read(shown, "mailitwize.be") == ADDRESS
    assert names.read("mailto:alice%2Blist@x.org", "x.org") == "alice+list@x.org"


def test_what_may_be_meant_is_left_as_it_is() -> None:
    for name in ("'alice'", "o'neill@x.org", "'alice@x.org", "a+b@x.org", "{alice}@x.org", "mailto", "alice%40x.org"):
        with case(name):
            assert typed.address(name) == name
    # A zero-width non-joiner makes another domain where the script has it (RFC 5892 app. A.1).
    assert typed.address("a\u200cb@نامه\u200cای.example") == "ab@نامه\u200cای.example"
    for name in (
        "al ice@x.org",
        "a@b@x.org",
        "<a@x.org> <b@x.org>",
        "a@x.org, b@x.org",
        "mailto:",
        "<>",
        "\u200b",
        "a" * 5000,
    ):
        with case(name):
            try:
                found = names.read(name, "x.org")
            except InvalidName:
                continue
            raise AssertionError(found)


def test_secret_that_we_made_is_known_through_what_copying_puts_into_it() -> None:
    token = app_password.generate(lambda count: bytes(range(count)))
    known = app_password.read(token.encode())
    assert known is not None
    code = "k7qm2xvp9hfdc3wn"
    for separator in (*UNSEEN, "\u00a0", "\u2009", "\u202f", "\u3000", "\u2010", "\u2011", "\u2013", "\u2212"):
        with case(separator):
            pasted = separator.join(grouped(token).split("-"))
            for shown in (pasted, separator + pasted, pasted + separator):
                assert app_password.read(shown.encode()) == known
            tail = separator.join(grouped(code).split("-")).encode()
            assert recovery.tail_length(b"correct horse" + tail) == len(tail)
            assert recovery.folded(tail) == code.encode()
    for other in ("é" + token[1:], token[:-1] + "é", token + "é", token[:-1] + "\uff41", "\xff"):
        with case(other):
            assert app_password.read(other.encode()) is None
    assert app_password.read(b"\xff" + token.encode()) is None
