"""A guardrail's keys become its guard's options: ``at`` and ``action`` may stand beside ``use``, or under ``with``."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct, structs

from agentkit.config.diagnostics import Diagnostic
from agentkit.config.draft import Draft
from agentkit.config.nodes import Block, Entry, KeyPath, MapNode, ScalarNode, find, is_null, path_text
from agentkit.config.shape import fields_of

BESIDE: Final = ("at", "action")
"""The keys that may stand beside ``use`` and ``with``."""


def with_beside(
    read: Draft, path: KeyPath, block: Block, config: type[Struct] | None
) -> tuple[Block, list[Diagnostic]]:
    """Return a guard's options with what stands beside them, and what of that the guard does not have.

    Args:
        read: The file.
        path: Where the guardrail stands in it.
        block: Its ``with``.
        config: What the guard's options are; None where it has none.
    """
    entries = dict(block.node.entries)
    problems: list[Diagnostic] = []
    item = find(read.root, path)
    for key in BESIDE:
        entry = item.entries.get(key) if isinstance(item, MapNode) else None
        if entry is None or is_null(entry.value) or (isinstance(entry.value, ScalarNode) and entry.value.lost):
            continue
        known = fields_of(config) if config is not None else {}
        if key not in known:
            message = f"this guard has no `{key}`"
            hint = f"delete it; its options are {', '.join(known)}" if known else "delete it; it takes no options"
            problems.append(read.problem("AK401", message, *path, key, hint=hint, on_key=True))
        elif key in entries:
            message = f"`{key}` is given twice"
            note = f"the other one is at {entries[key].key.place}"
            problems.append(read.problem("AK401", message, *path, key, hint="delete one", notes=(note,), on_key=True))
        else:
            entries[key] = Entry(entry.key, entry.value)
    node = MapNode(entries=entries, place=block.node.place)
    return Block(node, block.path, block.given or bool(entries)), problems


def cited(diagnostics: Sequence[Diagnostic], path: KeyPath) -> list[Diagnostic]:
    """Return diagnostics of a guard's options with the keys of those that stand beside them as they are written."""
    beside = {path_text((*path, "with", key)): path_text((*path, key)) for key in BESIDE}
    found = []
    for each in diagnostics:
        key = each.key or ""
        written = next((new + key[len(old) :] for old, new in beside.items() if key.startswith(old)), None)
        found.append(each if written is None else structs.replace(each, key=written))
    return found
