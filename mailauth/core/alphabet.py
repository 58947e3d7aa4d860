"""The 32 characters that generated secrets are written in, and how they are written.

No `0`, `1`, `l`, `o`: nothing that a person copying from paper takes for something else. Five bits a
character. Case, spaces and dashes don't matter in what people type.
"""

ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
LETTERS = "abcdefghijkmnpqrstuvwxyz"
BITS_PER_CHARACTER = 5
GROUP = 4
"""Characters between two dashes, as people are shown them."""

_ALLOWED = ALPHABET.encode()
_SEPARATORS = b" -"
_FOLD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz")


def spell(entropy: bytes, characters: int) -> str:
    """Return the first `characters` of `entropy`, five bits each, most significant bit first.

    Raises ValueError where there are not enough bytes.
    """
    bits = characters * BITS_PER_CHARACTER
    if len(entropy) * 8 < bits:
        raise ValueError(f"{characters} characters need {bits} bits of entropy")
    number = int.from_bytes(entropy, "big") >> (len(entropy) * 8 - bits)
    shifts = range(bits - BITS_PER_CHARACTER, -1, -BITS_PER_CHARACTER)
    return "".join([ALPHABET[(number >> shift) & 0b11111] for shift in shifts])


def fold(typed: bytes) -> bytes:
    """Return typed ASCII in lower case, without spaces and dashes."""
    return typed.translate(_FOLD, _SEPARATORS)


def is_spelled(folded: bytes, characters: int) -> bool:
    """Tell whether folded bytes are exactly so many characters of the alphabet."""
    return len(folded) == characters and not folded.translate(None, _ALLOWED)


def grouped(text: str) -> str:
    """Return text in groups with dashes between, as it is shown to people."""
    return "-".join(text[start : start + GROUP] for start in range(0, len(text), GROUP))
