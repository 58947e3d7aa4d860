"""Header fields of a mail as they go over the wire: encoded (RFC 2047) and folded (RFC 5322 s2.2.3).

Ours, since the standard library's differ from version to version and each is wrong for some text: blanks between
encoded-words are lost, or words are glued to what stands beside them. These functions take what a field says and
return its lines, each ended by CR LF. Text is ASCII as it stands, where that reads the same everywhere, else wholly in
encoded-words: a reader that follows the RFC gets every character back, blanks included, and nothing else.
"""

import re
import unicodedata
from base64 import b64encode
from collections.abc import Iterator

_LINE = 78
"""RFC 5322 s2.1.1."""
_ENCODED_LINE = 76
"""RFC 2047 s2: a line that holds an encoded-word."""
_ENCODED_WORD = 75
_Q, _B, _END = "=?utf-8?q?", "=?utf-8?b?", "?="
_CLUSTER_BYTES = 32
"""Marks stay with the letter that they stand on, unless somebody heaps them up."""
_LONGEST_WORD = 60
"""A longer word of ASCII would not fit on a line with the field's name; encoded, it can be cut."""
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
"""RFC 5322 s3.2.3: a phrase that needs no quotes."""
_PLAIN_IN_Q = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
"""RFC 2047 s5 (3): what may stand for itself in a phrase, and so everywhere."""


def unstructured(name: str, text: str) -> str:
    """Return a field that says a text, such as Subject."""
    text = _one_line(text)
    if _reads_the_same(text):
        return _folded(name, text.split(" "), _LINE)
    return _folded(name, list(_encoded_words(text, len(name) + 2)), _ENCODED_LINE)


def mailbox(name: str, display_name: str, address: str) -> str:
    """Return a field with one mailbox, such as From. An address beyond ASCII stands as it is (RFC 6532 s3.2)."""
    display_name = _one_line(display_name).strip()
    if not display_name:
        return _folded(name, [address], _LINE)
    angle = f"<{address}>"
    if _reads_the_same(display_name) and len(display_name) <= _LONGEST_WORD:
        quoted = display_name.replace("\\", r"\\").replace('"', r"\"")
        phrase = [display_name] if _ATOMS.fullmatch(display_name) else [f'"{quoted}"']
        return _folded(name, [*phrase, angle], _LINE)
    return _folded(name, [*_encoded_words(display_name, len(name) + 2), angle], _ENCODED_LINE)


def structured(name: str, value: str) -> str:
    """Return a field of ASCII with a grammar of its own, such as Content-Type. Raises UnicodeError for other text."""
    value.encode("ascii")
    return _folded(name, _one_line(value).split(" "), _LINE)


def _folded(name: str, words: list[str], width: int) -> str:
    """Return a field of words with a blank between each two. The first stands on the line of the name, always."""
    lines = [f"{name}: {words[0]}"]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(f" {word}")
    return "\r\n".join(lines) + "\r\n"


def _one_line(text: str) -> str:
    """Return a text without line breaks and other controls, which mean something to programs alone (MAIL2)."""
    return "".join(" " if unicodedata.category(each) in ("Cc", "Zl", "Zp") else each for each in text)


def _reads_the_same(text: str) -> bool:
    """Tell whether every reader takes a text for what it says when it is sent as it stands, and folded."""
    if not text.isascii() or "=?" in text:
        return False
    words = text.split(" ")
    return all(words) and max(map(len, words)) <= _LONGEST_WORD


def _encoded_words(text: str, taken: int) -> Iterator[str]:
    """Give a text as encoded-words; so many characters of the first one's line are taken.

    A reader drops the blanks between them (RFC 2047 s6.2), so those of the text are within. Each holds whole
    characters (s5).
    """
    clusters = list(_clusters(text))
    in_q = sum(len(_in_q(each)) for each in clusters)
    in_b = len(text.encode("utf-8", "replace")) * 4 / 3
    encode, prefix = (_in_q, _Q) if in_q <= in_b else (_in_b, _B)
    room = min(_ENCODED_WORD, _ENCODED_LINE - taken) - len(prefix) - len(_END)
    word = ""
    for each in clusters:
        if word and len(encode(word + each)) > room:
            yield f"{prefix}{encode(word)}{_END}"
            word = ""
            room = _ENCODED_WORD - len(prefix) - len(_END)
        word += each
    yield f"{prefix}{encode(word)}{_END}"


def _clusters(text: str) -> Iterator[str]:
    cluster = ""
    for each in text:
        if cluster and unicodedata.category(each)[0] == "M" and len((cluster + each).encode()) <= _CLUSTER_BYTES:
            cluster += each
        else:
            if cluster:
                yield cluster
            cluster = each
    yield cluster


def _in_q(text: str) -> str:
    return "".join(
        chr(byte) if byte in _PLAIN_IN_Q else "_" if byte == 0x20 else f"={byte:02X}"
        for byte in text.encode("utf-8", "replace")
    )


def _in_b(text: str) -> str:
    return b64encode(text.encode("utf-8", "replace")).decode()
