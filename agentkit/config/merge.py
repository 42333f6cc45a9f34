"""How configurations lie over one another: maps merge, scalars replace, lists replace or ``inherit``.

Rule: what is merged keeps its own places, so a problem is shown where the winning value is written.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec import structs

from agentkit.config.diagnostics import Problems
from agentkit.config.loader import read_yaml
from agentkit.config.nodes import MAX_DEPTH, Entry, ListNode, MapNode, Node, Place, ScalarNode, Source, is_null
from agentkit.config.schema import decisive_key, left_behind

_PART: Final = re.compile(r"([^\[\]]+)((?:\[[0-9]{1,6}\])*)")
"""One part of an override's key: a name, with the items of lists that it leads to."""


class ItemNode(MapNode, frozen=True, kw_only=True, eq=False):
    """What an override lays over one item of a list; it has no entries of its own."""

    index: int
    value: Node


def merge(layers: Iterable[MapNode], problems: Problems | None = None) -> MapNode | None:
    """Lay configurations over one another, the first at the bottom; None where there are none.

    Args:
        problems: Takes the overrides of items that are not there; left out, they wait for the list to come.
    """
    merged: MapNode | None = None
    for layer in layers:
        merged = _map(merged, layer, (), problems)
    return merged


def read_override(text: str, directory: Path, problems: Problems) -> MapNode | None:
    """Read one ``--set`` of the command line, ``key.path=value``, as a configuration of its own."""
    key, equals, value = text.partition("=")
    parts = _parts(key.strip())
    source = Source(f"--set {key.strip()}".rstrip(), value, directory, located=False)
    if len(parts) > MAX_DEPTH:
        problems.add("AK010", f"an override nests deeper than {MAX_DEPTH}", at=Place(source))
        return None
    if not equals or isinstance(parts, str):
        what = parts if isinstance(parts, str) else "gives no value"
        hint = "write --set key.path=value, or --set 'tools[0].timeout=2s' for an item of a list"
        problems.add("AK011", f"`{source.name}` {what}", at=Place(source), hint=hint)
        return None
    node = read_yaml(source, problems)
    if node is None:
        return None
    place = Place(source)
    for part in reversed(parts):
        if isinstance(part, int):
            node = ItemNode(entries={}, place=place, index=part, value=node)
            continue
        name = ScalarNode(text=part, kind="str", place=place)
        node = MapNode(entries={part: Entry(name, node)}, place=place)
    return node if isinstance(node, MapNode) else None


def _parts(key: str) -> list[str | int] | str:
    """Return the parts of a key as ``show --only`` spells it, or what is wrong with it."""
    if not key:
        return "names no key"
    parts: list[str | int] = []
    for part in key.split("."):
        found = _PART.fullmatch(part)
        if found is None:
            return "has an empty part in its key" if not part else f"has `{part}` in its key, which is no key"
        parts += [found[1].strip(), *map(int, re.findall("[0-9]+", found[2]))]
    return parts


def _merge(base: Node | None, over: Node, path: tuple[str, ...], problems: Problems | None) -> Node:
    if isinstance(over, ItemNode):
        return _item(base, over, path, problems)
    if isinstance(over, MapNode):
        return _map(base if isinstance(base, MapNode) else None, over, path, problems)
    if isinstance(over, ListNode):
        later = path[:1] == ("agents",) and path[2:] == ("tools",) and not isinstance(base, ListNode)
        return over if later else inherited(base, over)  # an agent inherits from the whole of the file's own `tools`
    return over


def _item(base: Node | None, over: ItemNode, path: tuple[str, ...], problems: Problems | None) -> Node:
    """Lay something over one item of a list; what is not there is noted, or waits."""
    items = base.items if isinstance(base, ListNode) else ()
    if isinstance(base, ListNode) and over.index < len(items) and not _is_inherit(items[over.index]):
        item = _merge(items[over.index], over.value, (*path, f"[{over.index}]"), problems)
        if isinstance(item, MapNode) and isinstance(over.value, MapNode):
            item = structs.replace(item, place=items[over.index].place)
        return structs.replace(base, items=(*items[: over.index], item, *items[over.index + 1 :]))
    if problems is None:
        return over if base is None else base
    key, count = "".join(part if part[0] == "[" else f".{part}" for part in path).removeprefix("."), len(items)
    hint = f"it has {key}[0] to {key}[{count - 1}]" if count > 1 else f"it has {key}[0]" if count else "it has no items"
    if not isinstance(base, ListNode):
        hint = "nothing is written there" if base is None else "what is written there is no list"
    problems.add("AK011", f"there is no {key}[{over.index}] to override", at=over.place, hint=hint)
    return base if base is not None else ListNode(items=(), place=over.place)


def _map(base: MapNode | None, over: MapNode, path: tuple[str, ...], problems: Problems | None) -> MapNode:
    below = dict(base.entries) if base is not None else {}
    decisive = decisive_key(path)
    if decisive is not None and base is not None:
        old, new = base.get(decisive), over.get(decisive)
        if isinstance(old, ScalarNode) and isinstance(new, ScalarNode) and old.text != new.text:
            for name in left_behind(path, new.text):
                below.pop(name, None)
    merged = dict(below)
    for key, entry in over.entries.items():
        lower = below.get(key)
        merged[key] = Entry(entry.key, _merge(lower.value if lower else None, entry.value, (*path, key), problems))
    return structs.replace(over, entries=merged, torn=over.torn or (base is not None and base.torn))


def inherited(base: Node | None, over: ListNode) -> ListNode:
    """Return a list with the one below in the place of each ``inherit``."""
    if not any(_is_inherit(item) for item in over.items):
        return over
    if isinstance(base, ListNode):
        inherited = base.items
    elif isinstance(base, ScalarNode) and not is_null(base):
        inherited = (base,)
    else:
        inherited = ()
    items: list[Node] = []
    for item in over.items:
        items.extend(inherited if _is_inherit(item) else (item,))
    return structs.replace(over, items=tuple(items))


def _is_inherit(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.plain and node.text == "inherit"
