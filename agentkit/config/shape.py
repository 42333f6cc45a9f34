"""What configuration classes say about keys: which there are, where each belongs, which tells items apart."""

import functools
from collections.abc import Mapping
from typing import get_args

from msgspec import Struct, structs

from agentkit.config.nodes import Block
from agentkit.config.scalars import is_parsed, unwrap
from agentkit.config.schema import Config


@functools.lru_cache(maxsize=512)
def fields_of(cls: type[Struct]) -> Mapping[str, structs.FieldInfo]:
    """Return a class's fields by the key that the file uses."""
    return {info.encode_name: info for info in structs.fields(cls)}


@functools.cache
def misplaced_keys() -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """Return for each key of the whole shape the blocks that have it."""
    homes: dict[str, list[tuple[str, ...]]] = {}

    def visit(expected: object, path: tuple[str, ...]) -> None:
        core, _ = unwrap(expected)
        if isinstance(core, type) and issubclass(core, Struct):
            if core is Block or is_parsed(core):
                return
            for key, info in fields_of(core).items():
                if path not in homes.setdefault(key, []):
                    homes[key].append(path)
                visit(info.type, (*path, key))
        else:
            for argument in get_args(core):
                visit(argument, path)

    visit(Config, ())
    return {key: tuple(paths) for key, paths in homes.items()}


def discriminator(cls: type[Struct]) -> str:
    """Return the key that says what an item is: the first that its class requires, a block only where no other is."""
    required = [(info.type is Block, key) for key, info in fields_of(cls).items() if info.required]
    return min(required, key=lambda each: each[0], default=(False, ""))[1]
