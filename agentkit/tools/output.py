"""From what a tool's body returned to the text that goes to the model.

The conversions: None is ``null``; a str is itself; bytes are their UTF-8 text, or ``{"base64": ...}`` where
they are none; Structs, dataclasses, named tuples and pydantic models are objects; an Enum is its value;
dates, times, durations (ISO 8601), UUIDs, Decimals and paths are strings; a set is a list in the order of its
items' JSON; numpy scalars and arrays are numbers and lists; NaN and the infinities, which JSON has not, are
the strings ``NaN``, ``Infinity`` and ``-Infinity``. A cycle, nesting deeper than 64, and anything else are an
error that names the type and its place.
"""

import dataclasses
import enum
import json
import math
import sys
from base64 import b64encode
from collections import deque
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct

from agentkit.errors import ToolError

MAX_OUTPUT_BYTES = 64 * 1024
"""How much UTF-8 of an output goes to the model."""

_MAX_BITS = 13_000
"""Below the 4,300 digits that Python turns into text."""
_SMALL = 1 << 64
_MAX_DEPTH = 64
_MAX_SHOWN_PATH = 200
_ATOMS = frozenset({str, bool, type(None)})
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


class OutputError(ToolError):
    """A body returned what has no JSON form."""


def to_text(value: object) -> str:
    """Convert what a body returned into text.

    Raises:
        OutputError: It has no JSON form.
    """
    plain = value if _is_flat(value) else to_plain(value)
    return plain if isinstance(plain, str) else _ENCODER.encode(plain)


def _is_flat(value: object) -> bool:
    """Whether a value is an object of texts and small integers, as most results are: it is JSON as it stands."""
    return type(value) is dict and all(
        type(name) is str and (type(item) in _ATOMS or (type(item) is int and -_SMALL < item < _SMALL))
        for name, item in value.items()
    )


def to_plain(value: object) -> object:
    """Convert a value into what JSON has: None, bool, int, float, str, list and dict.

    Raises:
        OutputError: It has no JSON form.
    """
    try:
        return _Plain().convert(value, "$")
    except OutputError:
        raise
    except Exception as error:
        # Iterating, properties, `model_dump` and the like are the tool author's code.
        raise OutputError(
            f"the tool returned {_called(value)}, and reading it failed ({type(error).__name__})"
        ) from error


def to_wire(text: str, *, max_bytes: int = MAX_OUTPUT_BYTES) -> str:
    """Replace lone surrogates, and cut a text to `max_bytes` of UTF-8, with a marker after them."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        # Two halves of a pair become the character they stand for; a half alone becomes U+FFFD.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        data = text.encode()
    if len(data) <= max_bytes:
        return text
    head = data[: max(0, max_bytes)].decode(errors="ignore")
    return f"{head}… [truncated: {len(head.encode())} of {len(data)} bytes shown]"


class _Plain:
    """One conversion, which knows the containers it is inside of."""

    def __init__(self) -> None:
        self._around: set[int] = set()

    def convert(self, value: object, path: str) -> object:
        if type(value) in _ATOMS:
            return value
        if isinstance(value, enum.Enum):
            return self.convert(value.value, path)
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return _integer(value, path)
        if isinstance(value, float):
            return _number(float(value))
        if isinstance(value, bytes | bytearray | memoryview):
            return _binary(bytes(value))
        text = _formatted(value)
        return self._container(value, path) if text is None else text

    def _container(self, value: object, path: str) -> object:
        if id(value) in self._around:
            raise OutputError(f"the tool returned {_called(value)} that contains itself, at {_place(path)}")
        if len(self._around) >= _MAX_DEPTH:
            raise OutputError(f"the tool returned a value nested deeper than {_MAX_DEPTH}")
        self._around.add(id(value))
        try:
            return self._inside(value, path)
        finally:
            self._around.discard(id(value))

    def _inside(self, value: object, path: str) -> object:
        if isinstance(value, Mapping):
            return self._object(((self._key(name, path), item) for name, item in value.items()), path)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return self._object(zip(value._fields, value, strict=True), path)
        if isinstance(value, set | frozenset):
            return sorted(self._array(value, path), key=json.dumps)
        if isinstance(value, list | tuple | deque | KeysView | ValuesView | ItemsView):
            return self._array(value, path)
        if isinstance(value, Struct):
            return self._object(_struct_items(value), path)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            return self._object(((name, getattr(value, name)) for name in names), path)
        return self._foreign(value, path)

    def _foreign(self, value: object, path: str) -> object:
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            if isinstance(value, numpy.ndarray):
                return self.convert(value.tolist(), path)
            if isinstance(value, numpy.generic):
                item = value.item()
                # An extended float is its own item.
                return self.convert(float(item) if isinstance(item, numpy.floating) else item, path)
        pydantic = sys.modules.get("pydantic")
        if pydantic is not None and isinstance(value, pydantic.BaseModel):
            return self.convert(value.model_dump(mode="json"), path)
        raise OutputError(f"the tool returned {_called(value)} at {_place(path)}, which has no JSON form")

    def _object(self, items: Iterable[tuple[str, object]], path: str) -> dict[str, object]:
        return {
            name: item if type(item) in _ATOMS else self.convert(item, f"{path}.{name}")
            for name, item in items
            if item is not UNSET
        }

    def _array(self, items: Iterable[object], path: str) -> list[object]:
        return [
            item if type(item) in _ATOMS else self.convert(item, f"{path}[{index}]") for index, item in enumerate(items)
        ]

    def _key(self, name: object, path: str) -> str:
        plain = self.convert(name, path)
        if isinstance(plain, str):
            return plain
        if plain is None or isinstance(plain, int | float):
            return json.dumps(plain)
        raise OutputError(f"the tool returned an object with {_called(name)} as a key, at {_place(path)}")


def _integer(value: int, path: str) -> int:
    if value.bit_length() > _MAX_BITS:
        raise OutputError(
            f"the tool returned an int of {value.bit_length()} bits at {_place(path)}, too large for JSON"
        )
    return int(value)


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _binary(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}


def _formatted(value: object) -> str | None:
    """Give the text of a type that travels as one, or None for other types."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(msgspec.to_builtins(value))
    return str(value) if isinstance(value, UUID | Decimal | PurePath) else None


def _struct_items(value: Struct) -> Iterator[tuple[str, object]]:
    config = value.__struct_config__
    if config.tag is not None:
        yield str(config.tag_field), config.tag
    for name, wire in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
        yield wire, getattr(value, name)


def _called(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"


def _place(path: str) -> str:
    return path if len(path) <= _MAX_SHOWN_PATH else f"{path[:_MAX_SHOWN_PATH]}…"
