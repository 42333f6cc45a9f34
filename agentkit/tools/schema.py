"""JSON Schemas put together from parts: the parts that a schema refers to, and writing them in where that is
short.

Models read a schema better without references, so a part is written in where it is used, unless it contains
itself, or is large (refers to others) and used more than once; those stay under ``$defs``.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

Schema = dict[str, object]
"""A JSON Schema, or a part of one."""

_PREFIX = "#/$defs/"
_DATA = ("const", "default", "enum", "examples")
"""Keywords whose content is data, in which ``$ref`` would mean nothing."""


class Definitions:
    """The named parts of one schema."""

    def __init__(self) -> None:
        self._parts: dict[str, Schema] = {}
        self._names: dict[int, str] = {}

    def reserve(self, owner: object, title: str) -> tuple[Schema, Schema | None]:
        """Give the reference to the part of `owner`, and the part to fill in if this is its first use.

        The owner has to live as long as this object does.
        """
        name = self._names.get(id(owner))
        if name is not None:
            return {"$ref": _PREFIX + name}, None
        name = self._names[id(owner)] = self._free(title)
        return {"$ref": _PREFIX + name}, self._parts[name]

    def adopt(self, schema: Schema) -> Schema:
        """Take over the parts of a finished schema, renamed where needed; give the schema without them."""
        schema = dict(schema)
        given = schema.pop("$defs", None)
        parts = given if isinstance(given, dict) else {}
        names = {name: self._free(name) for name in parts}
        references = {_PREFIX + name: _PREFIX + new for name, new in names.items()}
        for name, part in parts.items():
            self._parts[names[name]].update(_renamed(part, references))
        return _renamed(schema, references)

    def _free(self, title: str) -> str:
        """Make room for a part, under a name that no other has."""
        name, number = title, 1
        while name in self._parts:
            number += 1
            name = f"{title}{number}"
        self._parts[name] = {}
        return name

    def close(self, schema: Schema) -> Schema:
        """Write the parts into a schema; those that must stay apart go under its ``$defs``."""
        inner = {name: Counter(_references(part)) for name, part in self._parts.items()}
        uses = sum(inner.values(), Counter(_references(schema)))
        apart = {name for name, parts in inner.items() if _reaches(name, inner) or (parts.total() and uses[name] > 1)}
        closed = self._written(schema, apart)
        kept = {name: self._written(self._parts[name], apart) for name in sorted(apart)}
        return {**closed, "$defs": kept} if kept else closed

    def _written(self, schema: Schema, apart: set[str]) -> Schema:
        # A part may be no more than a reference to another.
        while (name := _target(schema)) in self._parts and name not in apart:
            around = {word: part for word, part in schema.items() if word != "$ref"}
            schema = {**self._parts[name], **around}
        return {
            word: part if word in _DATA else self._written_in(part, apart, names=word == "properties")
            for word, part in schema.items()
        }

    def _written_in(self, part: object, apart: set[str], *, names: bool = False) -> object:
        if isinstance(part, list):
            return [self._written_in(item, apart) for item in part]
        if not isinstance(part, dict):
            return part
        if names:
            return {name: self._written_in(item, apart) for name, item in part.items()}
        return self._written(part, apart)


def _target(schema: Mapping[str, object]) -> str | None:
    reference = schema.get("$ref")
    return reference.removeprefix(_PREFIX) if isinstance(reference, str) else None


def _references(part: object, *, names: bool = False) -> Iterator[str]:
    """Find the names of the parts referred to."""
    if isinstance(part, list):
        for item in part:
            yield from _references(item)
    elif isinstance(part, dict):
        name = None if names else _target(part)
        if name is not None:
            yield name
        for word, item in part.items():
            if names or word not in _DATA:
                yield from _references(item, names=word == "properties" and not names)


def _reaches(name: str, inner: Mapping[str, Counter[str]]) -> bool:
    """Whether a part contains itself."""
    seen: set[str] = set()
    waiting = list(inner[name])
    while waiting:
        part = waiting.pop()
        if part == name:
            return True
        if part not in seen:
            seen.add(part)
            waiting += inner[part]
    return False


def _renamed(part: Schema, names: Mapping[str, str]) -> Schema:
    """Copy a schema with its references renamed, without OpenAPI's ``discriminator``, which is none."""

    def copy(item: object) -> object:
        if isinstance(item, list):
            return [copy(member) for member in item]
        return _renamed(item, names) if isinstance(item, dict) else item

    renamed: Schema = {}
    for word, item in part.items():
        if word == "$ref" and isinstance(item, str):
            renamed[word] = names.get(item, item)
        elif not (word == "discriminator" and isinstance(item, dict) and "propertyName" in item):
            renamed[word] = copy(item)
    return renamed
