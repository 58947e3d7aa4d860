"""privacyIDEA's tokens: what `privacyidea-token-janitor find export --csv` prints, in hexadecimal or with `--b32`.

`OWNER@REALM, SERIAL, KEY, TYPE, DIGITS, PERIOD`; tokens that count have no period. The hash is not among it: where
tokens have another than SHA-1, make Key URIs of them, and import those.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from mailauth.effects.imports import Found, Left, Record, files, seeds
from mailauth.vocabulary.errors import InvalidValue

_HEX = re.compile(r"[0-9a-f]+")


def read(place: str) -> Iterator[Record]:
    """Yield the tokens of an export, line by line."""
    for number, line in enumerate(files.text_of(Path(place)).splitlines(), 1):
        if line.strip():
            yield _record(f"line {number}", [word.strip() for word in line.split(",")])


def _record(place: str, words: list[str]) -> Record:
    if len(words) not in (5, 6):
        return Left(place, "", "this is no line of the janitor's: OWNER, SERIAL, KEY, TYPE, DIGITS, PERIOD")
    owner, serial, key, kind, digits, *period = words
    place = f"{place}, token {serial[:40]}"
    if owner == "n/a":
        return Left(place, "", "it is nobody's")
    if kind.lower() != "totp":
        return Left(place, owner, "it counts (HOTP), and is not by time")
    try:
        parameters = seeds.parameters(digits, period[0] if period else "")
        seed = seeds.from_hex(key) if _HEX.fullmatch(key) else seeds.from_base32(key)
        return Found(place, owner, seed, parameters)
    except InvalidValue as error:
        return Left(place, owner, str(error))
