"""The usersfile of pam_oath (liboath): `HOTP/T30/6 USER PIN SEED ...`, the seed in hexadecimal.

The types are those of liboath's `usersfile.c`: `HOTP` and `HOTP/E` count, `HOTP/Tperiod` goes by time, six digits
where none are named. A PIN other than `-` is typed before each code there, and is nothing that mailauth asks for.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from mailauth.effects.imports import Found, Left, Record, files, seeds
from mailauth.vocabulary.errors import InvalidValue

_TYPE = re.compile(r"HOTP/T([0-9]{1,5})(?:/([0-9]{1,2}))?")
_COUNTS = re.compile(r"HOTP(?:/E)?(?:/[0-9]+)?")


def read(place: str) -> Iterator[Record]:
    """Yield what stands in a usersfile, line by line."""
    for number, line in enumerate(files.text_of(Path(place)).splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield _record(f"line {number}", line.split())


def _record(place: str, words: list[str]) -> Record:
    owner = words[1] if len(words) > 1 else ""
    if _COUNTS.fullmatch(words[0]):
        return Left(place, owner, "it counts (HOTP), and is not by time")
    kind = _TYPE.fullmatch(words[0])
    if kind is None or len(words) < 4:
        return Left(place, owner, "this is no line of a usersfile: TYPE USER PIN SEED")
    try:
        parameters = seeds.parameters(kind[2] or 6, kind[1])
        left = () if words[2] in ("-", "+") else ("its PIN",)
        return Found(place, owner, seeds.from_hex(words[3]), parameters, left)
    except InvalidValue as error:
        return Left(place, owner, str(error))
