"""The schemas of single texts, numbers and choices, with the variables that may stand in their place."""

import enum
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, get_args, get_origin

from msgspec import Meta

from agentkit.values import DURATION, SIZE, AudioFormat

Schema: TypeAlias = dict[str, Any]
"""A JSON Schema, as JSON data."""

_VARIABLE: Final = r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::[-?][^{}]*)?\}"
_DOLLAR: Final = r"\$\$|\$(?![{$])"
_DURATION: Final = r"[0-9]{1,12}(?:\.[0-9]{1,9})?(?:ms|s|m|h|d)"
_SIZE: Final = r"[0-9]{1,15}(?:\.[0-9]{1,9})?(?:B|kB|MB|GB|KiB|MiB|GiB)"
_ABOVE_ZERO: Final = r"(?![0.]*[a-zA-Z])"
_A_BYTE: Final = r"(?!0+(?:\.[0-9]*)?B)"
_RATE: Final = r"(?:0{0,2}[89][0-9]{3}|0?(?:[1-3][0-9]{4}|4[0-7][0-9]{3}|48000))"

_SPECIAL: Final = re.compile(r"[\\^$.|?*+(){}\[\]/]")
_KEYWORDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}

TEXT: Final = "text"
VARIABLE: Final = "variable"
WHOLE: Final = "whole-variable"
ANYTHING: Final = "anything"

BASIC: Final[Mapping[str, Schema]] = {
    TEXT: {
        "type": "string",
        "pattern": rf"^[^$]*(?:(?:{_DOLLAR}|{_VARIABLE})[^$]*)*$",
        "patternErrorMessage": "write ${NAME}, ${NAME:-default} or ${NAME:?message}; $$ is a dollar",
    },
    VARIABLE: {
        "type": "string",
        "pattern": rf"^[^$]*(?:(?:{_DOLLAR})[^$]*)*{_VARIABLE}[^$]*(?:(?:{_DOLLAR}|{_VARIABLE})[^$]*)*$",
        "description": "A text with a variable of the environment.",
    },
    WHOLE: {
        "type": "string",
        "pattern": rf"^{_VARIABLE}$",
        "description": "A variable of the environment, which decides the value.",
    },
    ANYTHING: {
        "type": ["array", "boolean", "null", "number", "object", "string"],
        "pattern": rf"^[^$]*(?:(?:{_DOLLAR}|{_VARIABLE})[^$]*)*$",
        "items": {"$ref": f"#/definitions/{ANYTHING}"},
        "additionalProperties": {"$ref": f"#/definitions/{ANYTHING}"},
    },
}
"""The definitions that every schema has."""


def ref(name: str) -> Schema:
    """Refer to a definition."""
    return {"$ref": f"#/definitions/{name}"}


def scalar(core: object, metas: Sequence[Meta]) -> Schema:
    """Return the schema of what is written as one scalar, which may never be null.

    Args:
        core: The type without its annotations.
        metas: Its annotations.
    """
    unit = next((meta.extra["unit"] for meta in metas if meta.extra and "unit" in meta.extra), None)
    bounds = _bounds(metas)
    if unit == DURATION:
        start = _ABOVE_ZERO if bounds.get("gt", -1) >= 0 else ""
        said: Schema = _measure(f"^{start}{_DURATION}$", "a number and a unit: 250ms, 5s, 15m, 2h or 30d")
        return {"anyOf": [said, ref(VARIABLE)], "examples": ["250ms", "5s", "15m"]}
    if unit == SIZE:
        start = _ABOVE_ZERO + _A_BYTE if bounds.get("ge", 0) >= 1 or bounds.get("gt", -1) >= 0 else ""
        said = _measure(f"^{start}{_SIZE}$", "a number and a unit: 512B, 64KiB, 1MiB or 2GB")
        return {"anyOf": [said, ref(VARIABLE)], "examples": ["64KiB", "1MiB"]}
    if core is bool:
        return {"anyOf": [{"type": "boolean"}, ref(WHOLE)]}
    if core is int or core is float:
        limits = {_KEYWORDS[name]: limit for name, limit in bounds.items()}
        return {"anyOf": [{"type": "integer" if core is int else "number", **limits}, ref(WHOLE)]}
    if get_origin(core) is Literal:
        return _choice(list(get_args(core)))
    if isinstance(core, type) and issubclass(core, enum.Enum):
        return _choice([member.value for member in core])
    if core is AudioFormat:
        form = {
            "type": "string",
            "pattern": rf"^(?:pcm16|g711_ulaw|g711_alaw)@{_RATE}$",
            "patternErrorMessage": "an audio format is pcm16@24000, g711_ulaw@8000 or g711_alaw@8000",
        }
        return {"anyOf": [form, ref(VARIABLE)], "examples": ["pcm16@24000", "g711_ulaw@8000", "g711_alaw@8000"]}
    if core is str:
        return _text(metas)
    return ref(TEXT)


def known(names: Sequence[str], words: Sequence[str], also: Sequence[str] = (), *, any_other: bool = False) -> Schema:
    """Return the schema of a name, with those that are offered and what each is.

    Args:
        also: Spellings that are right and not offered.
        any_other: Take every other text too.
    """
    parts: list[Schema] = []
    if names:
        parts.append({"enum": list(names), "enumDescriptions": list(words), "markdownEnumDescriptions": list(words)})
    if also:
        parts.append({"type": "string", "pattern": f"^(?:{'|'.join(map(escape, also))})$"})
    parts.append({"allOf": [ref(TEXT)], "minLength": 1, "maxLength": 200} if any_other else ref(VARIABLE))
    if any_other:
        parts.append(ref(VARIABLE))
    return {"anyOf": parts}


def nullable(schema: Schema) -> Schema:
    """Return a schema of scalars or lists that takes null too."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    return {"anyOf": [schema, {"type": "null"}]}


def escape(name: str) -> str:
    """Write a name as a regular expression that JavaScript reads as well."""
    return _SPECIAL.sub(lambda match: "\\" + match[0], name)


def _bounds(metas: Sequence[Meta]) -> dict[str, float]:
    return {name: limit for meta in metas for name in _KEYWORDS if (limit := getattr(meta, name)) is not None}


def _measure(pattern: str, words: str) -> Schema:
    return {"type": "string", "pattern": pattern, "patternErrorMessage": words}


def _choice(choices: list[object]) -> Schema:
    texts = all(isinstance(choice, str) for choice in choices)
    return {"anyOf": [{"enum": choices}, ref(VARIABLE if texts else WHOLE)]}


def _text(metas: Sequence[Meta]) -> Schema:
    limits: Schema = {}
    for meta in metas:
        for name, keyword in (("min_length", "minLength"), ("max_length", "maxLength"), ("pattern", "pattern")):
            if (limit := getattr(meta, name)) is not None:
                limits[keyword] = limit
    if not limits:
        return ref(TEXT)
    return {"anyOf": [{"allOf": [ref(TEXT)], **limits}, ref(VARIABLE)]}
