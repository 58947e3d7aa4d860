"""REC1: the shape of recovery codes."""

from mailauth.core import alphabet, recovery
from mailauth.core.alphabet import ALPHABET
from tests.cases import case

CODE = "k7qm2xvp9hfdc3wn"


def entropy_of(code: str) -> bytes:
    number = 0
    for character in code:
        number = number << 5 | ALPHABET.index(character)
    return number.to_bytes(10, "big")


def test_generated_code_spells_the_entropy_it_drew() -> None:
    assert recovery.generate(lambda size: entropy_of(CODE)[:size]) == CODE


def test_generated_code_draws_ten_bytes() -> None:
    drawn: list[int] = []

    def draw(size: int) -> bytes:
        drawn.append(size)
        return entropy_of(CODE)

    recovery.generate(draw)
    assert drawn == [10]


def test_code_that_ends_in_six_digits_is_drawn_again() -> None:
    """At the end of a password it would read as a verification code."""
    draws = iter([entropy_of("abcdefghjk234567"), entropy_of("2345678923456789"), entropy_of("abcdefghij2b4567")])
    assert recovery.generate(lambda _: next(draws)) == "abcdefghij2b4567"


def test_code_that_ends_in_five_digits_is_kept() -> None:
    assert recovery.generate(lambda _: entropy_of("abcdefghjkm34567")) == "abcdefghjkm34567"


def test_set_has_ten_different_codes() -> None:
    draws = iter([bytes(10), bytes(10), *(bytes([number] * 10) for number in range(20))])
    codes = recovery.generate_set(lambda _: next(draws))
    assert recovery.CODES_PER_SET == 10
    assert len(codes) == len(set(codes)) == 10
    assert codes[0] == "a" * 16


def test_tail_of_that_shape_is_found_behind_anything() -> None:
    for shown in (
        CODE,
        CODE.upper(),
        alphabet.grouped(CODE),
        alphabet.grouped(CODE).replace("-", " "),
        alphabet.grouped(CODE).upper(),
        "k7qm-2xvp 9hfdc3wn",
        "k7qm2xvp9hfd-c3wn",
    ):
        for before in ("", "x", "correct horse", "ends-", "k7qm", "k7qm-", "22", "é"):
            with case(shown, before):
                assert recovery.tail_length((before + shown).encode()) == len(shown)


def test_tail_of_another_shape_is_none() -> None:
    for presented in (
        "",
        "k7qm2xvp9hfdc3w",
        "k7qm-2xvp-9hfd-c3w",
        "k7qm2xvp9hfdc3wn ",
        "k7qm2xvp9hfdc3wn\n",
        "k7qm--2xvp-9hfd-c3wn",
        "k7qm_2xvp_9hfd_c3wn",
        "k7-qm2x-vp9h-fdc3wn",
        "k7qm2xvp9hfdc3w0",
        "k7qm2xvp9hfdc3w1",
        "k7qm2xvp9hfdc3wl",
        "k7qm2xvp9hfdc3wL",
        "k7qm2xvp9hfdc3wo",
        "k7qm2xvp9hfdc3wO",
        "k7qm2xvp9hfdc3w\u00e9",
    ):
        with case(presented):
            assert recovery.tail_length(presented.encode()) == 0


def test_pattern_takes_the_whole_alphabet() -> None:
    for half in (ALPHABET[:16], ALPHABET[16:]):
        assert recovery.tail_length(half.encode()) == recovery.tail_length(half.upper().encode()) == 16
