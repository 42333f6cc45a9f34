"""Types become schemas: the same classes, walked as the reader walks a file beside them.

Rule: blocks that lie over one another, in presets and extended files, are a part of the whole and say nothing of what
is missing; ``needed.py`` asks for that where a file stands alone. The items of lists are never merged: they are whole.
"""

import types
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from agentkit.config.describe import field_docs, json_value, written
from agentkit.config.json_schema.scalars import ANYTHING, BASIC, Schema, nullable, ref, scalar
from agentkit.config.nodes import Block
from agentkit.config.scalars import is_parsed, is_scalar_type, unwrap
from agentkit.config.shape import discriminator, fields_of

_LISTS: Final = (list, tuple, set, frozenset, Sequence)
_MAPS: Final = (dict, Mapping)
_INHERIT: Final[Schema] = {
    "const": "inherit",
    "description": "Puts the list of what this file builds on in its place.",
}


class Shapes:
    """Makes the schema of types, and keeps the definitions of their classes."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = dict(BASIC)
        """The schema of each class, by its name."""
        self._rules: dict[type[Struct], list[Schema]] = {}
        self._fields: dict[tuple[type[Struct], str], Schema] = {}
        self._names: dict[tuple[str, bool], type[Struct]] = {}

    def add_rules(self, cls: type[Struct], rules: Sequence[Schema]) -> None:
        """Hold what more is true of every block of a class; before the class is used."""
        self._rules.setdefault(cls, []).extend(rules)

    def set_field(self, cls: type[Struct], key: str, schema: Schema) -> None:
        """Say what a field takes, where more is known than its type says; before the class is used."""
        self._fields[cls, key] = schema

    def of(self, expected: object, *, part: bool, null: bool = False) -> Schema:
        """Return the schema of a type.

        Args:
            part: Whether other files may add to it: nothing is missing, and lists may ``inherit``.
            null: Whether null puts a default back here.
        """
        core, metas = unwrap(expected)
        origin = get_origin(core) or core
        if origin in (Union, types.UnionType):
            return self._union(get_args(core), part=part, null=null)
        if is_block(core):
            return self._block(core, part=part, null=null)
        if is_scalar_type(core):
            found = scalar(core, metas)
            found.update(*(meta.extra_json_schema or {} for meta in metas))
            return nullable(found) if null else found
        if origin in _LISTS:
            found = self._list(core, part=part)
            return nullable(found) if null else found
        if origin in _MAPS:
            return {"type": ["object", "null"] if null else "object", **self._map(core, part=part)}
        return ref(ANYTHING)

    def block(self, cls: type[Struct], *, part: bool) -> Schema:
        """Return the schema of a class's blocks itself, not one that refers to it."""
        schema: Schema = {
            "type": ["object", "null"],
            "properties": {key: self.field(cls, key, part=part) for key in fields_of(cls)},
            "additionalProperties": False,
        }
        if cls.__doc__:
            schema = {"description": _plain(cls.__doc__.partition("\n\n")[0]), **schema}
        tag = cls.__struct_config__.tag_field
        if tag is not None:
            schema["properties"].setdefault(tag, ref(ANYTHING))
        required = required_keys(cls)
        if required and not part:
            schema["required"] = required
        if cls in self._rules:
            schema["allOf"] = self._rules[cls]
        return schema

    def field(self, cls: type[Struct], key: str, *, part: bool) -> Schema:
        """Return the schema of one key, with its words and its default."""
        info = fields_of(cls)[key]
        if (cls, key) in self._fields:
            schema = dict(self._fields[cls, key])
        elif info.type is Block:
            values = ["object"] if key == discriminator(cls) else ["object", "null"]
            schema = {"type": values, "additionalProperties": ref(ANYTHING)}
        else:
            schema = self.of(info.type, part=part, null=not info.required)
        words = _words(cls, info)
        if "description" in schema:
            words["description"] = words["markdownDescription"] = (
                f"{words.get('description', '')} {schema['description']}"
            )
        return {**schema, **words}

    def one_of(self, classes: Sequence[type[Struct]], *, part: bool) -> Schema:
        """Return the schema of a block that is one of several, told apart by the key that only one of them has."""
        keys = {discriminator(cls): cls for cls in classes}
        own = {name: {key: self.field(cls, key, part=part) for key in fields_of(cls)} for name, cls in keys.items()}
        every = {key: schema for fields in own.values() for key, schema in fields.items()}
        shared = {key for key in every if len({_frozen(each[key]) for each in own.values() if key in each}) == 1}
        rules: list[Schema] = []
        for name, cls in keys.items():
            properties: Schema = {key: False for key in every if key not in own[name]}
            properties |= {key: schema for key, schema in own[name].items() if key not in shared}
            then: Schema = {"properties": properties}
            if required_keys(cls) and not part:
                then["required"] = required_keys(cls)
            if cls in self._rules:
                then["allOf"] = self._rules[cls]
            rules.append({"if": {"required": [name]}, "then": then})
        return {
            "type": "object",
            "properties": {key: schema if key in shared else {} for key, schema in every.items()},
            "additionalProperties": False,
            "anyOf": [{"required": [name]} for name in keys],
            "allOf": rules,
        }

    def _block(self, cls: type[Struct], *, part: bool, null: bool) -> Schema:
        name = self._name(cls, part=part)
        if name not in self.definitions:
            self.definitions[name] = {}  # a class may hold itself
            self.definitions[name] = self.block(cls, part=part)
        if null:
            return ref(name)
        return {"type": "object", "allOf": [ref(name)]}

    def _name(self, cls: type[Struct], *, part: bool) -> str:
        own = cls.__module__.partition(".")[0] == "agentkit"
        name = plain = cls.__qualname__ if own else f"{cls.__module__}.{cls.__qualname__}"
        name = plain = plain.replace("<locals>.", "")
        number = 1
        while self._names.setdefault((name, part), cls) is not cls:
            number += 1
            name = f"{plain}-{number}"
        return f"{name}-part" if part else name

    def _union(self, members: Sequence[object], *, part: bool, null: bool) -> Schema:
        null = null or type(None) in members
        members = [member for member in members if member is not type(None)]
        if len(members) == 1:
            return self.of(members[0], part=part, null=null)
        cores = [unwrap(member)[0] for member in members]
        blocks = [core for core in cores if is_block(core)]
        kinds = [get_origin(core) or core for core in cores]
        parts: list[Schema] = []
        for member, core, kind in zip(members, cores, kinds, strict=True):
            if is_scalar_type(core) and not is_block(core):
                found = self.of(member, part=part)
                parts += found["anyOf"] if set(found) == {"anyOf"} else [found]
            elif kind in _LISTS and sum(each in _LISTS for each in kinds) == 1:
                parts.append(self._list(core, part=part))
            elif not is_block(core) and kind not in _LISTS and (kind not in _MAPS or blocks):
                parts.append({"type": ["array", "object"]})
            elif kind in _MAPS:
                parts.append({"type": "object", **self._map(core, part=part)})
        several = any(kind in _MAPS for kind in kinds) or any(cls.__struct_config__.tag for cls in blocks)
        if len(blocks) == 1 and not several:
            parts.append({"type": "object", "allOf": [self._block(blocks[0], part=part, null=True)]})
        elif blocks and not several:
            parts.append(self._one_of(blocks, part=part))
        elif blocks:
            parts.append({"type": "object"})
        if null:
            parts.append({"type": "null"})
        unique = [each for number, each in enumerate(parts) if each not in parts[:number]]
        return unique[0] if len(unique) == 1 else {"anyOf": unique}

    def _one_of(self, classes: Sequence[type[Struct]], *, part: bool) -> Schema:
        name = "-or-".join(self._name(cls, part=part) for cls in classes)
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = self.one_of(classes, part=part)
        return ref(name)

    def _list(self, core: Any, *, part: bool) -> Schema:
        arguments = get_args(core)
        if (get_origin(core) or core) is tuple and arguments and arguments[-1] is not Ellipsis:
            return {"type": "array", "minItems": len(arguments), "maxItems": len(arguments)}
        expected = arguments[0] if arguments else object
        item = self.of(expected, part=False, null=_may_be_empty(expected))
        return {"type": "array", "items": {"anyOf": [item, _INHERIT]} if part and not _takes_texts(item) else item}

    def _map(self, core: object, *, part: bool) -> Schema:
        key_type, item = get_args(core) or (str, object)
        if unwrap(key_type)[0] is not str:
            return {}
        return {"additionalProperties": self.of(item, part=part, null=True)}


