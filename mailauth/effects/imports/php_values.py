"""What PHP's `serialize` has written: read, and nothing of it is ever called. Objects are refused.

The forms are those of the PHP manual ("serialize") and its source, `ext/standard/var.c`.
"""

import re
from typing import Any, Final

MAX_DEPTH: Final = 32
_HEAD = re.compile(rb"N;|([bid]):([^;:]{1,40});|s:(\d{1,9}):\"|a:(\d{1,7}):\{")


def loads(data: bytes) -> Any:
    """Return the value: None, bool, int, float, bytes, or a dict for an array. Raises ValueError, TypeError."""
    value, end = _value(data, 0, 0)
    if end != len(data):
        raise ValueError("something stands behind the value")
    return value


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    head = _HEAD.match(data, at)
    if head is None or depth > MAX_DEPTH:
        raise ValueError("no value")
    plain, written, length, count = head.groups()
    if plain is not None:
        return _plain(plain, written), head.end()
    if length is not None:
        end = head.end() + int(length)
        if data[end : end + 2] != b'";':
            raise ValueError("a string has another length than it says")
        return data[head.end() : end], end + 2
    if count is None:
        return None, head.end()
    found, at = {}, head.end()
    for _ in range(int(count)):
        key, at = _value(data, at, depth + 1)
        if not isinstance(key, bytes | int):
            raise TypeError("no key")
        found[key], at = _value(data, at, depth + 1)
    if data[at : at + 1] != b"}":
        raise ValueError("an array does not end")
    return found, at + 1


def _plain(kind: bytes, written: bytes) -> bool | int | float:
    if kind == b"b":
        return int(written) != 0
    return int(written) if kind == b"i" else float(written)
