"""Lists and maps while they are read: what comes next is taken, and what cannot stand there is noted."""

import re
from typing import Final

from msgspec import structs

from agentkit.config.diagnostics import Problems, split_lines
from agentkit.config.fixes import on_row, quoting
from agentkit.config.nodes import Entry, ListNode, MapNode, Node, Place, ScalarNode, is_null
from agentkit.config.recovering import Damage

_GLUED_DASH: Final = re.compile(r"-[A-Za-z_]")


class Frame:
    """A list or map that is still open."""

    __slots__ = ("anchor", "entries", "height", "items", "key", "lost", "place", "size", "skip", "torn")

    def __init__(self, place: Place, anchor: str | None, *, is_map: bool) -> None:
        self.place = place
        self.anchor = anchor
        self.items: list[Node] | None = None if is_map else []
        self.entries: dict[str, Entry] = {}
        self.key: ScalarNode | None = None
        self.skip = False
        self.torn = False
        self.lost = False
        self.size = 1
        self.height = 1

    def take(self, node: Node, problems: Problems) -> None:
        """Take what comes next: an item, a key or the value of the key before."""
        if self.items is not None:
            self.items.append(node)
        elif self.skip:
            self.skip = False
        elif self.key is None:
            self._name(node, problems)
        else:
            self.entries[self.key.text] = Entry(self.key, node)
            self.key = None

    def close(self, place: Place) -> Node:
        """Return the list or map."""
        if self.lost:
            return ScalarNode(text="", kind="str", place=place, lost=True)
        if self.items is not None:
            return ListNode(items=tuple(self.items), place=place)
        return MapNode(entries=self.entries, place=place, torn=self.torn)

    def tear(self, damage: Damage, row: int) -> None:
        """Take a part that was left out for one of this list or map's own.

        Args:
            row: Where it begins in the file.
        """
        column = (self.place.column or 1) - 1
        last = next(reversed(self.entries.values()), None) if self.items is None else None
        for entry in self.entries.values():
            if (entry.key.place.line or 0) <= row:
                last = entry
        below = damage.indent > column or damage.item
        if last is not None and below and is_null(last.value) and (last.key.place.line or 0) <= row:
            lost = ScalarNode(text="", kind="str", place=last.value.place, lost=True)
            self.entries[last.key.text] = Entry(last.key, lost)
        elif self.items and below and is_null(self.items[-1]):
            self.items[-1] = ScalarNode(text="", kind="str", place=self.items[-1].place, lost=True)
        else:
            self.torn = True

    def _name(self, node: Node, problems: Problems) -> None:
        """Take a key; what cannot be one is noted, and its value passed over."""
        self.skip = True
        if isinstance(node, ScalarNode) and node.lost:
            self.torn = True
        elif isinstance(node, ScalarNode) and node.plain and _GLUED_DASH.match(node.text):
            column = (node.place.column or 1) + 1
            fix = on_row((node.place.line or 1) - 1, column - 1, column - 1, " ", "put a space behind the dash")
            at = structs.replace(node.place, end_line=node.place.line, end_column=column)
            problems.add(
                "AK012", "a space is missing behind this dash", at=at, hint=f"write `- {node.text[1:]}: ...`", fix=fix
            )
            self.lost = True
        elif isinstance(node, MapNode) and not self.entries:
            self._template(problems)
        elif not isinstance(node, ScalarNode):
            problems.add("AK102", "a key must be a text, not a list or map", at=node.place)
        elif node.plain and node.text == "<<":
            hint = "use `extends` for files, `inherit` in lists, or repeat the keys"
            problems.add("AK006", "merge keys (`<<`) are not accepted", at=node.place, hint=hint)
        elif node.text in self.entries:
            first = self.entries[node.text].key.place
            problems.add(
                "AK003",
                f"the key `{node.text}` is given twice in this block",
                at=node.place,
                hint="keep one of the two",
                notes=(f"first given at {first}",),
            )
        else:
            self.key = node
            self.skip = False

    def _template(self, problems: Problems) -> None:
        """Note a text that begins with ``{{name}}``, which YAML reads as a map in a map."""
        self.lost = True
        at, fix = self.place, None
        if at.line is not None and at.column is not None:
            line = split_lines(at.source.text)[at.line - 1]
            end = line.find("}}", at.column) + 2
            if end > 1:
                fix = quoting(at.line - 1, at.column - 1, line[at.column - 1 : end])
            at = structs.replace(at, end_line=at.line, end_column=max(end, at.column) + 1)
        problems.add("AK004", "a text cannot begin with `{{`", at=at, hint="put the text in quotes", fix=fix)
