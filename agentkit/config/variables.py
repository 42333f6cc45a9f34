"""The environment's variables: ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?message}`` in any text.

Rule: put in after parsing, once, in values only. What a variable holds is never read as YAML and never
expanded again, and no message shows it.
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import structs

from agentkit.config.diagnostics import Problems
from agentkit.config.nodes import Entry, KeyPath, ListNode, MapNode, Node, ScalarNode
from agentkit.config.schema import SWITCHED

_TOKEN: Final = re.compile(r"\$\$|\$\{([^{}]*)\}|\$\{")
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::([-?])(.*))?", re.DOTALL)


class Environment:
    """Puts the environment's variables into nodes."""

    def __init__(self, values: Mapping[str, str], problems: Problems) -> None:
        self._values = values
        self._problems = problems

    def fill(self, node: Node, path: KeyPath = ()) -> Node:
        """Return the node with its variables put in; the same node where there are none."""
        match node:
            case ScalarNode():
                return self._scalar(node, path)
            case ListNode():
                switched = _is_switched(path)
                items = tuple(
                    self._switched(item, (*path, index)) if switched else self.fill(item, (*path, index))
                    for index, item in enumerate(node.items)
                )
                same = all(new is old for new, old in zip(items, node.items, strict=True))
                return node if same else structs.replace(node, items=items)
            case MapNode():
                changed: dict[str, Entry] = {}
                for key, entry in node.entries.items():
                    value = self.fill(entry.value, (*path, key))
                    if value is not entry.value:
                        changed[key] = Entry(entry.key, value)
                return structs.replace(node, entries={**node.entries, **changed}) if changed else node

    def _switched(self, item: Node, path: KeyPath) -> Node:
        """Fill an item of a list; what a switched-off one would need need not be there."""
        when = item.get("when") if isinstance(item, MapNode) else None
        if not isinstance(item, MapNode) or not isinstance(when, ScalarNode):
            return self.fill(item, path)
        filled = self._scalar(when, (*path, "when"))
        entries = {**item.entries, "when": Entry(item.entries["when"].key, filled)}
        item = structs.replace(item, entries=entries)
        if filled.text.lower() != "false":
            return self.fill(item, path)
        for key, entry in list(entries.items()):
            trial = Problems()
            value = Environment(self._values, trial).fill(entry.value, (*path, key))
            if "AK301" in trial.codes and key not in ("use", "python"):
                del entries[key]
            else:
                self._problems.absorb(trial)
                entries[key] = Entry(entry.key, value)
        return structs.replace(item, entries=entries)

    def _scalar(self, node: ScalarNode, path: KeyPath) -> ScalarNode:
        if node.kind != "str" or node.written is not None or "$" not in node.text:
            return node
        first = _TOKEN.match(node.text)
        whole = first is not None and first.end() == len(node.text) and first[0] != "$$"

        lost = False

        def put(match: re.Match[str]) -> str:
            nonlocal lost
            value = "$" if match[0] == "$$" else self._value(match, node, path)
            lost = lost or value is None
            return value or ""

        text = _TOKEN.sub(put, node.text)
        if _TOKEN.search(node.text) is None:
            return node
        return structs.replace(node, text=text, written=node.text, whole=whole, lost=lost)

    def _value(self, match: re.Match[str], node: ScalarNode, path: KeyPath) -> str | None:
        parsed = None if match[1] is None else _VARIABLE.fullmatch(match[1])
        if parsed is None:
            self._problems.add(
                "AK303",
                f"`{_short(match[0])}` is not written right",
                at=node.place,
                path=path,
                hint="write ${NAME}, ${NAME:-default} or ${NAME:?message}; no braces inside; $$ is a dollar",
            )
            return None
        name, operator, rest = parsed[1], parsed[2], parsed[3]
        value = self._values.get(name)
        if value is None or (value == "" and operator):
            if operator == "-":
                return str(rest)
            hint = str(rest) if operator == "?" and rest else f"export {name}=..., or write ${{{name}:-default}}"
            what = "is not set" if value is None else "is empty"
            self._problems.add(
                "AK301", f"environment variable {name} {what}", at=node.place, path=path, hint=hint.strip()
            )
            return None
        if not _is_text(value):
            self._problems.add(
                "AK303", f"environment variable {name} does not hold UTF-8 text", at=node.place, path=path
            )
            return None
        return value


def _is_switched(path: KeyPath) -> bool:
    return any(
        len(path) == len(each) and all(known in ("*", part) for known, part in zip(each, path, strict=True))
        for each in SWITCHED
    )


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
