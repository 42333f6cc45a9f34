"""From ``name=value`` on a command line to a tool's arguments, by the tool's JSON Schema."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from agentkit.cli.exits import Problem

_TYPES: Final = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


def arguments_of(schema: Mapping[str, object], pairs: Sequence[str], given: str | None) -> dict[str, object]:
    """Return the arguments of a call; ``name=value`` comes on top of ``given``.

    A value stays a text where the schema takes one; else it is read as JSON, and a name that takes a list may be given
    several times. What fits nothing stays a text, for the tool's own check to refuse in its words.

    Args:
        given: A JSON object, or ``-`` for one on stdin.

    Raises:
        Problem: A pair has no ``=``, or ``given`` is not a JSON object.
    """
    arguments = _given(given) if given is not None else {}
    properties = schema.get("properties")
    known: Mapping[str, object] = properties if isinstance(properties, dict) else {}
    lists: set[str] = set()
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise Problem(f"{pair!r} is not an argument", hint=f"write name=value; the names are {', '.join(known)}")
        shape = known.get(name)
        value = _value(text, shape, schema)
        if "array" in _allowed(shape, schema) and not isinstance(value, list):
            shape = shape.get("items") if isinstance(shape, dict) else None
            kept = arguments.get(name) if name in lists else None
            value = [*(kept if isinstance(kept, list) else []), _value(text, shape, schema)]
            lists.add(name)
        arguments[name] = value
    return arguments


def _given(text: str) -> dict[str, object]:
    if text == "-":
        text = sys.stdin.read() if sys.stdin is not None else ""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise Problem(f"--args is not JSON: {exc}", hint="""--args '{"name": "value"}'""") from exc
    if not isinstance(value, dict):
        raise Problem("--args has to be a JSON object", hint="""--args '{"name": "value"}'""")
    return value


def _value(text: str, shape: object, schema: Mapping[str, object]) -> object:
    allowed = _allowed(shape, schema)
    if not allowed or "string" in allowed:
        return text
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    kind = _TYPES[type(value)]
    return value if kind in allowed or (kind == "integer" and "number" in allowed) else text


def _allowed(shape: object, schema: Mapping[str, object], depth: int = 0) -> set[str]:
    """Return the JSON types that a part of a schema takes; nothing where it does not say."""
    if not isinstance(shape, dict) or depth > 8:
        return set()
    reference = shape.get("$ref")
    if isinstance(reference, str):
        definitions = schema.get("$defs")
        found = definitions.get(reference.rpartition("/")[2]) if isinstance(definitions, dict) else None
        return _allowed(found, schema, depth + 1)
    for key in ("anyOf", "oneOf"):
        if isinstance(shape.get(key), list):
            return set().union(*(_allowed(each, schema, depth + 1) for each in shape[key]))
    if isinstance(shape.get("enum"), list):
        return {_TYPES.get(type(each), "string") for each in shape["enum"]}
    if "const" in shape:
        return {_TYPES.get(type(shape["const"]), "string")}
    kind = shape.get("type")
    if isinstance(kind, list):
        return {str(each) for each in kind}
    return {kind} if isinstance(kind, str) else set()
