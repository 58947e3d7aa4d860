"""Reading accounts from CSV with a header, JSON lines, or Dovecot's passwd-file; a line at a time.

A line that cannot be understood is an answer as well (`BadLine`), and the others are read all the same. Nothing is
guessed: a column or key that is not known is a mistake, for it may be a misspelt one.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Final

from mailauth.vocabulary.errors import InvalidValue

FORMATS: Final = ("csv", "jsonl", "passwd-file")
COLUMNS: Final = ("name", "hash", "aliases", "language", "recovery_address", "disabled")
MAX_LINE_BYTES: Final = 64 * 1024
_STRANGE: Final = ("=", "+", "-", "@", "'")
"""What begins a formula, and what a cell that begins so is written with."""
_HARMLESS: Final = frozenset({"nologin", "nodelay", "reason"})
"""Extra fields of a passwd-file, beside the userdb's. Any other one, as `allow_nets` or `nopassword`, says who may log
in and how; to leave it out could let in whoever was kept out."""
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


def read(lines: Iterable[str | BadLine], kind: str) -> Iterator[AccountLine | BadLine]:
    """Return the accounts in a file of a kind (`FORMATS`). Raises InvalidValue for a header that cannot be."""
    match kind:
        case "csv":
            return _csv(lines)
        case "jsonl":
            return _json_lines(lines)
        case _:
            return _passwd_file(lines)


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """Return a file's lines, however long one is: of a longer one than any account has, only that it is too long."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        end = line
        while not end.endswith(b"\n") and (more := file.readline(MAX_LINE_BYTES)):
            end = more
        yield line


def decoded(chunks: Iterable[bytes]) -> Iterator[str | BadLine]:
    """Return a file's lines as text, without a byte order mark; what cannot be read is named, and the rest is read."""
    for number, chunk in enumerate(chunks, 1):
        if len(chunk) > MAX_LINE_BYTES:
            yield BadLine(number, f"it has more than {MAX_LINE_BYTES} bytes")
            continue
        if number == 1 and chunk.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise InvalidValue("it is UTF-16; save it as UTF-8")
        try:
            yield chunk.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            yield BadLine(number, "it is not UTF-8; convert the file: iconv -f latin1 -t utf-8")


def _csv(lines: Iterable[str | BadLine]) -> Iterator[AccountLine | BadLine]:
    """A line is a row: no account has a line break, and a quote that is not closed spoils no line but its own."""
    numbered = enumerate(lines, 1)
    _, first = next(numbered, (1, ""))
    if isinstance(first, BadLine):
        raise InvalidValue(f"line 1: {first.problem}")
    try:
        header = [cell.strip().lower() for cell in next(csv.reader([first], strict=True), [])]
    except csv.Error as error:
        raise InvalidValue(f"the first line is no header of CSV: {error}") from error
    unknown = [column for column in header if column not in COLUMNS]
    if "name" not in header or unknown or len(set(header)) != len(header):
        problem = f"there is a column {unknown[0]!a}" if unknown else "there is no column `name`, or one twice"
        raise InvalidValue(f"{problem}; the first line names the columns: {', '.join(COLUMNS)}")
    for number, line in numbered:
        if isinstance(line, BadLine):
            yield line
            continue
        try:
            cells = next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            yield BadLine(number, f"this is no line of CSV: {error}")
            continue
        if not any(cells):
            continue
        if len(cells) != len(header):
            yield BadLine(number, f"it has not as many values as the header has columns, {len(header)}")
            continue
        values = [unguarded(cell.strip()) for cell in cells]
        yield _account(number, {key: value for key, value in zip(header, values, strict=True) if value != ""})


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet runs as a formula (CWE-1236): an apostrophe stands before what looks so."""
    return f"'{cell}" if cell.startswith(_STRANGE) else cell


def unguarded(cell: str) -> str:
    """Return what `guarded` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_STRANGE) else cell


def _json_lines(lines: Iterable[str | BadLine]) -> Iterator[AccountLine | BadLine]:
    for number, line in enumerate(lines, 1):
        if isinstance(line, BadLine):
            yield line
            continue
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


def _passwd_file(lines: Iterable[str | BadLine]) -> Iterator[AccountLine | BadLine]:
    for number, line in enumerate(lines, 1):
        if isinstance(line, BadLine):
            yield line
            continue
        text = line.rstrip("\r\n")
        if not text.strip() or text.startswith("#"):
            continue
        name, _, rest = text.partition(":")
        password_hash, *others = rest.split(":", 6)
        extras = [each.partition("=")[0] for each in others[5].split()] if len(others) > 5 else []
        lost = [each for each in extras if each not in _HARMLESS and not each.startswith("userdb_")]
        if lost:
            yield BadLine(number, f"its extra field {lost[0][:40]!a} would be lost")
            continue
        is_disabled = True if "nologin" in extras else None  # who has been disabled here since stays so
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
