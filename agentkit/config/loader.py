"""YAML text becomes nodes with places; the only file that knows the YAML library.

Rule: one pass over the parser's events, so the caps hold before anything is built, no tag ever constructs an
object, and an alias is counted at its expanded size without being expanded. Scalars follow YAML 1.2's core.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import structs

from agentkit.config.diagnostics import Edit, Fix, Problems, split_lines
from agentkit.config.fixes import TYPOGRAPHIC, apply, requoting
from agentkit.config.frames import Frame
from agentkit.config.nodes import (
    MAX_DEPTH,
    ListNode,
    MapNode,
    Node,
    Place,
    ScalarKind,
    ScalarNode,
    Source,
    core_kind,
    is_null,
)
from agentkit.config.recovering import Damage, Tabs, expanded, parts_around, without
from agentkit.config.refusals import Mistake
from agentkit.config.syntax import explain
from agentkit.files import read_regular

MAX_BYTES: Final = 1024 * 1024
"""How large a file may be."""

MAX_EXPANDED: Final = 10_000
"""How many nodes aliases may add to a file; a file without aliases has no limit but its size."""

MAX_READ: Final = 2 * MAX_BYTES
"""How many characters are read in all, where a text with mistakes is read again without them."""

_MAX_TOLD: Final = 20
_STREAMS: Final = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")

# The loader classes are used for their parsers alone; their constructors are never called.
_Parser: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_UNPRINTABLE: Final = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_file(path: Path, *, name: str, at: Place | None, problems: Problems) -> Source | None:
    """Read a file as UTF-8 text, with its size capped; what is no file is never waited for.

    A pipe of the shell's making, ``<(...)`` or ``/dev/stdin``, is read where the user gave it.

    Args:
        at: Where another file names it; None for the file that the user gave.
    """
    place = at or Place(Source(name))
    code = "AK009" if at is None else "AK204"
    try:
        data = _read_pipe(path) if at is None and is_pipe(path) else read_regular(path, MAX_BYTES + 1)
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


def is_pipe(path: Path) -> bool:
    """Tell whether a path is a stream that was opened before: ``/dev/fd/63``, as a shell's ``<(...)`` gives."""
    return path.as_posix().startswith(_STREAMS) and not path.is_file()


