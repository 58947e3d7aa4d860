"""The configuration explained: the first file of an installation, and `config describe`. Made from the schema."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args, get_origin

import tomlkit
from pydantic.fields import FieldInfo

from mailauth.effects.configuration.fields import Section
from mailauth.effects.configuration.schema import Configuration

_WIDTH = 110


class KeyDescription(NamedTuple):
    """One key of the file: its dotted place, its type in words, its default as TOML (None: required), what it is."""

    place: str
    type: str
    default: str | None
    description: str


def describe() -> tuple[KeyDescription, ...]:
    """Return every key that the file may have, in the order of the file."""
    return tuple(_keys(Configuration, ""))


def required() -> dict[str, str]:
    """Return the keys that have no default, each with an example: nobody else's name, address or date will do."""
    found = {}
    for name, table in Configuration.model_fields.items():
        section = _section_of(table)
        if section is not None and not _is_list(table):
            for key, field in section.model_fields.items():
                if field.is_required():
                    found[f"{name}.{key}"] = str((field.examples or [""])[0])
    return found


def first_file(own: Mapping[str, str]) -> str:
    """Return a commented file with every key at its default, and the values of those that have none."""
    parts = [_comment("The configuration of mailauth. `mailauth config check` finds every mistake in it.")]
    for name, field in Configuration.model_fields.items():
        section = _section_of(field)
        if section is None:
            continue
        if _is_list(field):
            parts.append("\n" + _comment(field.description or "") + f"# [[{name}]]\n")
            continue
        parts.append("\n" + _comment(section.__doc__ or "") + f"[{name}]\n" + _body(section, name, own))
    return "".join(parts)


def _body(section: type[Section], place: str, own: Mapping[str, str]) -> str:
    plain, nested = [], []
    for name, field in section.model_fields.items():
        comment = _comment(field.description or "")
        inner = _section_of(field)
        if inner is not None and _is_list(field):
            nested.append("\n" + comment + "".join(_item(f"{place}.{name}", item) for item in _default(field)))
        elif inner is not None:
            nested.append("\n" + comment + f"[{place}.{name}]\n" + _body(inner, f"{place}.{name}", own))
        else:
            value = own.get(f"{place}.{name}", "") if field.is_required() else _default(field)
            plain.append(comment + f"{name} = {_toml(value)}\n")
    return "".join(plain + nested)


def _item(place: str, item: Section) -> str:
    return f"[[{place}]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in item.model_dump().items())


def _keys(section: type[Section], place: str) -> Iterator[KeyDescription]:
    for name, field in section.model_fields.items():
        inner = _section_of(field)
        here = f"{place}{name}"
        if inner is not None and _is_list(field):
            yield KeyDescription(here, "list of tables", f"{len(_default(field)) or 'none'}", field.description or "")
            yield from _keys_of_items(_sections_of(field), f"{here}[].")
        elif inner is not None:
            yield from _keys(inner, f"{here}.")
        else:
            default = None if field.is_required() else _toml(_default(field))
            yield KeyDescription(here, _type(field), default, field.description or "")


def _keys_of_items(sections: Sequence[type[Section]], place: str) -> Iterator[KeyDescription]:
    """Return the keys of a list's tables. Of several kinds: what all have once, then what each has of its own."""
    kinds: dict[KeyDescription, list[str]] = {}
    for section in sections:
        for key in _keys(section, place):
            kinds.setdefault(key, []).append(_kind_of(section))
    if len(sections) > 1:
        names = " | ".join(_toml(_kind_of(section)) for section in sections)
        yield KeyDescription(f"{place}kind", names, None, "Which kind this is; what else it may have depends on it.")
    for key, those in kinds.items():
        if key.place == f"{place}kind" and len(sections) > 1:
            continue
        only = f"With kind {', '.join(those)}: " if len(those) < len(sections) else ""
        yield key._replace(description=only + key.description)


def _kind_of(section: type[Section]) -> str:
    kind = section.model_fields.get("kind")
    return "" if kind is None else str(get_args(kind.annotation)[0])


def _section_of(field: FieldInfo) -> type[Section] | None:
    return next(iter(_sections_of(field)), None)


def _sections_of(field: FieldInfo) -> tuple[type[Section], ...]:
    """Return the tables that a key is, or has a list of; several where they are of one of several kinds."""
    return tuple(dict.fromkeys(_sections_in(field.annotation)))


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for each in get_args(annotation):
        yield from _sections_in(each)


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is list


def _type(field: FieldInfo) -> str:
    choices = get_args(field.annotation)
    if choices and all(isinstance(choice, str) for choice in choices):
        return " | ".join(_toml(choice) for choice in choices)
    if choices:
        return "table of strings" if get_origin(field.annotation) is dict else "list of strings"
    if field.annotation is int:
        return "whole number"
    return "number" if field.annotation is float else "string"


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


def _toml(value: Any) -> str:
    if value == {}:
        return "{}"
    return str(tomlkit.item(value).as_string())


def _comment(text: str) -> str:
    words = " ".join(text.split())
    return textwrap.fill(words, _WIDTH, initial_indent="# ", subsequent_indent="# ") + "\n"
