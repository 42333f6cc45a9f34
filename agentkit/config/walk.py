"""Nodes become Structs: one walk over the file beside its classes, which notes every mistake and goes on.

Rule: it knows no plugin and no key by name. What a class says (fields, types, bounds) is all that it checks,
so the core's own shape and a plugin's options are read in the same way.
"""

import re
import types
from collections.abc import Mapping, Sequence
from typing import Final, Union, cast, get_args, get_origin

import msgspec
from msgspec import Struct, structs

from agentkit.config.diagnostics import Problems
from agentkit.config.fixes import quoting_node, renaming, spacing, writing
from agentkit.config.nodes import (
    Block,
    Entry,
    KeyPath,
    ListNode,
    MapNode,
    Node,
    Place,
    ScalarNode,
    core_kind,
    is_null,
    path_text,
)
from agentkit.config.scalars import (
    ScalarError,
    describe_node,
    describe_type,
    is_parsed,
    is_scalar_type,
    one_of,
    read_scalar,
    short,
    unwrap,
)
from agentkit.config.scanning import GLUED
from agentkit.config.schema import MISSING
from agentkit.config.shape import discriminator, fields_of, homes_of
from agentkit.registry import nearest
from agentkit.values import Secret

INVALID: Final = object()
"""What stands for a value that cannot be read; its problems are noted."""


