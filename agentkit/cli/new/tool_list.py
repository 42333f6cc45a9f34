"""Adding an item to the list ``tools:`` of a configuration, by position.

Rule: one piece of text is put in and none is changed; what would come out different from that is not written.
"""

import re
from typing import Final

from agentkit.config.diagnostics import Problems
from agentkit.config.loader import read_yaml
from agentkit.config.nodes import ListNode, MapNode, Node, ScalarNode, Source, is_null

_BREAK: Final = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_BOM: Final = "\ufeff"


class ToolList:
    """The tools that the text of a configuration lists."""

    def __init__(self, name: str, text: str) -> None:
        """Read it; it need not be valid, but where it is not wholly read nothing can be put in.

        Args:
            name: How the file is called.
            text: What stands in it.
        """
        self._mark = _BOM if text.startswith(_BOM) else ""
        self._text = text.removeprefix(_BOM)
        self._root = _read(name, self._text)
        self._starts = [0, *(found.end() for found in _BREAK.finditer(self._text))]

    @property
    def names(self) -> tuple[str, ...]:
        """What the model calls the tools, as far as the text says it."""
        return tuple(name for item in self._items() if (name := _name_of(item)))

    def has(self, reference: str) -> bool:
        """Tell whether a function is one of them already."""
        return any(_text(item, "python") == reference for item in self._items())

    def with_function(self, reference: str) -> tuple[str, int] | None:
        """Return the text with a function as one more tool, and its line; None where it cannot be put in safely."""
        place = self._place(reference)
        if place is None or not isinstance(self._root, MapNode):
            return None
        at, piece = place
        newline = "\r\n" if "\r\n" in self._text else "\n"
        text = self._text[:at] + piece.replace("\n", newline) + self._text[at:]
        changed = _read(name="", text=text)
        if not isinstance(changed, MapNode) or not _is_grown(self._root, changed, reference):
            return None
        line = len(_BREAK.findall(text[: text.index(reference, at)])) + 1
        return self._mark + text, line

    def _items(self) -> tuple[Node, ...]:
        tools = self._root.get("tools") if isinstance(self._root, MapNode) else None
        return tools.items if isinstance(tools, ListNode) else ()

    def _place(self, reference: str) -> tuple[int, str] | None:
        """Return where a piece of text has to be put in, and the piece."""
        root = self._root
        if not isinstance(root, MapNode) or self._at(root) == "{":
            return None
        entry = root.entries.get("tools")
        if entry is None:
            builds = "  - inherit\n" if {"preset", "extends"} & set(root.entries) else ""
            lead = "" if not self._text or self._text.endswith(("\n", "\r")) else "\n"
            return len(self._text), f"{lead}\ntools:\n{builds}  - python: {reference}\n"
        value = entry.value
        if isinstance(value, ScalarNode) and is_null(value) and not value.text:
            return self._after(entry.key.place.line, f"  - python: {reference}\n")
        if not isinstance(value, ListNode) or value.place.column is None:
            return None
        last = max((_end(item) for item in value.items), default=None)
        if self._at(value) == "[":
            if last is None:
                return self._offset(value.place.line, value.place.column) + 1, f"{{python: {reference}}}"
            return self._offset(*last), f", {{python: {reference}}}"
        if last is None:
            return None
        line = last[0] - (last[1] == 1)
        while line > 1 and not self._line(line).strip():
            line -= 1
        return self._after(line, f"{' ' * (value.place.column - 1)}- python: {reference}\n")

    def _after(self, line: int | None, piece: str) -> tuple[int, str]:
        """Put a piece below a line."""
        assert line is not None
        if line < len(self._starts):
            return self._starts[line], piece
        return len(self._text), f"\n{piece}"

    def _line(self, line: int) -> str:
        end = self._starts[line] if line < len(self._starts) else len(self._text)
        return self._text[self._starts[line - 1] : end]

    def _offset(self, line: int | None, column: int | None) -> int:
        assert line is not None
        assert column is not None
        return self._starts[line - 1] + column - 1

    def _at(self, node: Node) -> str:
        """Return the character at which a list or map begins."""
        at = self._offset(node.place.line, node.place.column)
        return self._text[at : at + 1]


def _read(name: str, text: str) -> Node | None:
    problems = Problems()
    root = read_yaml(Source(name, text), problems)
    return None if problems.errors else root


def _end(node: Node) -> tuple[int, int]:
    """Return the line and column behind the last thing that is written of a node."""
    children: tuple[Node, ...] = ()
    if isinstance(node, MapNode):
        children = tuple(part for entry in node.entries.values() for part in (entry.key, entry.value))
    elif isinstance(node, ListNode):
        children = node.items
    place = node.place
    own = (place.end_line or 1, place.end_column or 1)
    # The end of a block is where the next one begins; a flow's, and a text's, is its own.
    inner = max(map(_end, children), default=own)
    return own if own[0] == inner[0] else inner


def _is_grown(before: MapNode, after: MapNode, reference: str) -> bool:
    """Tell whether a configuration has changed by one tool at the end of its list, and by nothing else."""
    old, new = dict(before.entries), dict(after.entries)
    had, has = old.pop("tools", None), new.pop("tools", None)
    if has is None or not isinstance(has.value, ListNode) or list(old) != list(new):
        return False
    if any(not _same(old[key].value, new[key].value) for key in old):
        return False
    items = had.value.items if had is not None and isinstance(had.value, ListNode) else ()
    kept, (added,) = has.value.items[:-1], has.value.items[-1:]
    if had is None and len(kept) == 1 and isinstance(kept[0], ScalarNode) and kept[0].text == "inherit":
        kept = ()
    same = len(kept) == len(items) and all(map(_same, items, kept))
    return (
        same
        and isinstance(added, MapNode)
        and list(added.entries) == ["python"]
        and _text(added, "python") == reference
    )


def _same(one: Node, other: Node) -> bool:
    match one, other:
        case ScalarNode(), ScalarNode():
            return (one.text, one.kind, one.plain) == (other.text, other.kind, other.plain)
        case ListNode(), ListNode():
            return len(one.items) == len(other.items) and all(map(_same, one.items, other.items))
        case MapNode(), MapNode():
            pairs = zip(one.entries.items(), other.entries.items(), strict=False)
            return len(one.entries) == len(other.entries) and all(
                key == name and _same(mine.value, theirs.value) for (key, mine), (name, theirs) in pairs
            )
    return False


def _text(item: Node, key: str) -> str | None:
    value = item.get(key) if isinstance(item, MapNode) else None
    return value.text if isinstance(value, ScalarNode) else None


def _name_of(item: Node) -> str | None:
    name = _text(item, "name") or next(filter(None, (_text(item, key) for key in ("use", "python"))), None)
    return f"{_text(item, 'prefix') or ''}{name.rpartition(':')[2]}" if name else None
