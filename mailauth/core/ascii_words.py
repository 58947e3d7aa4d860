"""Words for people, in ASCII: for replies of protocols that know nothing else.

An IMAP, POP3, SMTP or ManageSieve client may read other bytes as it likes, and Postfix shows each as a question
mark (RFC 3501 s9 `text`, RFC 5321 s4.2.1 `textstring`). So letters are written as people write them without their
keys: ae for German \u00e4, e for \u00e9.
"""

import unicodedata

from mailauth.vocabulary.languages import LANGUAGES, SOURCE, Language

_LETTERS = str.maketrans(
    {
        "\u00df": "ss",
        "\u1e9e": "SS",
        "\u00e6": "ae",
        "\u00c6": "Ae",
        "\u0153": "oe",
        "\u0152": "Oe",
        "\u00f8": "o",
        "\u00d8": "O",
        "\u0142": "l",
        "\u0141": "L",
        "\u0111": "d",
        "\u0110": "D",
        "\u00f0": "d",
        "\u00d0": "D",
        "\u00fe": "th",
        "\u00de": "Th",
        "\u0131": "i",
        "\u20ac": "EUR",
    }
)
_MARKS = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u2039\u203a\u02bc", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")
    | dict.fromkeys("\u2022\u00b7", "*")
    | dict.fromkeys("\u2192\u21d2", "->")
)


def in_ascii(words: str, language: Language) -> str:
    """Return words as they are written without any but ASCII letters; what cannot be, as a question mark each."""
    if words.isascii():
        return words
    its_own = {ord(letter): ours for letter, ours in language.letters.items()}
    composed = unicodedata.normalize("NFC", words).translate(its_own)
    spelled = unicodedata.normalize("NFKD", composed.translate(_LETTERS).translate(_MARKS))
    return "".join("" if unicodedata.combining(each) else each if each.isascii() else "?" for each in spelled)


def can_be_in_ascii(words: str) -> bool:
    """Tell whether nothing of some words is lost."""
    return in_ascii(words, LANGUAGES[SOURCE]).count("?") == words.count("?")
