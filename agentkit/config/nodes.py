"""The tree of a configuration before it has types: scalars, lists and maps, each with its place.

Rule: nodes never change. Merging and substitution make new ones, and every node keeps the place where it was
written, so an error in an extended file cites that file.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from msgspec import Struct

MAX_DEPTH: Final = 50
"""How deep lists and maps may nest."""

ScalarKind: TypeAlias = Literal["str", "int", "float", "bool", "null"]
"""What YAML 1.2 takes a scalar for."""

KeyPath: TypeAlias = tuple[str | int, ...]
"""The way from the root of a file to one value: ``("tools", 0, "with")``."""

_CORE: Final[tuple[tuple[ScalarKind, "re.Pattern[str]"], ...]] = (
    ("null", re.compile(r"(?:null|Null|NULL|~|)")),
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)")),
    ("int", re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)")),
    (
        "float",
        re.compile(
            r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
        ),
    ),
)


class Source(Struct, frozen=True, eq=False):
    """A text that configuration comes from: a file, a preset, an override of the command line."""

    name: str
    """How messages call it."""
    text: str = ""
    """What it holds, for excerpts."""
    directory: Path | None = None
    """Where its relative paths start; None where it has no place in a file system."""
    boundary: Path | None = None
    """The folder that its paths may not leave; None for the folder of the user's own file."""
    located: bool = True
    """Whether its lines and columns mean anything to the user."""
    own: bool = True
    """Whether it is the user's to change; a preset is not."""

    def __repr__(self) -> str:
        return f"Source({self.name!r})"


class Place(Struct, frozen=True):
    """Where something is written; lines and columns count from 1, the end is exclusive."""

    source: Source
    line: int | None = None
    column: int | None = None
    end_line: int | None = None
    end_column: int | None = None

    @property
    def file(self) -> str:
        """The name of the file, preset or override."""
        return self.source.name

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line is not None else self.file


class ScalarNode(Struct, frozen=True, kw_only=True, eq=False):
    """One text, as it stands in the file or after its variables were put in."""

    text: str
    kind: ScalarKind
    place: Place
    plain: bool = False
    """Not quoted and no block scalar."""
    written: str | None = None
    """The text before substitution, where variables were put in; messages show this one."""
    whole: bool = False
    """One variable was the whole text, so the field decides the type."""
    lost: bool = False
    """It could not be read, or a variable not be put in, which is noted; the text means nothing."""

    def __repr__(self) -> str:
        return f"ScalarNode({self.place})"


class ListNode(Struct, frozen=True, kw_only=True, eq=False):
    """A list."""

    items: "tuple[Node, ...]"
    place: Place

    def __repr__(self) -> str:
        return f"ListNode({self.place})"


class Entry(Struct, frozen=True, eq=False):
    """One key of a map, with its value."""

    key: ScalarNode
    value: "Node"


class MapNode(Struct, frozen=True, kw_only=True, eq=False):
    """A map; the order is the file's."""

    entries: Mapping[str, Entry]
    place: Place
    torn: bool = False
    """A part of it could not be read, which is noted; nothing counts as missing in it."""

    def __repr__(self) -> str:
        return f"MapNode({self.place})"

    def get(self, key: str) -> "Node | None":
        """Return the value of a key, or None where it is not there."""
        entry = self.entries.get(key)
        return None if entry is None else entry.value


Node: TypeAlias = ScalarNode | ListNode | MapNode


class Block(Struct, frozen=True, eq=False):
    """Options of a plugin (``with:``), kept as written until the plugin's config class is known."""

    node: MapNode
    path: KeyPath
    given: bool
    """Whether the file has the key at all."""

    def __repr__(self) -> str:
        return f"Block({path_text(self.path)})"


def core_kind(text: str) -> ScalarKind:
    """Return what the YAML 1.2 core schema takes a plain text for."""
    return next((kind for kind, pattern in _CORE if pattern.fullmatch(text)), "str")


def is_null(node: Node) -> bool:
    """Tell whether a value puts the default back."""
    return isinstance(node, ScalarNode) and node.kind == "null"


def is_unread(node: Node | None) -> bool:
    """Tell whether a value, or a part of it, could not be read; that is noted already."""
    return (isinstance(node, ScalarNode) and node.lost) or (isinstance(node, MapNode) and node.torn)


def path_text(path: KeyPath) -> str:
    """Write a key path the way messages show it: ``tools[0].with.allow``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def find(root: MapNode, path: KeyPath) -> Node | None:
    """Return the value at a key path, or None where it is not there."""
    node: Node | None = root
    for part in path:
        if isinstance(node, MapNode) and isinstance(part, str):
            node = node.get(part)
        elif isinstance(node, ListNode) and isinstance(part, int) and 0 <= part < len(node.items):
            node = node.items[part]
        else:
            return None
    return node


def from_value(value: object, source: Source, *, depth: int = 0) -> Node:
    """Make nodes of a Python value, for presets that are given as a mapping.

    Raises:
        TypeError: It holds something that YAML's core types cannot express.
        ValueError: It nests deeper than a file may.
    """
    place = Place(source)
    if depth > MAX_DEPTH:
        raise ValueError(f"nests deeper than {MAX_DEPTH}")
    match value:
        case None:
            return ScalarNode(text="null", kind="null", place=place, plain=True)
        case bool():
            return ScalarNode(text=str(value).lower(), kind="bool", place=place, plain=True)
        case int():
            return ScalarNode(text=str(value), kind="int", place=place, plain=True)
        case float():
            return ScalarNode(text=repr(value), kind="float", place=place, plain=True)
        case str():
            # A mapping has no quotes, so a lone `inherit` means what it means in a file.
            return ScalarNode(text=value, kind="str", place=place, plain=value == "inherit")
        case Mapping():
            entries = {}
            for key, item in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"a key must be a text, not {key!r}")
                name = ScalarNode(text=key, kind="str", place=place)
                entries[key] = Entry(name, from_value(item, source, depth=depth + 1))
            return MapNode(entries=entries, place=place)
        case Sequence() if not isinstance(value, bytes | bytearray):
            items = tuple(from_value(item, source, depth=depth + 1) for item in value)
            return ListNode(items=items, place=place)
    raise TypeError(f"{type(value).__name__} is no text, number, truth value, list or mapping")
