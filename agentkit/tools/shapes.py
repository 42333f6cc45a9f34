"""What one argument may look like: a shape gives its JSON Schema and checks a decoded JSON value.

Rule: a shape is strict, except for what can mean one thing only. With ``lax`` set it also takes ``3.0`` and
``"3"`` for an int, an int or ``"2.5"`` for a float, ``"true"`` and ``"false"`` for a bool, a number for a
Decimal or a timedelta (seconds), and the name of an Enum's member. A number is never taken for a str, nor
``1`` for a bool. In a union the members are tried strictly first, from left to right, so ``int | str`` leaves
``"3"`` a str.
"""

import base64
import binascii
import enum
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import msgspec

from agentkit.tools.schema import Definitions, Schema

_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,99})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?(?:[eE][+-]?[0-9]{1,4})?")
_JSON_NAMES: dict[type, str] = {
    type(None): "null", bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "object"
}  # fmt: skip
_SHOWN = 40
_MAX_OPTIONS = 20


class _Invalid(enum.Enum):
    INVALID = "invalid"


INVALID = _Invalid.INVALID
"""What ``Shape.check`` returns when it has reported a problem."""


class Check:
    """One pass over the arguments of a call: how lax, what was found so far, and how much work is left."""

    __slots__ = ("budget", "lax", "problems")

    def __init__(self, *, lax: bool, budget: list[int]) -> None:
        self.lax = lax
        self.problems: list[tuple[str, str]] = []
        self.budget = budget
        """A shared counter of values still to be looked at; unions of unions could take for ever."""

    def fork(self, *, lax: bool) -> "Check":
        """Make a pass with its own problems and the same budget."""
        return Check(lax=lax, budget=self.budget)

    def fail(self, path: str, message: str) -> _Invalid:
        """Record a problem at a path."""
        self.problems.append((path, message))
        return INVALID


class Shape(ABC):
    """What a value may be."""

    name: str
    """What messages call it."""

    key = False
    """Whether it can be the key of a JSON object."""

    @abstractmethod
    def schema(self, defs: Definitions) -> Schema:
        """Give the JSON Schema, adding to `defs` what it refers to."""

    @abstractmethod
    def check(self, value: object, path: str, check: Check) -> object:
        """Convert a decoded JSON value, or report to `check` and return INVALID."""

    def plausible(self, value: object) -> bool:
        """Whether a refusal of `value` by this shape is worth showing when no member of a union fits."""
        return False

    def mismatch(self, value: object, path: str, check: Check) -> _Invalid:
        """Report a value of a wrong type."""
        return check.fail(path, f"expected {self.name}, got {json_name(value)}")


def json_name(value: object) -> str:
    """Name the type of a decoded JSON value."""
    return _JSON_NAMES.get(type(value), type(value).__name__)


