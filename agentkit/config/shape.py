"""What configuration classes say about keys: which there are, where each belongs, which tells items apart."""

import functools
from collections.abc import Mapping
from typing import get_args, get_origin

from msgspec import Struct, structs

from agentkit.config.nodes import Block, KeyPath
from agentkit.config.scalars import is_parsed, unwrap
from agentkit.config.schema import Config


@functools.lru_cache(maxsize=512)
def fields_of(cls: type[Struct]) -> Mapping[str, structs.FieldInfo]:
    """Return a class's fields by the key that the file uses."""
    return {info.encode_name: info for info in structs.fields(cls)}


@functools.cache
def misplaced_keys() -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """Return for each key of the whole shape the blocks that have it.

    ``*`` in a path stands for any name, as below ``agents``, and ``[]`` for any item of a list.
    """
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
        elif get_origin(core) in (dict, Mapping):
            visit(get_args(core)[1], (*path, "*"))
        else:
            inner = (*path, "[]") if get_origin(core) in (tuple, list) else path
            for argument in get_args(core):
                visit(argument, inner)

    visit(Config, ())
    # A block that stands at several places, as an agent's tools, is named by the shortest way to it.
    return {
        key: tuple(path for path in paths if not any(path[start:] in paths for start in range(1, len(path))))
        for key, paths in homes.items()
    }


def discriminator(cls: type[Struct]) -> str:
    """Return the key that says what an item is: the first that its class requires, a block only where no other is."""
    required = [(info.type is Block, key) for key, info in fields_of(cls).items() if info.required]
    return min(required, key=lambda each: each[0], default=(False, ""))[1]


def homes_of(key: str, path: KeyPath, fields: Mapping[str, object]) -> list[tuple[str, ...]]:
    """Return the blocks that a key may have been meant for, the plainest first.

    Args:
        path: The block that it stands in.
        fields: The keys of that block.
    """
    found = []
    for home in misplaced_keys().get(key, ()):
        ends = [path, *(path[start:] for start in range(1, len(path) - 1))]
        shared = next((end for end in ends if _leads(home, end)), None)
        # Below this very block, it can only be meant for what this block has.
        if shared is None or (len(home) > len(shared) and home[len(shared)] in fields):
            found.append(home)
    plain = min(({"*", "[]"} & {*home} for home in found), key=len, default=set())
    return sorted((home for home in found if {"*", "[]"} & {*home} == plain), key=len)


def _leads(home: tuple[str, ...], path: KeyPath) -> bool:
    return len(path) <= len(home) and all(
        part in ("*", each) or (part == "[]" and isinstance(each, int)) for part, each in zip(home, path, strict=False)
    )
