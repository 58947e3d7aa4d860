"""A reader of mail headers that takes RFC 5322 and RFC 2047 at their word, and refuses what bends them.

Written for tests, against nothing but the RFCs: the standard library's reader forgives, and differs from version to
version.
"""

import binascii
import re
from base64 import b64decode
from typing import NamedTuple

_FIELD_NAME = re.compile(r"[!-9;-~]+")
_ENCODED_WORD = re.compile(r"=\?([A-Za-z0-9-]+)\?([QqBb])\?([!->@-~]*)\?=")
"""RFC 2047 s2; the encoded text has no blank and no question mark."""
_IN_A_PHRASE = re.compile(r"[A-Za-z0-9!*+/=_-]*")
"""RFC 2047 s5 (3)."""
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+"
_DOT_ATOM = rf"{_ATEXT}(?:\.{_ATEXT})*"
_ADDR_SPEC = re.compile(rf"{_DOT_ATOM}@{_DOT_ATOM}")
MSG_ID = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+>")
"""RFC 5322 s3.6.4, without the obsolete forms."""


class Field(NamedTuple):
    """One field: its name, and its value unfolded."""

    name: str
    value: str


def fields(head: bytes, *, ascii_only: bool = True) -> list[Field]:
    """Return the fields of a header block. Asserts that its lines are as they have to be."""
    assert head.endswith(b"\r\n")
    assert b"\r" not in head.replace(b"\r\n", b""), "a bare CR"
    lines = head.decode("ascii" if ascii_only else "utf-8").split("\r\n")[:-1]
    found: list[Field] = []
    for line in lines:
        assert "\n" not in line
        assert line == line.rstrip(), "blanks at the end of a line"
        assert all(each.isprintable() or not each.isascii() for each in line), repr(line)
        assert len(line) <= 78 or " " not in line.strip().partition(": ")[2], f"could have been folded: {line}"
        if _ENCODED_WORD.search(line):
            assert len(line) <= 76, f"RFC 2047 s2: {line}"
        if line.startswith(" "):
            assert line.strip(), "a line of blanks alone"
            found[-1] = Field(found[-1].name, found[-1].value + line)
        else:
            name, colon, value = line.partition(": ")
            assert colon, f"nothing on the line of the name: {line!r}"
            assert _FIELD_NAME.fullmatch(name)
            assert value.strip() == value != ""
            found.append(Field(name, value))
    return found


def text(value: str, *, in_phrase: bool = False) -> str:
    """Return what an unstructured field, or the words of a phrase, say."""
    said, was_encoded = "", False
    for blanks, word in re.findall(r"( *)([^ ]*)", value):
        match = _ENCODED_WORD.fullmatch(word)
        if match is None:
            assert "=?" not in word, f"half an encoded-word, or one that is glued to something: {word}"
            said += blanks + word
        else:
            said += ("" if was_encoded else blanks) + _decoded(word, match, in_phrase=in_phrase)
        was_encoded = match is not None
    return said


def mailbox(value: str) -> tuple[str, str]:
    """Return display name and address."""
    if _ADDR_SPEC.fullmatch(value):
        return "", value
    phrase, _, rest = value.rpartition(" <")
    assert rest.endswith(">")
    assert _ADDR_SPEC.fullmatch(rest[:-1])
    if phrase.startswith('"'):
        assert re.fullmatch(r'"(?:[^"\\]|\\.)*"', phrase)
        return re.sub(r"\\(.)", r"\1", phrase[1:-1]), rest[:-1]
    for word in phrase.split(" "):
        assert re.fullmatch(_ATEXT, word) or _ENCODED_WORD.fullmatch(word), word
    return text(phrase, in_phrase=True), rest[:-1]


def _decoded(word: str, match: re.Match[str], *, in_phrase: bool) -> str:
    assert len(word) <= 75, f"RFC 2047 s2: {word}"
    charset, encoding, encoded = match.groups()
    if encoding in "Bb":
        content = b64decode(encoded, validate=True)
    else:
        assert not in_phrase or _IN_A_PHRASE.fullmatch(encoded), word
        assert re.fullmatch(r"(?:[^=]|=[0-9A-F]{2})*", encoded), word
        content = binascii.a2b_qp(encoded.encode(), header=True)
    return content.decode(charset, "strict")  # RFC 2047 s5: whole characters
