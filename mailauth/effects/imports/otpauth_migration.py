"""What Google Authenticator exports: `otpauth-migration://offline?data=...`, a line each, or a picture of its QR code.

The data are a message of Protocol Buffers in base64, whose few fields are read here: a parameter of an authenticator
is a varint or bytes (Protocol Buffers, "Encoding"). zbarimg(1) reads pictures.
"""

import base64
import binascii
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from mailauth.effects.imports import Found, Left, Record, files, seeds
from mailauth.vocabulary.errors import InvalidValue

_BEGIN: Final = "otpauth-migration://"
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif")
_READ_WITHIN_S: Final = 60
_SECRET, _NAME, _ALGORITHM, _DIGITS, _TYPE = 1, 2, 4, 5, 6
_ALGORITHMS: Final = {0: "SHA1", 1: "SHA1", 2: "SHA256", 3: "SHA512", 4: "MD5"}
_DIGIT_COUNTS: Final = {0: 6, 1: 6, 2: 8}
_BY_COUNT: Final = 1
_VARINT, _BYTES = 0, 2


def read(place: str) -> Iterator[Record]:
    """Yield what stands in the exports of a file."""
    path = Path(place)
    text = _shown_in(path) if path.suffix.lower() in _PICTURES else files.text_of(path)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not any(line.startswith(_BEGIN) for line in lines):
        raise InvalidValue(f"{path}: nothing here begins with {_BEGIN}")
    for number, line in enumerate(lines, 1):
        if line.startswith(_BEGIN):
            yield from _of_export(f"export {number}" if len(lines) > 1 else "the export", line)


def _of_export(place: str, uri: str) -> Iterator[Record]:
    data = parse_qs(urlsplit(uri).query.replace("+", "%2B")).get("data", [""])[0]
    try:
        parts = list(_fields(base64.b64decode(data, validate=True)))
    except (binascii.Error, ValueError):
        yield Left(place, "", "it is damaged, or cut off")
        return
    for number, (field, value) in enumerate((each for each in parts if each[0] == 1), 1):
        if field == 1 and isinstance(value, bytes):
            yield _record(f"{place}, number {number}", value)


def _record(place: str, message: bytes) -> Record:
    owner = ""
    try:
        fields = dict(_fields(message))
        label = _bytes(fields, _NAME).decode("utf-8", "replace")
        owner = label.partition(":")[2].strip() or label.strip()
        if fields.get(_TYPE) == _BY_COUNT:
            return Left(place, owner, "it counts (HOTP), and is not by time")
        digits = _DIGIT_COUNTS.get(_number(fields, _DIGITS), 0)
        parameters = seeds.parameters(digits, 30, _ALGORITHMS.get(_number(fields, _ALGORITHM), "unknown"))
        return Found(place, owner, seeds.from_hex(_bytes(fields, _SECRET).hex()), parameters)
    except InvalidValue as error:
        return Left(place, owner, str(error))
    except (ValueError, TypeError):
        return Left(place, owner, "it is damaged")


def _bytes(fields: dict[int, int | bytes], key: int) -> bytes:
    value = fields.get(key, b"")
    if not isinstance(value, bytes):
        raise TypeError("a number where bytes belong")
    return value


def _number(fields: dict[int, int | bytes], key: int) -> int:
    value = fields.get(key, 0)
    if not isinstance(value, int):
        raise TypeError("bytes where a number belongs")
    return value


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a message. Raises ValueError where it is none."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == _VARINT:
            number, at = _varint(message, at)
            yield key >> 3, number
        elif key & 7 == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("cut off")
            yield key >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError("no such field")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(message):
            raise ValueError("cut off")
        byte, at = message[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number that does not end")


def _shown_in(path: Path) -> str:
    if not path.is_file():
        raise InvalidValue(f"{path} is no file")
    zbarimg = shutil.which("zbarimg")
    if zbarimg is None:
        raise InvalidValue(f"{path} is a picture: install zbar-tools, or give what stands in its QR code as text")
    command = [zbarimg, "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", "--", str(path.absolute())]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_READ_WITHIN_S)
    except subprocess.TimeoutExpired:
        raise InvalidValue(f"{path}: zbarimg found no end with this picture") from None
    if done.returncode:
        raise InvalidValue(f"{path}: zbarimg finds no QR code in it")
    return done.stdout.decode("utf-8", "replace")
