"""Reading accounts from CSV with a header, JSON lines, or Dovecot's passwd-file; a line at a time.

A line that cannot be understood is an answer as well (`BadLine`), and the others are read all the same. Nothing is
guessed: a column or key that is not known is a mistake, for it may be a misspelt one.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from mailauth.vocabulary.errors import InvalidValue

FORMATS: Final = ("csv", "jsonl", "passwd-file")
COLUMNS: Final = ("name", "hash", "aliases", "language", "recovery_address", "disabled")
MAX_LINE_CHARACTERS: Final = 100_000
_YES: Final = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False, "": None}


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One account, as a file has it. None: the file says nothing of it, and it stays as it is."""

    number: int
    name: str
    password_hash: str | None = field(default=None, repr=False)
    aliases: tuple[str, ...] | None = None
    language: str | None = None
    recovery_address: str | None = None
    is_disabled: bool | None = None


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no account, and why."""

    number: int
    problem: str


def read(lines: Iterable[str], kind: str) -> Iterator[AccountLine | BadLine]:
    """Return the accounts in a file of a kind (`FORMATS`). Raises InvalidValue for a header that cannot be."""
    match kind:
        case "csv":
            return _csv(lines)
        case "jsonl":
            return _json_lines(lines)
        case _:
            return _passwd_file(lines)


def decoded(chunks: Iterable[bytes]) -> Iterator[str]:
    """Return a file's lines as text, without a byte order mark. Raises InvalidValue where it is not UTF-8."""
    for number, chunk in enumerate(chunks, 1):
        try:
            line = chunk.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            problem = f"line {number} is not UTF-8; convert the file first: iconv -f latin1 -t utf8"
            raise InvalidValue(problem) from error
        yield line


def _csv(lines: Iterable[str]) -> Iterator[AccountLine | BadLine]:
    rows = csv.DictReader(lines, strict=True)
    try:
        header = rows.fieldnames or ()
    except csv.Error as error:
        raise InvalidValue(f"the first line is no header of CSV: {error}") from error
    unknown = [column for column in header if column not in COLUMNS]
    if "name" not in header or unknown or len(set(header)) != len(header):
        problem = f"there is a column {unknown[0]!a}" if unknown else "there is no column `name`, or one twice"
        raise InvalidValue(f"{problem}; the first line names the columns: {', '.join(COLUMNS)}")
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadLine(rows.line_num, f"this is no line of CSV: {error}")
            continue
        if None in row or any(value is None for value in row.values()):
            yield BadLine(rows.line_num, f"it has not as many values as the header has columns, {len(header)}")
            continue
        yield _account(rows.line_num, {key: value for key, value in row.items() if value != ""})


def _json_lines(lines: Iterable[str]) -> Iterator[AccountLine | BadLine]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            facts = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield BadLine(number, f"this is no JSON: {error}")
            continue
        if not isinstance(facts, dict) or not set(facts) <= set(COLUMNS):
            yield BadLine(number, f"it is not an object with some of the keys {', '.join(COLUMNS)}")
            continue
        yield _account(number, facts)


def _passwd_file(lines: Iterable[str]) -> Iterator[AccountLine | BadLine]:
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if not text.strip() or text.startswith("#"):
            continue
        name, _, rest = text.partition(":")
        password_hash, *others = rest.split(":", 6)
        is_disabled = "nologin" in others[5].split() if len(others) > 5 else None
        yield _account(number, {"name": name, "hash": password_hash, "disabled": is_disabled})


def _account(number: int, facts: Mapping[str, object]) -> AccountLine | BadLine:
    try:
        return AccountLine(
            number,
            _text(facts, "name") or "",
            _text(facts, "hash"),
            _words(facts.get("aliases")),
            _text(facts, "language"),
            _text(facts, "recovery_address"),
            _flag(facts.get("disabled")),
        )
    except InvalidValue as error:
        return BadLine(number, str(error))


def _text(facts: Mapping[str, object], key: str) -> str | None:
    value = facts.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidValue(f"{key} is no text")
    return value or None


def _words(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise InvalidValue("aliases is neither a list nor a text with blanks between")


def _flag(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _YES:
        return _YES[value.lower()]
    raise InvalidValue("disabled is neither yes nor no")
