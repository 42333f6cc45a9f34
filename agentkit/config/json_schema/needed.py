"""What must be there where a configuration stands alone: no preset and no other file can bring it."""

import types
from collections.abc import Mapping
from typing import Final, Union, get_args, get_origin

from msgspec import Struct

from agentkit.config.json_schema.scalars import Schema
from agentkit.config.json_schema.shapes import is_block, required_keys
from agentkit.config.scalars import unwrap
from agentkit.config.shape import fields_of

ALONE: Final[Schema] = {"properties": {key: {"enum": [None, []]} for key in ("extends", "preset")}}
"""Holds where a configuration builds on nothing."""


class Needed:
    """Collects what classes require along the way of maps; the items of lists say it themselves."""

    def __init__(self) -> None:
        self._rules: dict[type[Struct], list[Schema]] = {}

    def add_rules(self, cls: type[Struct], rules: list[Schema]) -> None:
        """Hold what more is true of a class's blocks where nothing else adds to them."""
        self._rules.setdefault(cls, []).extend(rules)

    def of(self, cls: type[Struct], around: tuple[type[Struct], ...] = ()) -> Schema:
        """Return what a class's blocks need; an empty schema where that is nothing."""
        if cls in around:
            return {}
        needed: Schema = {}
        required = required_keys(cls)
        if required:
            needed["required"] = required
        properties = {}
        for key, info in fields_of(cls).items():
            inner = self._within(info.type, (*around, cls))
            if inner:
                properties[key] = inner
        if properties:
            needed["properties"] = properties
        if cls in self._rules:
            needed["allOf"] = self._rules[cls]
        return needed

    def _within(self, expected: object, around: tuple[type[Struct], ...]) -> Schema:
        core, _ = unwrap(expected)
        origin = get_origin(core) or core
        if is_block(core):
            return self.of(core, around)
        if origin in (Union, types.UnionType):
            blocks = [each for each in (unwrap(member)[0] for member in get_args(core)) if is_block(each)]
            return self.of(blocks[0], around) if len(blocks) == 1 else {}
        if origin in (dict, Mapping) and len(get_args(core)) == 2:
            inner = self._within(get_args(core)[1], around)
            return {"additionalProperties": inner} if inner else {}
        return {}
