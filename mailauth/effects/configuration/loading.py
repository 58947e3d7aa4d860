"""Reading and changing the configuration file. Reports every mistake at once, each with its place."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from mailauth.effects.configuration.schema import Configuration
from mailauth.vocabulary.errors import InvalidConfiguration, InvalidValue, Mistake

DEFAULT_PATH = Path("/etc/mailauth/mailauth.toml")


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
    """Replace a file's text in one step, keeping its mode; after a crash it is the old one or the new one."""
    mode = path.stat().st_mode & 0o7777 if path.exists() else 0o640
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _set(document: tomlkit.TOMLDocument, keys: list[str], value: str) -> None:
    table: Any = document
    for key in keys[:-1]:
        if key not in table:
            table[key] = tomlkit.table()
        table = table[key]
        if not isinstance(table, Table):
            raise InvalidValue(f"{'.'.join(keys)}: {key} is not a table")
    table[keys[-1]] = _value(value)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _mistake(detail: ErrorDetails) -> Mistake:
    place = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
    return Mistake(place.removeprefix("."), _words(detail))


def _words(detail: ErrorDetails) -> str:
    match detail["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "no such key (`mailauth config describe` lists all)"
        case "value_error":
            return str(detail["ctx"]["error"])
        case _:
            message = detail["msg"]
            return message[:1].lower() + message[1:]
