"""YAML text becomes nodes with places; the only file that knows the YAML library.

Rule: one pass over the parser's events, so the caps hold before anything is built, no tag ever constructs an
object, and an alias is counted at its expanded size without being expanded. Scalars follow YAML 1.2's core.
"""

import re
from pathlib import Path
from typing import Any, Final

import yaml

from agentkit.config.diagnostics import Problems, split_lines
from agentkit.config.nodes import (
    MAX_DEPTH,
    Entry,
    ListNode,
    MapNode,
    Node,
    Place,
    ScalarKind,
    ScalarNode,
    Source,
    core_kind,
)

MAX_BYTES: Final = 1024 * 1024
"""How large a file may be."""

MAX_EXPANDED: Final = 10_000
"""How many nodes aliases may add to a file; a file without aliases has no limit but its size."""

# The loader classes are used for their parsers alone; their constructors are never called.
_Parser: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_UNPRINTABLE: Final = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_file(path: Path, *, name: str, at: Place | None, problems: Problems) -> Source | None:
    """Read a file as UTF-8 text, with its size capped.

    Args:
        at: Where another file names it; None for the file that the user gave.
    """
    place = at or Place(Source(name))
    code = "AK009" if at is None else "AK204"
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        problems.add(code, f"cannot read {name}: {reason}", at=place, hint="check the path" if at else None)
        return None
    if len(data) > MAX_BYTES:
        problems.add(code, f"{name} is larger than 1 MiB", at=place, hint="split it, and use `extends`")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        source = Source(name, before)
        line, column = _position(before, len(before))
        problems.add(
            "AK009",
            f"{name} is not UTF-8 text",
            at=Place(source, line, column),
            hint="save it as UTF-8",
            notes=(f"byte 0x{data[error.start]:02x} is the first that does not fit",),
        )
        return None
    return Source(name, text, path.parent)


def read_yaml(source: Source, problems: Problems) -> Node | None:
    """Return the nodes of a text, or None where it cannot be read; every problem found is noted."""
    text = source.text.removeprefix("\ufeff")
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        problems.add("AK009", f"{source.name} is larger than 1 MiB", at=Place(source), hint="split it")
        return None
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        line, column = _position(text, bad.start())
        problems.add(
            "AK009",
            f"the character U+{ord(bad[0]):04X} is not allowed in YAML",
            at=_at(source, line, column, column + 1),
            hint="delete it, or write it as an escape in double quotes",
        )
        return None
    parser = _Parser(text)
    try:
        return _Composer(source, problems).compose(parser)
    except yaml.YAMLError as error:
        _explain(error, source, text, problems)
    except _UnreadableError:
        pass
    finally:
        parser.dispose()
    return None


class _UnreadableError(Exception):
    """The problem is noted; nothing more can be read from this text."""


class _Frame:
    """A list or map that is still open."""

    __slots__ = ("anchor", "entries", "height", "items", "key", "place", "size", "skip")

    def __init__(self, place: Place, anchor: str | None, *, is_map: bool) -> None:
        self.place = place
        self.anchor = anchor
        self.items: list[Node] | None = None if is_map else []
        self.entries: dict[str, Entry] = {}
        self.key: ScalarNode | None = None
        self.skip = False
        self.size = 1
        self.height = 1


