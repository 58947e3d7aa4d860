"""Reading and changing the configuration file. Reports every mistake at once, each with its place."""

import os
import tomllib
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Item, Table

from mailauth.effects.configuration import reference
from mailauth.effects.configuration.schema import Configuration
from mailauth.effects.configuration.source_sections import KINDS
from mailauth.vocabulary.errors import InvalidConfiguration, InvalidValue, MailauthError, Mistake

DEFAULT_PATH = Path("/etc/mailauth/mailauth.toml")
TEXT, LIST, NUMBER = '"text"', '["one", "another"]', "10"
"""What values of these types look like, where there is no default to show."""


class CannotWrite(MailauthError):
    """The configuration file could not be written; it is as it was."""


def load(path: Path) -> Configuration:
    """Return the configuration in a file. Raises InvalidConfiguration with every mistake in it."""
    return parse(read(path), str(path))


def read(path: Path) -> str:
    """Return the text of a configuration file."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        problem = "there is no such file; make one with `mailauth init`, or name another with --config"
    except UnicodeDecodeError:
        problem = "is not UTF-8 text"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    raise InvalidConfiguration(str(path), (Mistake("file", problem),))


def parse(text: str, source: str) -> Configuration:
    """Return the configuration in a text."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfiguration(source, (Mistake("syntax", f"not TOML: {error}"),)) from error
    return validate(raw, source)


def validate(raw: Mapping[str, Any], source: str) -> Configuration:
    """Return the configuration that a mapping means."""
    try:
        return Configuration.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise InvalidConfiguration(source, tuple(_mistake(detail) for detail in details)) from error


def with_settings(text: str, settings: Sequence[str], source: str) -> str:
    """Return a configuration text with `KEY=VALUE` settings applied, its comments kept, and checked.

    KEY is dotted (`cutover.date`). VALUE is TOML where it reads as TOML, otherwise a string.
    Raises InvalidValue for what is no setting, InvalidConfiguration where the result would not be usable.
    """
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise InvalidConfiguration(source, (Mistake("syntax", f"not TOML: {error}"),)) from error
    for setting in settings:
        key, has_value, value = setting.partition("=")
        if not has_value or not key.strip():
            raise InvalidValue(f"not KEY=VALUE: {setting!a}")
        _set(document, key.strip().split("."), value.strip())
    changed = tomlkit.dumps(document)
    parse(changed, source)
    return changed


def replace_file(path: Path, text: str) -> None:
    """Replace a file's text in one step, keeping its owner and mode; after a crash it is the old one or the new one.

    A new file has mode 0640, whatever the umask. Raises CannotWrite.
    """
    path = path.resolve()  # a link stays a link
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                _like_before(path, descriptor)
                os.fsync(descriptor)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror}") from error


def _like_before(path: Path, descriptor: int) -> None:
    try:
        before = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o640)
        return
    now = os.fstat(descriptor)
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        os.fchown(descriptor, before.st_uid, before.st_gid)  # the server's group has to go on reading it
    os.fchmod(descriptor, before.st_mode & 0o7777)


def _set(document: tomlkit.TOMLDocument, keys: list[str], value: str) -> None:
    table: Any = document
    for key in keys[:-1]:
        if key not in table:
            table[key] = tomlkit.table()
        table = table[key]
        if not isinstance(table, MutableMapping):
            raise InvalidValue(f"{'.'.join(keys)}: {key} is not a table")
    before = table.get(keys[-1])
    table[keys[-1]] = _value(value)
    after = table[keys[-1]]
    if isinstance(before, AoT) and isinstance(after, AoT) and before and after:
        # To tomlkit, the comment above the next section is the end of the last of these tables.
        for comment in _trailing_comments(before[-1]):
            after[-1].value.append(None, comment)


def _trailing_comments(table: Table) -> list[Item]:
    body = table.value.body
    end = len(body)
    while end > 0 and body[end - 1][0] is None:
        end -= 1
    return [item for _, item in body[end:]]


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _mistake(detail: ErrorDetails) -> Mistake:
    place = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in _keys(detail["loc"]))
    return Mistake(place.removeprefix("."), _words(detail))


def _keys(place: Sequence[int | str]) -> list[int | str]:
    """Return a place as the file has it: of a table of one of several kinds, pydantic names the kind as well."""
    steps = zip((None, *place), place, strict=False)
    return [part for before, part in steps if not (isinstance(before, int) and part in KINDS)]


def _words(detail: ErrorDetails) -> str:
    match detail["type"]:
        case "union_tag_not_found":
            return f"is missing `kind`: one of {', '.join(KINDS)}"
        case "union_tag_invalid":
            return f"there is no such kind of source; there are: {', '.join(KINDS)}"
        case "missing":
            return _missing(".".join(map(str, detail["loc"])))
        case "extra_forbidden":
            return "no such key (`mailauth config describe` lists all)"
        case "value_error":
            return str(detail["ctx"]["error"])
        case "string_type":
            return f"text in quotes is needed, such as {_example(detail, TEXT)}"
        case "list_type":
            return f"a list is needed, such as {_example(detail, LIST)}"
        case "int_type":
            return f"a whole number without quotes is needed, such as {_example(detail, NUMBER)}"
        case "float_type":
            return f"a number without quotes is needed, such as {_example(detail, NUMBER)}"
        case "model_type":
            return "a table is needed, whose keys `mailauth config describe` explains"
        case "string_pattern_mismatch":
            return f"does not have the right form; write it as {_example(detail, TEXT)}"
        case _:
            message = detail["msg"]
            return message[:1].lower() + message[1:]


def _missing(place: str) -> str:
    example = reference.required().get(place)
    if example is None:
        return "is missing"
    return (
        "is missing, and has no default; give your own, all that are missing at once, by: "
        f"mailauth config set '{place}={example}'"
    )


def _example(detail: ErrorDetails, otherwise: str) -> str:
    """Return the default of the key at fault as TOML, which shows the right form; another where it shows nothing."""
    place = "".join("[]" if isinstance(part, int) else f".{part}" for part in _keys(detail["loc"])).removeprefix(".")
    key = next((key for key in reference.describe() if key.place == place), None)
    if key is None or key.default in (None, '""', "[]"):
        return otherwise
    return f"[[{place}]]" if key.type == "list of tables" else key.default or otherwise
