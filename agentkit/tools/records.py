"""Shapes of objects with named fields: arguments, Structs, dataclasses, TypedDicts, pydantic models."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import UNSET, Struct

from agentkit.tools.docs import read_docs
from agentkit.tools.schema import Definitions, Schema
from agentkit.tools.shapes import INVALID, Check, Shape, join, shown


class Field(Struct, frozen=True, kw_only=True):
    """One named field."""

    name: str
    """What Python calls it."""
    wire: str
    """What JSON calls it."""
    shape: Shape
    required: bool
    default: object = UNSET
    """Its default as plain JSON, where it has one that can be shown."""
    description: str | None = None

    def schema(self, defs: Definitions, described: Mapping[str, str]) -> Schema:
        """Give its schema; `described` holds what the docstring says of each field."""
        schema = self.shape.schema(defs)
        description = self.description or described.get(self.name)
        if description:
            schema = {**schema, "description": description}
        return schema if self.default is UNSET else {**schema, "default": self.default}


class Record(Shape):
    """An object with named fields, made into what `build` makes of them.

    A null for a field that has a default and takes no null counts as left out: models write it for "not
    given".
    """

    name = "object"

    def __init__(
        self,
        name: str,
        build: Callable[..., object],
        *,
        doc: str | None = None,
        tag: tuple[str, str | int] | None = None,
    ) -> None:
        self.title = name
        self.fields: Sequence[Field] = ()
        """Set once the class is known, because a field may be of the record's own type."""
        self._build = build
        self._doc = doc
        self._tag = tag
        if tag is not None:
            self.name = f"object with {tag[0]} {shown(tag[1])}"

    def schema(self, defs: Definitions) -> Schema:
        reference, part = defs.reserve(self, self.title)
        if part is not None:
            docs = read_docs(self._doc)
            if docs.summary:
                part["description"] = docs.summary
            part.update(self.object_schema(defs, docs.parameters))
        return reference

    def object_schema(self, defs: Definitions, described: Mapping[str, str]) -> Schema:
        """Give the schema of the object itself, not a reference to it."""
        properties: Schema = {}
        required: list[str] = []
        if self._tag is not None:
            kind = "string" if isinstance(self._tag[1], str) else "integer"
            properties[self._tag[0]] = {"type": kind, "const": self._tag[1]}
            required.append(self._tag[0])
        for field in self.fields:
            properties[field.wire] = field.schema(defs, described)
            if field.required:
                required.append(field.wire)
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def check(self, value: object, path: str, check: Check) -> object:
        if not isinstance(value, dict):
            return self.mismatch(value, path, check)
        check.budget[0] -= len(value) + 1
        before = len(check.problems)
        if self._tag is not None and not self._tagged(value):
            got = shown(value[self._tag[0]]) if self._tag[0] in value else "nothing"
            return check.fail(join(path, self._tag[0]), f"expected {shown(self._tag[1])}, got {got}")
        fields = self._read(value, path, check)
        self._refuse_unknown(value, path, check)
        if len(check.problems) > before:
            return INVALID
        try:
            return self._build(**fields)
        except (ValueError, TypeError) as error:
            return check.fail(path, str(error) or f"is not a valid {self.title}")
        except Exception as error:  # noqa: BLE001 - tool bodies: `__post_init__` is the tool author's code
            return check.fail(path, f"is not a valid {self.title} ({type(error).__name__})")

    def _read(self, value: Mapping[str, object], path: str, check: Check) -> dict[str, object]:
        fields: dict[str, object] = {}
        for field in self.fields:
            if field.wire not in value:
                if field.required:
                    check.fail(join(path, field.wire), "missing")
                continue
            item, place = value[field.wire], join(path, field.wire)
            if item is None and not field.required:
                attempt = check.fork(lax=check.lax)
                found = field.shape.check(None, place, attempt)
                if not attempt.problems:
                    fields[field.name] = found
                continue
            fields[field.name] = field.shape.check(item, place, check)
        return fields

    def _refuse_unknown(self, value: Mapping[str, object], path: str, check: Check) -> None:
        known = {field.wire for field in self.fields}
        if self._tag is not None:
            known.add(self._tag[0])
        for name in value:
            if name not in known:
                import difflib

                near = difflib.get_close_matches(name[:64], sorted(known - value.keys()), n=1)
                check.fail(join(path, name), f"unknown (did you mean {near[0]}?)" if near else "unknown")

    def _tagged(self, value: Mapping[str, object]) -> bool:
        return self._tag is None or (self._tag[0] in value and value[self._tag[0]] == self._tag[1])

    def plausible(self, value: object) -> bool:
        return isinstance(value, dict) and self._tagged(value)


class Adapter(Protocol):
    """The part of pydantic's ``TypeAdapter`` that is used."""

    def validate_json(self, data: str) -> object:
        """Check and convert a JSON text."""

    def json_schema(self) -> Schema:
        """Give the JSON Schema."""


class Foreign(Shape):
    """A type that pydantic checks and describes."""

    def __init__(self, name: str, adapter: Adapter) -> None:
        self.name = name
        self._adapter = adapter

    def schema(self, defs: Definitions) -> Schema:
        return defs.adopt(self._adapter.json_schema())

    def check(self, value: object, path: str, check: Check) -> object:
        check.budget[0] -= 1
        try:
            return self._adapter.validate_json(json.dumps(value))
        except ValueError as error:
            report = getattr(error, "errors", None)
            if report is None:
                return check.fail(path, str(error))
            for problem in report(include_url=False):
                place = path
                for step in problem["loc"]:
                    place = f"{place}[{step}]" if isinstance(step, int) else join(place, str(step))
                check.fail(place, str(problem["msg"]))
            return INVALID
        except Exception as error:  # noqa: BLE001 - tool bodies: validators are the tool author's code
            return check.fail(path, f"is not a valid {self.name} ({type(error).__name__})")

    def plausible(self, value: object) -> bool:
        return isinstance(value, dict | list)
