"""How configurations lie over one another: maps merge, scalars replace, lists replace or ``inherit``.

Rule: what is merged keeps its own places, so a problem is shown where the winning value is written.
"""

from collections.abc import Iterable
from pathlib import Path

from msgspec import structs

from agentkit.config.diagnostics import Problems
from agentkit.config.loader import read_yaml
from agentkit.config.nodes import MAX_DEPTH, Entry, ListNode, MapNode, Node, Place, ScalarNode, Source, is_null
from agentkit.config.schema import decisive_key, left_behind


def merge(layers: Iterable[MapNode]) -> MapNode | None:
    """Lay configurations over one another, the first at the bottom; None where there are none."""
    merged: MapNode | None = None
    for layer in layers:
        merged = _map(merged, layer, ())
    return merged


def read_override(text: str, directory: Path, problems: Problems) -> MapNode | None:
    """Read one ``--set`` of the command line, ``key.path=value``, as a configuration of its own."""
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    source = Source(f"--set {key.strip()}", value, directory, located=False)
    if len(parts) > MAX_DEPTH:
        problems.add("AK010", f"an override nests deeper than {MAX_DEPTH}", at=Place(source))
        return None
    if not equals or not all(parts):
        problems.add("AK011", f"`{source.name}` gives no value", at=Place(source), hint="write --set key.path=value")
        return None
    node = read_yaml(source, problems)
    if node is None:
        return None
    place = Place(source)
    for part in reversed(parts):
        name = ScalarNode(text=part, kind="str", place=place)
        node = MapNode(entries={part: Entry(name, node)}, place=place)
    return node if isinstance(node, MapNode) else None


def _merge(base: Node | None, over: Node, path: tuple[str, ...]) -> Node:
    if isinstance(over, MapNode):
        return _map(base if isinstance(base, MapNode) else None, over, path)
    if isinstance(over, ListNode):
        return _list(base, over)
    return over


def _map(base: MapNode | None, over: MapNode, path: tuple[str, ...]) -> MapNode:
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
        merged[key] = Entry(entry.key, _merge(lower.value if lower else None, entry.value, (*path, key)))
    return structs.replace(over, entries=merged)


def _list(base: Node | None, over: ListNode) -> ListNode:
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