def _read_pipe(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def read_yaml(source: Source, problems: Problems) -> Node | None:
    """Return the nodes of a text, or None where it cannot be read; every problem found is noted.

    Where a part of it is not YAML, the rest is read all the same, and its blocks are marked as torn.
    """
    text = source.text.removeprefix("\ufeff")
    if text is not source.text:
        source = structs.replace(source, text=text)
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        problems.add("AK009", f"{source.name} is larger than 1 MiB", at=Place(source), hint="split it")
        return None
    spoilt = [match.start() for match in _UNPRINTABLE.finditer(text)]
    places = [_position(text, index) for index in spoilt[:_MAX_TOLD]]
    for index, (line, column) in zip(spoilt, places, strict=False):
        problems.add(
            "AK009",
            f"the character U+{ord(text[index]):04X} is not allowed in YAML",
            at=_at(source, line, column, column + 1),
            hint="delete it, or write it as an escape in double quotes",
        )
    if len(spoilt) > _MAX_TOLD or (spoilt and not source.located):
        return None
    return _Reading(source, problems, places).read(_UNPRINTABLE.sub("\ufffd", text))


class _Reading:
    """Reads one text, again and again without what cannot be read, until nothing is wrong or too much is."""

    def __init__(self, source: Source, problems: Problems, spoilt: Sequence[tuple[int, int]]) -> None:
        self._source = source
        self._problems = problems
        self._spoilt = spoilt
        self._damages: list[Damage] = []
        self._tabs: Mapping[int, Tabs] = {}
        self._left = MAX_READ

    def read(self, text: str) -> Node | None:
        found = self._attempt(text, ())
        while isinstance(found, Mistake):
            mistake = found
            lines = split_lines(text)
            spaces = self._without_tabs(text, mistake)
            self._note(mistake, spaces, text)
            if not self._source.located or mistake.code == "AK010":
                return None
            if spaces is not None:
                text, self._tabs = spaces
                found = self._attempt(text, ())
                continue
            for part in parts_around(lines, mistake.first, mistake.last):
                rest = without(text, part)
                found = self._attempt(rest, (part,))
                if not isinstance(found, Mistake) or found.first > part.last:
                    text = rest
                    self._damages.append(part)
                    break
            else:
                return None
        if found is None:
            return None
        node, trial = found
        self._problems.absorb(trial)
        return node

    def _attempt(self, text: str, parts: Sequence[Damage]) -> tuple[Node | None, Problems] | Mistake | None:
        """Read a text; what is not YAML in it comes back, and None where it is not worth while any more."""
        self._left -= len(text) + 1
        if self._left < 0:
            return None
        trial = Problems()
        damages = [structs.replace(part, claimed=False) for part in (*self._damages, *parts)]
        composer = _Composer(self._source, trial, damages=damages, spoilt=self._spoilt, tabs=self._tabs)
        parser = _Parser(text)
        try:
            return composer.compose(parser), trial
        except yaml.YAMLError as error:
            return explain(error, split_lines(text))
        except _UnreadableError:
            return None, trial
        finally:
            parser.dispose()

    def _without_tabs(self, text: str, mistake: Mistake) -> tuple[str, Mapping[int, Tabs]] | None:
        """Return the text with spaces for the tabs that indent it; None where it is not sure how many are meant."""
        if mistake.code != "AK002" or self._tabs:
            return None
        sure: tuple[str, Mapping[int, Tabs]] | None = None
        shapes = []
        for width in (2, 4, 8):
            candidate, tabs = expanded(text, width, mistake.row)
            found = self._attempt(candidate, ())
            if isinstance(found, tuple) and found[0] is not None:
                shapes.append(_shape(found[0]))
                sure = sure or (candidate, tabs)
        return sure if shapes and all(shape == shapes[0] for shape in shapes) else None

    def _note(self, mistake: Mistake, spaces: tuple[str, Mapping[int, Tabs]] | None, text: str) -> None:
        fix, notes = mistake.fix, mistake.notes
        if mistake.code == "AK012" and fix is not None and not self._helps(fix, text, mistake):
            fix = None
        if spaces is not None:
            tabs = spaces[1]
            edits = tuple(
                Edit(line=row + 1, column=1, end_line=row + 1, end_column=each.written + 1, text=" " * each.shown)
                for row, each in tabs.items()
            )
            fix = Fix(title="indent with spaces", edits=edits)
            if len(tabs) > 1:
                notes = (f"{len(tabs)} lines are indented with tabs",)
        self._problems.add(
            mistake.code,
            mistake.message,
            at=_at(self._source, mistake.row + 1, mistake.column + 1, mistake.end + 1),
            hint=mistake.hint,
            notes=notes,
            fix=fix,
        )

    def _helps(self, fix: Fix, text: str, mistake: Mistake) -> bool:
        """Tell whether a text with a fix made can be read further than without it."""
        found = self._attempt(apply(text, (fix,))[0], ())
        return not isinstance(found, Mistake) or (found.row, found.column) > (mistake.row, mistake.column)


class _UnreadableError(Exception):
    """The problem is noted; nothing more can be read from this text."""


class _Composer:
    """Builds nodes from the parser's events, with an explicit stack: depth costs no recursion."""

    def __init__(
        self,
        source: Source,
        problems: Problems,
        *,
        damages: Sequence[Damage],
        spoilt: Sequence[tuple[int, int]],
        tabs: Mapping[int, Tabs],
    ) -> None:
        self._source = source
        self._problems = problems
        self._damages = damages
        self._spoilt = spoilt
        self._tabs = tabs
        self._stack: list[Frame] = []
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
                        self._problems.add("AK007", "a second document begins here", at=self._place(event), hint=hint)
                        break
                case yaml.StreamEndEvent():
                    break
        root = self._root
        if self._damages and (root is None or is_null(root)):
            return MapNode(entries={}, place=_at(self._source, 1, 1, 1), torn=True)
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
        (line, column), (end_line, end_column) = self._position(event.start_mark), self._position(event.end_mark)
        return Place(self._source, line, column, end_line, end_column)

    def _position(self, mark: Any) -> tuple[int, int]:
        """Return a line and a column of the file, where tabs may stand for the spaces that were read."""
        tabs = self._tabs.get(mark.line)
        return mark.line + 1, (mark.column if tabs is None else tabs.column(mark.column)) + 1

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
        place = self._place(event)
        lost = any(_covers(place, spoilt) for spoilt in self._spoilt)
        node = ScalarNode(text=event.value, kind="str" if lost else kind, place=place, plain=plain, lost=lost)
        if plain and len(node.text) > 1 and node.text[0] in TYPOGRAPHIC and node.text[-1] in TYPOGRAPHIC:
            start = (place.column or 1) - 1
            end = start + len(node.text)
            single = place.line is not None and place.line == place.end_line
            self._problems.add(
                "AK013",
                f"`{node.text[0]}` is no quotation mark of YAML, and a part of the text",
                at=place,
                hint="write straight quotes",
                severity="warning",
                fix=requoting((place.line or 1) - 1, start, end, node.text) if single else None,
            )
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
        self._stack.append(Frame(self._place(event), event.anchor, is_map=is_map))

    def _close(self, event: Any) -> None:
        frame = self._stack.pop()
        place, start = frame.place, frame.place.line
        if start is not None:
            place = Place(place.source, start, place.column, *self._position(event.end_mark))
            # What is left out between a key and the first line of its value belongs to the value.
            key = self._stack[-1].key if self._stack else None
            above = key.place.line if key is not None else None
            first = start if above is None else min(above + 1, start)
            self._claim(frame, first, event.end_mark.line + 1)
        node = frame.close(place)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (node, frame.size, frame.height)
        self._attach(node, size=frame.size, height=frame.height)

    def _claim(self, frame: Frame, line: int, end_line: int) -> None:
        """Give the parts that were left out to the innermost list or map that they stood in."""
        outermost = len(self._stack) == 0
        for damage in self._damages:
            inside = line <= damage.first + 1 <= end_line and damage.indent >= (frame.place.column or 1) - 1
            if not damage.claimed and (inside or outermost):
                damage.claimed = True
                frame.tear(damage, damage.first + 1)

    def _alias(self, event: Any) -> None:
        name = event.anchor
        target = self._anchors.get(name)
        if target is None:
            if name in self._anchors:
                code, message, hint = "AK010", f"`*{name}` stands inside of what it refers to", None
            else:
                code, message = "AK001", f"`*{name}` refers to an anchor that is not there"
                hint = f"put `&{name}` before it; quote the text if the star is meant"
            place = self._place(event)
            self._problems.add(code, message, at=place, hint=hint)
            self._attach(ScalarNode(text="", kind="str", place=place, lost=True), size=1, height=0)
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
        frame.take(node, self._problems)


def _shape(node: Node) -> object:
    """Return what a node holds, without its places."""
    match node:
        case ScalarNode():
            return node.kind, node.text
        case ListNode():
            return [_shape(item) for item in node.items]
        case MapNode():
            return {key: _shape(entry.value) for key, entry in node.entries.items()}


def _covers(place: Place, spoilt: tuple[int, int]) -> bool:
    """Tell whether a character stands in a place."""
    if place.line is None:
        return False
    start = (place.line, place.column or 1)
    return start <= spoilt < (place.end_line or place.line, place.end_column or 1)


def _at(source: Source, line: int, column: int, end_column: int) -> Place:
    return Place(source, line, column, line, end_column) if source.located else Place(source)


def _position(text: str, index: int) -> tuple[int, int]:
    lines = split_lines(text[:index])
    return len(lines), len(lines[-1]) + 1