def is_block(core: object) -> TypeGuard[type[Struct]]:
    """Tell whether an unwrapped type is written as a block of keys that a class says."""
    return isinstance(core, type) and issubclass(core, Struct) and core is not Block and not is_parsed(core)


def required_keys(cls: type[Struct]) -> list[str]:
    """Return the keys that a whole block has to have."""
    return [key for key, info in fields_of(cls).items() if info.required and info.type is not Block] or [
        key for key in (discriminator(cls),) if key
    ]


def _may_be_empty(expected: object) -> bool:
    """Tell whether an item of a list may be null: it counts as a block without keys then."""
    core, _ = unwrap(expected)
    return (is_block(core) and not required_keys(core)) or (get_origin(core) or core) in _MAPS


def _takes_texts(item: Schema) -> bool:
    return item == ref("text") or any(each.get("allOf") == [ref("text")] for each in item.get("anyOf", ()))


def _frozen(schema: Schema) -> bytes:
    return msgspec.json.encode(schema)


def _words(cls: type[Struct], info: msgspec.structs.FieldInfo) -> Schema:
    metas = _metas(info.type)
    said = next((meta.description for meta in metas if meta.description), None) or field_docs(cls).get(info.name, "")
    words: Schema = {}
    value = info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory()
    default = None if info.required else json_value(value, info.type)
    if said:
        words["description"] = _plain(said)
        shown = f"\n\nDefault: `{written(value, info.type)}`" if default is not None else ""
        words["markdownDescription"] = _plain(said) + shown
    if default is not None:
        words["default"] = default
    examples = [each for meta in metas for each in meta.examples or ()]
    if examples:
        words["examples"] = examples
    return words


def _metas(expected: object) -> list[Meta]:
    """Return the annotations of a type, and of those that it may be."""
    core, metas = unwrap(expected)
    members = get_args(core) if get_origin(core) in (Union, types.UnionType) else ()
    return [*metas, *(meta for member in members for meta in unwrap(member)[1])]


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")
