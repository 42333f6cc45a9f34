"""Parameters that somebody else's JSON Schema describes, and the checking of arguments against it.

Rule: nothing fit is ever refused. So the keywords that say one thing only are checked (``type``, ``enum``, ``const``,
``required``, ``properties``, ``additionalProperties: false``, ``items``), and what needs a whole validator (``$ref``,
``anyOf``, ``pattern`` and others) is left to who takes the arguments.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from agentkit.tools.schema import Schema
from agentkit.tools.shapes import join, json_name, shown

DEPTH: Final = 32
"""Levels of arguments that are looked at."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "null": lambda value: value is None,
}


class Declared(Struct, frozen=True, kw_only=True):
    """Parameters as a definition gives them."""

    given: Schema
    context_names: tuple[str, ...] = ()

    def schema(self, described: Mapping[str, str]) -> Schema:
        """Give the JSON Schema."""
        return self.given

    def check(self, values: dict[str, object], *, size: int) -> tuple[dict[str, object], list[tuple[str, str]]]:
        """Give the arguments as they are, and what does not fit, with the path of its field."""
        return values, list(_problems(values, self.given, "", DEPTH))


def _problems(value: object, schema: object, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if not isinstance(schema, dict) or not depth:
        return
    if (wrong := _wrong(value, schema)) is not None:
        yield path, wrong
    elif isinstance(value, dict):
        yield from _of_object(value, schema, path, depth)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _problems(each, schema.get("items"), f"{path}[{index}]", depth - 1)


def _wrong(value: object, schema: Schema) -> str | None:
    kinds = schema.get("type")
    names = [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else []
    known = [name for name in names if name in _TYPES]
    if known and len(known) == len(names) and not any(_TYPES[name](value) for name in known):
        got = f"{json_name(value)} {shown(value)}" if isinstance(value, str | int | float) else json_name(value)
        return f"expected {' or '.join(known)}, got {got}"
    options = schema.get("enum")
    if isinstance(options, list) and not any(_same(value, option) for option in options):
        return f"expected one of {', '.join(map(shown, options))}, got {shown(value)}"
    if "const" in schema and not _same(value, schema["const"]):
        return f"expected {shown(schema['const'])}, got {shown(value)}"
    return None


def _same(value: object, option: object) -> bool:
    """Compare as JSON does, where true is not 1."""
    return value == option and isinstance(value, bool) is isinstance(option, bool)


def _of_object(value: dict[str, object], schema: Schema, path: str, depth: int) -> Iterator[tuple[str, str]]:
    required, properties = schema.get("required"), schema.get("properties")
    for name in required if isinstance(required, list) else ():
        if name not in value:
            yield join(path, str(name)), "missing"
    known = properties if isinstance(properties, dict) else {}
    for name, each in value.items():
        if name in known:
            yield from _problems(each, known[name], join(path, name), depth - 1)
        elif isinstance(properties, dict) and schema.get("additionalProperties") is False:
            yield join(path, name), "unknown"
