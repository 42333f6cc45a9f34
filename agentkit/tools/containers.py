"""Shapes made of other shapes: arrays, tuples, mappings, unions, and shapes with constraints."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, time
from decimal import Decimal
from fractions import Fraction

from msgspec import Meta

from agentkit.tools.schema import Definitions, Schema
from agentkit.tools.shapes import INVALID, Check, Shape, join, shown


class Array(Shape):
    """A list of one kind of value, made into a list, a set or a tuple."""

    name = "list"

    def __init__(self, item: Shape, build: Callable[[list[object]], object], *, unique: bool = False) -> None:
        self._item = item
        self._build = build
        self._unique = unique

    def schema(self, defs: Definitions) -> Schema:
        schema: Schema = {"type": "array", "items": self._item.schema(defs)}
        return {**schema, "uniqueItems": True} if self._unique else schema

    def check(self, value: object, path: str, check: Check) -> object:
        if not isinstance(value, list):
            return self.mismatch(value, path, check)
        check.budget[0] -= len(value)
        before = len(check.problems)
        items = [self._item.check(item, f"{path}[{index}]", check) for index, item in enumerate(value)]
        if len(check.problems) > before:
            return INVALID
        try:
            return self._build(items)
        except TypeError:
            return check.fail(path, "expected a list of values that can be in a set")

    def plausible(self, value: object) -> bool:
        return isinstance(value, list)


class Row(Shape):
    """A list of a fixed length, each place with its own shape, made into a tuple."""

    def __init__(self, items: Sequence[Shape]) -> None:
        self._items = items
        self.name = f"list of {len(items)}"

    def schema(self, defs: Definitions) -> Schema:
        size = len(self._items)
        places: Schema = {"prefixItems": [item.schema(defs) for item in self._items]} if size else {}
        return {"type": "array", **places, "minItems": size, "maxItems": size}

    def check(self, value: object, path: str, check: Check) -> object:
        if not isinstance(value, list):
            return self.mismatch(value, path, check)
        if len(value) != len(self._items):
            return check.fail(path, f"expected {self.name}, got {len(value)}")
        before = len(check.problems)
        items = [
            shape.check(item, f"{path}[{index}]", check)
            for index, (shape, item) in enumerate(zip(self._items, value, strict=True))
        ]
        return INVALID if len(check.problems) > before else tuple(items)

    def plausible(self, value: object) -> bool:
        return isinstance(value, list)


class Table(Shape):
    """An object with free names and one kind of value, made into a dict."""

    name = "object"

    def __init__(self, key: Shape, value: Shape) -> None:
        self._key = key
        self._value = value

    def schema(self, defs: Definitions) -> Schema:
        names = self._key.schema(defs)
        schema: Schema = {"type": "object", "additionalProperties": self._value.schema(defs)}
        # A name is always a string, so what says no more than that (or that it is a number) is left out.
        return {**schema, "propertyNames": names} if len(names) > 1 else schema

    def check(self, value: object, path: str, check: Check) -> object:
        if not isinstance(value, dict):
            return self.mismatch(value, path, check)
        check.budget[0] -= len(value)
        before = len(check.problems)
        table: dict[object, object] = {}
        names = check.fork(lax=True)
        for name, item in value.items():
            place = join(path, name)
            key = self._key.check(name, place, names)
            table[key] = self._value.check(item, place, check)
        check.problems += [(place, f"{problem} as a key") for place, problem in names.problems]
        return INVALID if len(check.problems) > before else table

    def plausible(self, value: object) -> bool:
        return isinstance(value, dict)


class Union(Shape):
    """One of several shapes, tried strictly and then laxly, from left to right."""

    def __init__(self, members: Sequence[Shape]) -> None:
        self._members = members
        self.name = " or ".join(dict.fromkeys(member.name for member in members))

    def schema(self, defs: Definitions) -> Schema:
        return {"anyOf": [member.schema(defs) for member in self._members]}

    def check(self, value: object, path: str, check: Check) -> object:
        check.budget[0] -= 1
        refusals: list[list[tuple[str, str]]] = []
        for lax in (False, True) if check.lax else (False,):
            for member in self._members:
                if check.budget[0] < 0:
                    return check.fail(path, "is too large to be checked")
                attempt = check.fork(lax=lax)
                found = member.check(value, path, attempt)
                if not attempt.problems:
                    return found
                if lax == check.lax and member.plausible(value):
                    refusals.append(attempt.problems)
        if not refusals:
            return self.mismatch(value, path, check)
        # The member that came nearest says best what is wrong.
        nearest: list[tuple[str, str]] = min(refusals, key=len)
        check.problems.extend(nearest)
        return INVALID

    def plausible(self, value: object) -> bool:
        return any(member.plausible(value) for member in self._members)


_NUMBERS: tuple[tuple[str, str, str], ...] = (
    ("ge", "minimum", ">="),
    ("gt", "exclusiveMinimum", ">"),
    ("le", "maximum", "<="),
    ("lt", "exclusiveMaximum", "<"),
)
_SIZES = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}


class Constrained(Shape):
    """A shape with the limits of a `msgspec.Meta`."""

    def __init__(self, inner: Shape, meta: Meta) -> None:
        self._inner = inner
        self._meta = meta
        self._pattern = None if meta.pattern is None else re.compile(meta.pattern)
        self.name = inner.name
        self.key = inner.key

    def schema(self, defs: Definitions) -> Schema:
        schema = self._limit(self._inner.schema(defs))
        meta = self._meta
        if meta.title is not None:
            schema["title"] = meta.title
        if meta.examples is not None:
            schema["examples"] = list(meta.examples)
        return {**schema, **(meta.extra_json_schema or {})}

    def _limit(self, schema: Schema) -> Schema:
        """Add the limits where they mean something: a member of a union gets those of its own type."""
        members = schema.get("anyOf")
        if isinstance(members, list):
            return {**schema, "anyOf": [self._limit(member) for member in members]}
        kind, meta = schema.get("type"), self._meta
        limits: Schema = {}
        if kind in ("integer", "number"):
            limits = {word: getattr(meta, field) for field, word, _ in _NUMBERS}
            limits["multipleOf"] = meta.multiple_of
        elif isinstance(kind, str) and kind in _SIZES:
            least, most = _SIZES[kind]
            limits = {least: meta.min_length, most: meta.max_length}
            if kind == "string":
                limits["pattern"] = meta.pattern
        return {**schema, **{word: limit for word, limit in limits.items() if limit is not None}}

    def check(self, value: object, path: str, check: Check) -> object:
        before = len(check.problems)
        found = self._inner.check(value, path, check)
        if len(check.problems) > before:
            return INVALID
        message = self._refusal(found)
        return found if message is None else check.fail(path, message)

    def _refusal(self, value: object) -> str | None:
        meta = self._meta
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return self._refused_number(value)
        if isinstance(value, str | bytes | list | tuple | set | frozenset | dict):
            size = len(value)
            unit = {str: "characters", bytes: "bytes"}.get(type(value), "items")
            if meta.min_length is not None and size < meta.min_length:
                return f"expected at least {meta.min_length} {unit}, got {size}"
            if meta.max_length is not None and size > meta.max_length:
                return f"expected at most {meta.max_length} {unit}, got {size}"
            if self._pattern is not None and isinstance(value, str) and not self._pattern.search(value):
                return f"expected text matching {self._pattern.pattern}, got {shown(value)}"
        if meta.tz is not None and isinstance(value, datetime | time) and (value.tzinfo is not None) != meta.tz:
            return f"expected a time {'with' if meta.tz else 'without'} a time zone"
        return None

    def _refused_number(self, value: int | float | Decimal) -> str | None:
        meta = self._meta
        fits = (
            meta.ge is None or value >= meta.ge,
            meta.gt is None or value > meta.gt,
            meta.le is None or value <= meta.le,
            meta.lt is None or value < meta.lt,
        )
        for fit, (field, _, sign) in zip(fits, _NUMBERS, strict=True):
            if not fit:
                return f"expected {sign} {getattr(meta, field)}, got {shown(value)}"
        # Exact: 0.3 is a multiple of 0.1, and no number is too long.
        if meta.multiple_of is not None and Fraction(str(value)) % Fraction(str(meta.multiple_of)):
            return f"expected a multiple of {meta.multiple_of}, got {shown(value)}"
        return None

    def plausible(self, value: object) -> bool:
        return self._inner.plausible(value)
