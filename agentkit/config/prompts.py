"""The agents' texts: read from a file where they stand in one, and with their ``{{name}}`` variables put in.

Rule: put in once; what a variable holds is not looked at again. ``\\{{name}}`` stays as ``{{name}}``.
"""

import re
from typing import Final

from msgspec import Struct

from agentkit.config.diagnostics import Problems, split_lines
from agentkit.config.loader import read_file
from agentkit.config.nodes import KeyPath, MapNode, Place, ScalarNode, find, is_null, is_unread
from agentkit.config.sources import Folder
from agentkit.registry import nearest

_TEMPLATE: Final = re.compile(r"(\\?)\{\{[ \t]*([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*\}\}")


class Texts(Struct, frozen=True, kw_only=True):
    """What one agent has to say, with its variables put in."""

    instructions: str | None
    """None where there are none, or they cannot be read."""
    greeting: str | None
    """None where it says nothing."""


class Prompts:
    """Makes the texts of one agent."""

    def __init__(
        self, root: MapNode, folder: Folder, problems: Problems, *, agent: str | None = None, partial: bool = False
    ) -> None:
        """Take the merged file.

        Args:
            root: The file.
            folder: Where the files may be that it names.
            problems: Takes what is wrong.
            agent: Which one under ``agents:``, that takes over from ``agent:`` what it does not say; None for
                ``agent:`` itself.
            partial: Whether a text that may give variables is missing from the file.
        """
        self._root = root
        self._folder = folder
        self._problems = problems
        self._home: KeyPath = ("agent",) if agent is None else ("agents", agent)
        givers = [find(root, path) for path in ((), ("agent",), ("agent", "variables"), (*self._home, "variables"))]
        self._partial = partial or any(map(is_unread, givers))
        entries = {
            key: entry
            for home in (("agent",), self._home)
            if isinstance(given := find(root, (*home, "variables")), MapNode)
            for key, entry in given.entries.items()
        }
        self._variables = {
            key: entry.value.text
            for key, entry in entries.items()
            if isinstance(entry.value, ScalarNode) and entry.value.kind != "null"
        }

    def texts(self) -> Texts:
        """Return the agent's texts."""
        return Texts(instructions=self._instructions(), greeting=self._filled((*self._home, "greeting")))

    def _instructions(self) -> str | None:
        path: KeyPath = (*self._home, "instructions")
        said = find(self._root, path)
        if said is None or is_null(said):
            path = ("agent", "instructions")
        node = find(self._root, (*path, "file"))
        if not isinstance(node, ScalarNode):
            return self._filled(path)
        if node.kind != "str" or node.lost or not node.text:
            return None
        found = self._folder.find(node, self._problems, (*path, "file"))
        if found is None:
            return None
        name, target = found
        source = read_file(target, name=name, at=node.place, problems=self._problems)
        if source is None:
            return None
        whole = Place(source, 1, 1, len(split_lines(source.text)), 1)
        return self._fill(source.text, whole, path)

    def _filled(self, path: KeyPath) -> str | None:
        node = find(self._root, path)
        if not isinstance(node, ScalarNode) or node.kind != "str" or node.lost:
            return None
        return self._fill(node.text, node.place, path)

    def _fill(self, text: str, within: Place, path: KeyPath) -> str:
        seen: dict[str, int] = {}

        def put(match: re.Match[str]) -> str:
            written = match[0].removeprefix("\\")
            count = seen[written] = seen.get(written, -1) + 1
            if match[1]:
                return written
            if match[2] not in self._variables:
                if not self._partial:
                    self._unknown(match[2], _find_text(within, written, count), path)
                return written
            return self._variables[match[2]]

        return _TEMPLATE.sub(put, text)

    def _unknown(self, name: str, at: Place, path: KeyPath) -> None:
        near = nearest(name, self._variables)
        home = ".".join(map(str, self._home))
        known = ", ".join(self._variables) or "none"
        self._problems.add(
            "AK304",
            f"`{{{{{name}}}}}` is no variable of the agent",
            at=at,
            path=path,
            hint=f"did you mean `{{{{{near[0]}}}}}`?" if near else f"give `{name}` under `{home}.variables`",
            notes=(f"variables here: {known}", f"for the braces themselves write \\{{{{{name}}}}}"),
        )


def _find_text(place: Place, text: str, count: int) -> Place:
    """Return where the nth occurrence of a text is written within a place, or the place itself."""
    if place.line is None or place.column is None:
        return place
    lines = split_lines(place.source.text)
    for number in range(place.line, min(place.end_line or place.line, len(lines)) + 1):
        line = lines[number - 1]
        start = place.column - 1 if number == place.line else 0
        while (found := line.find(text, start)) >= 0:
            if count == 0:
                return Place(place.source, number, found + 1, number, found + len(text) + 1)
            count -= 1
            start = found + len(text)
    return place