def shown(value: object) -> str:
    """Quote a value for a message, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def join(path: str, name: str) -> str:
    """Give the path of a member."""
    if name.replace("-", "_").isidentifier() and len(name) <= _SHOWN:
        return f"{path}.{name}" if path else name
    return f"{path}[{shown(name)}]"


class Anything(Shape):
    """Any JSON value, as it is."""

    name = "any value"

    def schema(self, defs: Definitions) -> Schema:
        return {}

    def check(self, value: object, path: str, check: Check) -> object:
        return value


class Null(Shape):
    """Only null."""

    name = "null"

    def schema(self, defs: Definitions) -> Schema:
        return {"type": "null"}

    def check(self, value: object, path: str, check: Check) -> object:
        return None if value is None else self.mismatch(value, path, check)


class Boolean(Shape):
    """A truth value."""

    name = "bool"

    def schema(self, defs: Definitions) -> Schema:
        return {"type": "boolean"}

    def check(self, value: object, path: str, check: Check) -> object:
        if isinstance(value, bool):
            return value
        if check.lax and value in ("true", "false"):
            return value == "true"
        return self.mismatch(value, path, check)


class Integer(Shape):
    """A whole number."""

    name = "int"
    key = True

    def schema(self, defs: Definitions) -> Schema:
        return {"type": "integer"}

    def check(self, value: object, path: str, check: Check) -> object:
        if type(value) is int:
            return value
        if check.lax:
            if isinstance(value, float) and value.is_integer():
                return int(value)
            if isinstance(value, str) and _INT.fullmatch(value):
                return int(value)
        if isinstance(value, str | float):
            return check.fail(path, f"expected int, got {json_name(value)} {shown(value)}")
        return self.mismatch(value, path, check)


class Number(Shape):
    """A finite number."""

    name = "float"
    key = True

    def schema(self, defs: Definitions) -> Schema:
        return {"type": "number"}

    def check(self, value: object, path: str, check: Check) -> object:
        if isinstance(value, float):
            return value
        if check.lax and (type(value) is int or (isinstance(value, str) and _FLOAT.fullmatch(value) is not None)):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isfinite(number):
                return number
            return check.fail(path, "expected float, got a number too large for one")
        return self.mismatch(value, path, check)


class Text(Shape):
    """A string."""

    name = "str"
    key = True

    def schema(self, defs: Definitions) -> Schema:
        return {"type": "string"}

    def check(self, value: object, path: str, check: Check) -> object:
        return value if isinstance(value, str) else self.mismatch(value, path, check)


class TextFormat(Shape):
    """A string in a format, converted to the type it stands for."""

    key = True

    def __init__(
        self,
        name: str,
        parse: Callable[[str], object],
        *,
        schema: Mapping[str, object],
        example: str,
        number: Callable[[int | float], object] | None = None,
    ) -> None:
        self.name = name
        self._parse = parse
        self._schema = schema
        self._example = example
        self._number = number

    def schema(self, defs: Definitions) -> Schema:
        return {"type": "string", **self._schema}

    def check(self, value: object, path: str, check: Check) -> object:
        try:
            if isinstance(value, str):
                return self._parse(value)
            if (
                check.lax
                and self._number is not None
                and isinstance(value, int | float)
                and not isinstance(value, bool)
            ):
                return self._number(value)
        except (ValueError, ArithmeticError):  # msgspec.ValidationError is a ValueError
            return check.fail(path, f"expected {self.name} like {self._example}, got {shown(value)}")
        return check.fail(path, f"expected {self.name} like {self._example}, got {json_name(value)}")


def _decimal(text: str) -> Decimal:
    if _FLOAT.fullmatch(text) is None:
        raise ValueError(text)
    return Decimal(text)


def _timedelta(text: str) -> timedelta:
    return msgspec.convert(text, timedelta)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error


FORMATS: dict[type, Shape] = {
    datetime: TextFormat(
        "date and time",
        datetime.fromisoformat,
        schema={"format": "date-time"},
        example='"2025-01-31T09:30:00Z"',
    ),
    date: TextFormat("date", date.fromisoformat, schema={"format": "date"}, example='"2025-01-31"'),
    time: TextFormat("time", time.fromisoformat, schema={"format": "time"}, example='"09:30:00"'),
    timedelta: TextFormat(
        "duration",
        _timedelta,
        schema={"format": "duration"},
        example='"PT1H30M"',
        number=lambda value: timedelta(seconds=value),
    ),
    UUID: TextFormat("UUID", UUID, schema={"format": "uuid"}, example='"0b0b0c5e-3c1c-4d0f-8a2e-0d4c2e0f7a11"'),
    Decimal: TextFormat(
        "decimal number",
        _decimal,
        schema={"format": "decimal"},
        example='"12.50"',
        number=lambda value: Decimal(str(value)),
    ),
    Path: TextFormat("path", Path, schema={"format": "path"}, example='"notes/today.txt"'),
    bytes: TextFormat("base64", _bytes, schema={"contentEncoding": "base64"}, example='"aGVsbG8="'),
}
"""The types that travel as a string in a format."""

SCALARS: dict[object, Shape] = {
    bool: Boolean(),
    int: Integer(),
    float: Number(),
    str: Text(),
    None: Null(),
    type(None): Null(),
    object: Anything(),
}
"""The types that JSON has itself."""

_SCHEMA_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


class Choice(Shape):
    """One of some JSON values, each standing for a Python value: a Literal or an Enum."""

    def __init__(
        self,
        options: Sequence[tuple[object, object]],
        *,
        members: type[enum.Enum] | None = None,
    ) -> None:
        self._options = options
        self._members = members
        more = ", …" if len(options) > _MAX_OPTIONS else ""
        self.name = "one of " + ", ".join(_json(wire) for wire, _ in options[:_MAX_OPTIONS]) + more
        self.key = all(isinstance(wire, str) for wire, _ in options)

    def schema(self, defs: Definitions) -> Schema:
        types = list(dict.fromkeys(_SCHEMA_TYPES[type(wire)] for wire, _ in self._options))
        schema: Schema = {"type": types[0] if len(types) == 1 else types}
        return {**schema, "enum": [wire for wire, _ in self._options]}

    def check(self, value: object, path: str, check: Check) -> object:
        for wire, converted in self._options:
            if value == wire and isinstance(value, bool) == isinstance(wire, bool):
                return converted
        if self._members is not None and check.lax and isinstance(value, str):
            if value in self._members.__members__:
                return self._members[value]
            # `_missing_` is the class's own way to take other spellings.
            try:
                return self._members(value)
            except Exception:  # noqa: BLE001 - tool bodies: `_missing_` is the tool author's code
                return check.fail(path, f"expected {self.name}, got {_json(value)}")
        got = _json(value) if isinstance(value, str | int | float) else json_name(value)
        return check.fail(path, f"expected {self.name}, got {got}")


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