class _Composer:
    """Builds nodes from the parser's events, with an explicit stack: depth costs no recursion."""

    def __init__(self, source: Source, problems: Problems) -> None:
        self._source = source
        self._problems = problems
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Node, int, int] | None] = {}
        self._root: Node | None = None
        self._documents = 0
        self._added = 0

    def compose(self, parser: Any) -> Node | None:
        while True:
            event = parser.get_event()
            match event:
                case yaml.ScalarEvent():
                    self._scalar(event)
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self._open(event)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._close(event)
                case yaml.AliasEvent():
                    self._alias(event)
                case yaml.DocumentStartEvent():
                    self._documents += 1
                    if self._documents > 1:
                        hint = "keep one document in a file; use `extends` to build on another"
                        self._stop("AK007", "a second document begins here", event, hint)
                case yaml.StreamEndEvent():
                    break
        root = self._root
        if root is None or (isinstance(root, ScalarNode) and root.kind == "null"):
            if not self._source.located:
                return root or ScalarNode(text="", kind="null", place=Place(self._source), plain=True)
            self._problems.add(
                "AK008",
                f"{self._source.name} is empty",
                at=_at(self._source, 1, 1, 1),
                hint="it needs `agent:`",
            )
            return None
        return root

    def _place(self, event: Any) -> Place:
        if not self._source.located:
            return Place(self._source)
        start, end = event.start_mark, event.end_mark
        return Place(self._source, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

    def _stop(self, code: str, message: str, event: Any, hint: str | None = None) -> None:
        self._problems.add(code, message, at=self._place(event), hint=hint)
        raise _UnreadableError

    def _check_tag(self, event: Any) -> None:
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._problems.add(
                "AK005",
                f"the tag `{tag}` is not accepted: a configuration is plain data",
                at=self._place(event),
                hint="delete the tag; quote the value to make it text",
            )

    def _scalar(self, event: Any) -> None:
        self._check_tag(event)
        plain = event.implicit[0]
        kind: ScalarKind = "str"
        if plain:
            kind = core_kind(event.value)
        node = ScalarNode(text=event.value, kind=kind, place=self._place(event), plain=plain)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, 1, 0)
        self._attach(node, size=1, height=0)

    def _open(self, event: Any) -> None:
        self._check_tag(event)
        if len(self._stack) >= MAX_DEPTH:
            self._stop("AK010", f"lists and maps nest deeper than {MAX_DEPTH} here", event)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        is_map = isinstance(event, yaml.MappingStartEvent)
        self._stack.append(_Frame(self._place(event), event.anchor, is_map=is_map))

    def _close(self, event: Any) -> None:
        frame = self._stack.pop()
        place = frame.place
        if place.line is not None:
            end = event.end_mark
            place = Place(place.source, place.line, place.column, end.line + 1, end.column + 1)
        node: Node
        if frame.items is None:
            node = MapNode(entries=frame.entries, place=place)
        else:
            node = ListNode(items=tuple(frame.items), place=place)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (node, frame.size, frame.height)
        self._attach(node, size=frame.size, height=frame.height)

    def _alias(self, event: Any) -> None:
        name = event.anchor
        if name not in self._anchors:
            hint = f"put `&{name}` before it; quote the text if the star is meant"
            self._stop("AK001", f"`*{name}` refers to an anchor that is not there", event, hint)
        target = self._anchors[name]
        if target is None:
            self._stop("AK010", f"`*{name}` stands inside of what it refers to", event)
            return
        node, size, height = target
        self._added += size
        if self._added > MAX_EXPANDED:
            self._stop("AK010", f"aliases add more than {MAX_EXPANDED} values to this file", event)
        if len(self._stack) + height > MAX_DEPTH:
            self._stop("AK010", f"lists and maps nest deeper than {MAX_DEPTH} through `*{name}`", event)
        self._attach(node, size=size, height=height)

    def _attach(self, node: Node, *, size: int, height: int) -> None:
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        frame.size += size
        frame.height = max(frame.height, height + 1)
        if frame.items is not None:
            frame.items.append(node)
        elif frame.skip:
            frame.skip = False
        elif frame.key is None:
            self._key(frame, node)
        else:
            frame.entries[frame.key.text] = Entry(frame.key, node)
            frame.key = None

    def _key(self, frame: _Frame, node: Node) -> None:
        frame.skip = True
        if not isinstance(node, ScalarNode):
            hint = "quote the value, if it begins with {{" if isinstance(node, MapNode) else None
            self._problems.add("AK102", "a key must be a text, not a list or map", at=node.place, hint=hint)
        elif node.plain and node.text == "<<":
            hint = "use `extends` for files, `inherit` in lists, or repeat the keys"
            self._problems.add("AK006", "merge keys (`<<`) are not accepted", at=node.place, hint=hint)
        elif node.text in frame.entries:
            first = frame.entries[node.text].key.place
            self._problems.add(
                "AK003",
                f"the key `{node.text}` is given twice in this block",
                at=node.place,
                hint="keep one of the two",
                notes=(f"first given at {first}",),
            )
        else:
            frame.key = node
            frame.skip = False


def _explain(error: yaml.YAMLError, source: Source, text: str, problems: Problems) -> None:
    """Say in the user's words what the parser means."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or "this cannot be read"
    lines = split_lines(text)
    row, column = (mark.line, mark.column) if mark is not None else (0, 0)
    line = lines[row] if row < len(lines) else ""
    end = column + 1
    code, message, hint = "AK001", f"this is not YAML: {said}", None
    variable = line.rfind("${", 0, column + 1)
    if "\t" in line[: column + 1] and not line[:column].strip():
        code, message, hint = "AK002", "a tab cannot indent YAML", "use spaces"
    elif "nesting depth" in said:
        code, message = "AK010", f"lists and maps nest deeper than {MAX_DEPTH} here"
    elif "did not find expected ','" in said or "expected ',' or" in said:
        if variable >= 0:
            code, message, hint = (
                "AK004",
                "`${` inside { } or [ ] needs quotes",
                'write "${...}" in double quotes',
            )
            column, end = variable, line.find("}", variable) + 1 or len(line)
        else:
            context = getattr(error, "context_mark", None)
            opened = f" that opened at line {context.line + 1}, column {context.column + 1}" if context else ""
            message, hint = f"a comma or the closing bracket is missing in the list or map{opened}", None
    elif "mapping values are not allowed" in said:
        code, message = "AK004", "this line has a second `: `, or the line above it lacks one"
        hint = "put the value in quotes, or check the indentation"
    elif "cannot start any token" in said:
        message, hint = f"a value cannot begin with `{line[column : column + 1]}`", "put the value in quotes"
    elif "did not find expected key" in said or "<block end>" in said or "expected '-'" in said:
        message, hint = "this line does not fit the lines above it", "check its indentation"
    elif "unexpected end of stream" in said:
        message, hint = "a quote is opened and never closed", "add the closing quote"
        start = getattr(error, "context_mark", None) or mark
        if start is not None:
            row, column = start.line, start.column
            end = column + 1
    elif "could not find expected ':'" in said:
        message, hint = "a `key: value` is expected here, and the colon is missing", "write `key: value`"
    problems.add(code, message, at=_at(source, row + 1, column + 1, end + 1), hint=hint)


def _at(source: Source, line: int, column: int, end_column: int) -> Place:
    return Place(source, line, column, line, end_column) if source.located else Place(source)


def _position(text: str, index: int) -> tuple[int, int]:
    lines = split_lines(text[:index])
    return len(lines), len(lines[-1]) + 1