class Walker:
    """Turns nodes into values of a type."""

    def __init__(self, problems: Problems, *, root: MapNode | None = None, partial: bool = False) -> None:
        """Take where to note problems.

        Args:
            root: The whole file, to show where a misplaced key belongs.
            partial: A file that this one builds on could not be read, so nothing counts as missing.
        """
        self._problems = problems
        self._root = root
        self._partial = partial

    def convert(self, node: Node, expected: object, path: KeyPath, *, at: Place | None = None) -> object:
        """Return the node as a value of the expected type, or ``INVALID``.

        Args:
            at: The place of the key, for what is missing inside of the value.
        """
        if isinstance(node, ScalarNode) and node.lost:
            return INVALID
        core, _ = unwrap(expected)
        origin = get_origin(core)
        if core is object:
            return to_python(node)
        if origin in (Union, types.UnionType):
            return self._union(node, expected, path, at)
        if isinstance(core, type) and issubclass(core, Struct) and not is_parsed(core):
            return self.struct(node, core, path, at=at)
        if is_scalar_type(core):
            return self._scalar(node, expected, path)
        if (origin or core) in (list, tuple, set, frozenset, Sequence):
            return self._list(node, core, path)
        if (origin or core) in (dict, Mapping):
            return self._dict(node, core, path)
        return self._foreign(node, expected, path)

    def struct(self, node: Node, cls: type[Struct], path: KeyPath, *, at: Place | None = None) -> object:
        """Return a map as an instance of a class, or ``INVALID``."""
        if is_null(node):
            node = MapNode(entries={}, place=node.place)
        if not isinstance(node, MapNode):
            if not self._glued(node, path):
                self._wrong(node, "a block of keys", path, _named(node, cls))
            return INVALID
        fields = fields_of(cls)
        values: dict[str, object] = {}
        sound = True
        for key, entry in node.entries.items():
            info = fields.get(key)
            if info is None and key == cls.__struct_config__.tag_field:
                continue
            if info is None:
                self._unknown(entry, node, cls, (*path, key))
                sound = False
            elif info.type is Block:
                values[info.name] = self._block(entry.value, (*path, key))
                sound &= values[info.name] is not INVALID
            elif not is_null(entry.value):
                value = self.convert(entry.value, info.type, (*path, key), at=entry.key.place)
                values[info.name] = value
                sound &= value is not INVALID
        for key, info in fields.items():
            if info.name in values:
                continue
            if info.type is Block:
                values[info.name] = Block(MapNode(entries={}, place=at or node.place), (*path, key), given=False)
            elif info.required:
                self._missing(node, cls, key, path, at)
                sound = False
        if not sound or node.torn:
            return INVALID
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            # A class may check its fields together in `__post_init__`.
            self._problems.add("AK105", f"{_name(path)} cannot be used: {error}", at=at or node.place, path=path)
            return INVALID

    def _block(self, node: Node, path: KeyPath) -> object:
        if is_null(node):
            return Block(MapNode(entries={}, place=node.place), path, given=False)
        if isinstance(node, ScalarNode) and node.lost:
            return INVALID
        if isinstance(node, MapNode):
            return Block(node, path, given=True)
        if not self._glued(node, path):
            self._wrong(node, "a block of keys", path)
        return INVALID

    def _scalar(self, node: Node, expected: object, path: KeyPath) -> object:
        core, _ = unwrap(expected)
        if core is Secret and node.place.line is not None and not _from_variable(node):
            self._problems.hide(node.place)
        if not isinstance(node, ScalarNode):
            hint = "quote it, if it begins with { or [" if core is str else None
            self._wrong(node, describe_type(expected), path, hint)
            return INVALID
        try:
            value = read_scalar(node, expected, name=_field(path))
        except ScalarError as error:
            self._scalar_problem(node, error, path)
            return INVALID
        if core is Secret and node.text and not _from_variable(node):
            self._problems.add(
                "AK302",
                f"`{_field(path)}` is a secret and stands in the file",
                at=node.place,
                path=path,
                hint='put it into the environment, and write "${NAME}" here',
                severity="warning",
            )
        return value

    def _scalar_problem(self, node: ScalarNode, error: ScalarError, path: KeyPath) -> None:
        fix = quoting_node(node) if error.quote else None
        if error.instead is not None:
            fix = writing(node, error.instead)
        self._problems.add(error.code, error.message, at=node.place, path=path, hint=error.hint, fix=fix)

    def _list(self, node: Node, core: object, path: KeyPath) -> object:
        if not isinstance(node, ListNode):
            hint = "write it as a list: [ ... ]" if isinstance(node, ScalarNode) and not is_null(node) else None
            self._wrong(node, "a list", path, hint)
            return INVALID
        arguments = get_args(core)
        origin = get_origin(core) or core
        if origin is tuple and arguments and arguments[-1] is not Ellipsis:
            return self._foreign(node, core, path)
        item = arguments[0] if arguments else object
        values = [self.convert(each, item, (*path, index), at=each.place) for index, each in enumerate(node.items)]
        if any(value is INVALID for value in values):
            return INVALID
        if origin in (set, frozenset):
            return set(values) if origin is set else frozenset(values)
        return tuple(values) if origin is tuple else values

    def _dict(self, node: Node, core: object, path: KeyPath) -> object:
        if is_null(node):
            return {}
        if not isinstance(node, MapNode):
            self._wrong(node, "a block of keys", path)
            return INVALID
        key_type, item = get_args(core) or (str, object)
        if unwrap(key_type)[0] is not str:
            return self._foreign(node, core, path)
        values = {
            key: self.convert(entry.value, item, (*path, key), at=entry.key.place)
            for key, entry in node.entries.items()
            if not is_null(entry.value)
        }
        return INVALID if any(value is INVALID for value in values.values()) else values

    def _union(self, node: Node, expected: object, path: KeyPath, at: Place | None) -> object:
        members = [member for member in get_args(unwrap(expected)[0]) if member is not type(None)]
        if len(members) < len(get_args(unwrap(expected)[0])) and is_null(node):
            return None
        if len(members) == 1:
            return self.convert(node, members[0], path, at=at)
        if isinstance(node, ScalarNode):
            return self._scalar_of(node, [each for each in members if is_scalar_type(unwrap(each)[0])], members, path)
        fitting = [member for member in members if _takes(member, node)]
        if not fitting:
            self._wrong(node, one_of(dict.fromkeys(describe_type(member) for member in members)), path)
            return INVALID
        if len(fitting) == 1:
            return self.convert(node, fitting[0], path, at=at)
        classes = [cast("type[Struct]", member) for member in fitting if _is_struct(member)]
        if (
            len(classes) == len(fitting)
            and isinstance(node, MapNode)
            and all(each.__struct_config__.tag is None for each in classes)
        ):
            return self._one_of_structs(node, classes, path, at)
        return self._foreign(node, expected, path)

    def _scalar_of(
        self, node: ScalarNode, candidates: Sequence[object], members: Sequence[object], path: KeyPath
    ) -> object:
        misses: list[ScalarError] = []
        for candidate in candidates:
            try:
                read_scalar(node, candidate, name=_field(path))
            except ScalarError as error:
                misses.append(error)
            else:
                return self._scalar(node, candidate, path)
        # A value of the right kind that is out of bounds says more than a list of the kinds.
        close = next((miss for miss in misses if miss.code == "AK105"), None)
        if close is not None:
            self._problems.add(close.code, close.message, at=node.place, path=path, hint=close.hint)
        elif not self._glued(node, path):
            code = "AK104" if node.kind == "str" and any(miss.code == "AK104" for miss in misses) else "AK102"
            hint = next((miss.hint for miss in misses if miss.hint), None)
            blocks = [cast("type[Struct]", member) for member in members if _is_struct(member)]
            if hint is None and len(blocks) == len(members):
                hint = _named(node, blocks[0])
            self._wrong(node, one_of(dict.fromkeys(describe_type(member) for member in members)), path, hint, code=code)
        return INVALID

    def _glued(self, node: Node, path: KeyPath) -> bool:
        """Note a ``key:value`` whose space is missing where a block of keys belongs; False where it is none."""
        match = GLUED.match(node.text) if isinstance(node, ScalarNode) and node.plain and not node.written else None
        if match is None or not isinstance(node, ScalarNode):
            return False
        at = structs.replace(node.place, end_line=node.place.line)
        if at.column is not None:
            at = structs.replace(at, column=at.column + match.end() - 1, end_column=at.column + match.end())
        message, hint = "a space is missing behind this colon", f"write `{match['key']}: ...`"
        self._problems.add("AK012", message, at=at, path=path, hint=hint, fix=spacing(node))
        return True

    def _one_of_structs(
        self, node: MapNode, classes: Sequence[type[Struct]], path: KeyPath, at: Place | None
    ) -> object:
        """Choose by the key that only one of the classes requires: it says what the item is."""
        required = {cls: discriminator(cls) for cls in classes}
        chosen = [cls for cls, key in required.items() if key in node.entries]
        if len(chosen) == 1:
            return self.struct(node, chosen[0], path, at=at)
        keys = one_of(f"`{key}`" for key in required.values())
        if chosen:
            second = node.entries[required[chosen[1]]].key
            self._problems.add(
                "AK401",
                f"{_name(path)} can have only one of {keys}",
                at=second.place,
                path=path,
                hint="delete one",
            )
            return INVALID
        if not self._partial and not node.torn:
            near = {key: match for key in node.entries for match in nearest(key, required.values())[:1]}
            if len(near) == 1:
                ((written, meant),) = near.items()
                cls = next(each for each, key in required.items() if key == meant)
                self._unknown(node.entries[written], node, cls, (*path, written))
            else:
                self._problems.add("AK103", f"{_name(path)} needs {keys}", at=at or node.place, path=path)
        return INVALID

    def _foreign(self, node: Node, expected: object, path: KeyPath) -> object:
        """Leave the types of other libraries to msgspec, which stops at its first problem."""
        try:
            return msgspec.convert(
                to_python(node), cast("type[object]", expected), str_keys=True, dec_hook=_read_written
            )
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            message, _, where = str(error).partition(" - at `")
            at = _follow(node, where.rstrip("`"))
            if _from_variable(at):
                message = f"{describe_node(at)} does not fit"
            self._problems.add("AK102", f"`{_field(path)}` cannot be read: {message}", at=at.place, path=path)
            return INVALID

    def _wrong(self, node: Node, expected: str, path: KeyPath, hint: str | None = None, *, code: str = "AK102") -> None:
        message = f"{_name(path)} must be {expected}, not {describe_node(node)}"
        self._problems.add(code, message, at=node.place, path=path, hint=hint)

    def _missing(self, node: MapNode, cls: type[Struct], key: str, path: KeyPath, at: Place | None) -> None:
        if self._partial or node.torn:
            return
        fields = fields_of(cls)
        if any(nearest(other, [key]) for other in node.entries if other not in fields):
            return  # the misspelt key is said where it stands
        entry = node.entries.get(key)
        what = f"{_name(path)} needs `{key}`" if path else f"`{key}` is missing"
        place = at or Place(node.place.source, node.place.line and 1, node.place.line and 1)
        self._problems.add(
            "AK103",
            what,
            at=entry.key.place if entry else place,
            path=(*path, key),
            hint=MISSING.get((cls, key)),
        )

    def _home(self, home: tuple[str, ...]) -> str:
        """Say where a block is, and at which line where the file has it."""
        inside = {"*": "in a block of ", "[]": "in an item of "}.get(home[-1] if home else "", "under ")
        path = tuple(part for part in home if part not in ("*", "[]"))
        entry: Entry | None = None
        node: Node | None = self._root
        for part in path:
            entry = node.entries.get(part) if isinstance(node, MapNode) else None
            node = None if entry is None else entry.value
        place = entry.key.place if entry is not None else None
        where = f" ({place.file}:{place.line})" if place is not None and place.line is not None else ""
        return f"{inside}`{'.'.join(path)}:`{where}" if path else "at the top of the file"

    def _unknown(self, entry: Entry, node: MapNode, cls: type[Struct], path: KeyPath) -> None:
        key, fields = entry.key, fields_of(cls)
        near = nearest(key.text, fields)
        if near and Secret in (fields[near[0]].type, *get_args(fields[near[0]].type)):  # the name is only misspelt
            self._problems.hide(entry.value.place)
        keys = sorted(fields, key=lambda name: not fields[name].required or fields[name].type is Block)
        notes = [f"keys here: {', '.join(keys)}"] if keys else ["it has no keys"]
        block = next((name for name, info in fields.items() if info.type is Block), None)
        if block is not None:
            what = "its options" if block == discriminator(cls) else f"options of what `{discriminator(cls)}` names"
            notes.append(f"{what} go under `{block}:`")
        code, message = "AK101", f"unknown key `{short(key.text)}`"
        hint = f"did you mean `{near[0]}`?" if near else None
        homes = homes_of(key.text, path[:-1], fields)
        if not near and homes:
            code = "AK106"
            message = f"`{key.text}` is not a key of {_name(path[:-1])}"
            hint = f"it belongs {' or '.join(map(self._home, homes[:3]))}"
        fix = renaming(key, near, node)
        self._problems.add(code, message, at=key.place, path=path, hint=hint, notes=notes, fix=fix)


