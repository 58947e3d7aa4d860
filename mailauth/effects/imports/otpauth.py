"""Key URIs (`otpauth://totp/...`), one a line; or CSV with a header, of `account` and `uri`.

pyotp reads the URI. The owner is the CSV's account; without one, the URI's label behind its issuer (Key URI format).
"""

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

import pyotp

from mailauth.effects.imports import Found, Left, Record, files, seeds
from mailauth.vocabulary.errors import InvalidValue

_ANY_SECRET: Final = "A" * 32
_HASHES: Final = {hashlib.sha1: "SHA1", hashlib.sha256: "SHA256", hashlib.sha512: "SHA512"}


def read(place: str) -> Iterator[Record]:
    """Yield the URIs of a file."""
    lines = files.text_of(Path(place)).splitlines()
    first = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    if lines[first:] and not lines[first].startswith("otpauth"):
        yield from _of_csv(lines[first:], first)
        return
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield of_uri(f"line {number}", line.strip())


def _of_csv(lines: list[str], before: int) -> Iterator[Record]:
    rows = csv.DictReader(lines)
    names = [name.strip().lower() for name in rows.fieldnames or ()]
    if "uri" not in names:
        raise InvalidValue("this is neither a list of otpauth:// URIs nor CSV whose header has: account, uri")
    rows.fieldnames = names
    for row in rows:
        place = f"line {before + rows.line_num}"
        uri, account = (str(row.get(key) or "").strip() for key in ("uri", "account"))
        if uri or account:
            yield of_uri(place, uri, account)


def of_uri(place: str, uri: str, owner: str = "") -> Record:
    """Return what a URI says."""
    try:
        parts = urlsplit(uri)
        label = unquote(parts.path.removeprefix("/"))
    except ValueError:
        return Left(place, owner, "this is no URI")
    owner = owner or label.partition(":")[2].strip() or label.strip()
    if (parts.scheme, parts.netloc) == ("otpauth", "hotp"):
        return Left(place, owner, "it counts (HOTP), and is not by time")
    if (parts.scheme, parts.netloc) != ("otpauth", "totp"):
        return Left(place, owner, "this is no otpauth://totp/ URI")
    try:
        made = pyotp.parse_uri(parts._replace(query=_without_secret(parts.query)).geturl())
    except ValueError as error:
        known = ("period", "digits", "algorithm", "Only 6, 7, or 8 digits", "Invalid value for algorithm")
        why = next((each for each in known if each in str(error)), "")
        return Left(place, owner, f"its URI cannot be read{f' ({why})' if why else ''}")
    if not isinstance(made, pyotp.TOTP):
        return Left(place, owner, "this is no otpauth://totp/ URI")
    try:
        parameters = seeds.parameters(made.digits, made.interval, _HASHES.get(made.digest, "another one"))
        return Found(place, owner, seeds.from_base32(_secret(parts.query)), parameters)
    except InvalidValue as error:
        return Left(place, owner, str(error))


def _without_secret(query: str) -> str:
    """Return a query with another secret: pyotp takes no short one, and has no need to see any."""
    return urlencode([(key, _ANY_SECRET if key == "secret" and value else value) for key, value in parse_qsl(query)])


def _secret(query: str) -> str:
    return next(iter(parse_qs(query).get("secret", [""])))