def to_python(node: Node) -> object:
    """Return a node as plain Python data."""
    match node:
        case ListNode():
            return [to_python(item) for item in node.items]
        case MapNode():
            return {key: to_python(entry.value) for key, entry in node.entries.items()}
    kind = core_kind(node.text) if node.whole else node.kind
    try:
        return read_scalar(node, {"bool": bool, "int": int, "float": float}.get(kind, str), name="value")
    except ScalarError:
        return None if node.kind == "null" else node.text


def _field(path: KeyPath) -> str:
    """Name a value by its own key: ``timeout``, ``tools[0]``."""
    start = max((index for index, part in enumerate(path) if isinstance(part, str)), default=0)
    return path_text(path[start:]) or "the file"


def _name(path: KeyPath) -> str:
    return f"`{_field(path)}`" if path else "the file"


def _named(node: Node, cls: type[Struct]) -> str | None:
    """Say how a name that stands by itself is written, where a block begins with the key for it."""
    key = discriminator(cls)
    if not key or not isinstance(node, ScalarNode) or node.kind != "str" or node.written is not None:
        return None
    # With one of these marks in it, it would be something else in braces.
    return None if re.search(r"[\]\[{},:#]", node.text) else f"write {{{key}: {short(node.text)}}}"


def _takes(member: object, node: Node) -> bool:
    core = unwrap(member)[0]
    origin = get_origin(core) or core
    if isinstance(node, ListNode):
        return origin in (list, tuple, set, frozenset, Sequence)
    return origin in (dict, Mapping) or _is_struct(core) or not (is_scalar_type(core) or origin in (list, tuple, set))


def _is_struct(core: object) -> bool:
    return isinstance(core, type) and issubclass(core, Struct)


def _from_variable(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.written is not None


def _read_written(cls: type[object], value: object) -> object:
    if is_parsed(cls) and isinstance(value, str):
        return cast("type[Secret]", cls).parse(value)
    raise TypeError(f"{cls.__name__} cannot be read from a file")


def _follow(node: Node, where: str) -> Node:
    """Find what msgspec's path (``.a[0].b``) points at; the nearest node that there is."""
    for key, index in re.findall(r"\.([^.\[]+)|\[(\d+)\]", where):
        if isinstance(node, MapNode) and key in node.entries:
            node = node.entries[key].value
        elif isinstance(node, ListNode) and index and int(index) < len(node.items):
            node = node.items[int(index)]
        else:
            break
    return node
